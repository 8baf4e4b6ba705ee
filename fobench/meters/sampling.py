"""Energy from power: sample a sensor and integrate; an estimate, since what happens between samples is assumed.

`PowerSampler` does it in a thread; `SamplerProcess` in a process of its own, so that sampling takes no turn of the learner's
interpreter. That process is spawned, never forked, blocks between samples and between windows, and ends when its parent does.
"""

from __future__ import annotations

import importlib
import itertools
import json
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from fobench.contracts import Json, MeterError

Read = Callable[[], float | None]
"""Reads a sensor in watts; None for no sample."""


def integrate(samples: Sequence[tuple[float, float]]) -> float:
    """Return joules from (seconds, watts) samples by the trapezoidal rule, exact for power that is linear in between."""
    return sum((t1 - t0) * (p0 + p1) / 2 for (t0, p0), (t1, p1) in itertools.pairwise(samples))


class Integral:
    """One sensor's power over one window; `joules` is None unless its first and last samples could be read."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._samples: list[tuple[float, float]] = []
        self._ends: list[bool] = []

    def sample(self) -> None:
        """Take a sample now."""
        watts = self._read()
        if watts is not None:
            self._samples.append((time.perf_counter(), watts))
        self._ends = [*self._ends[:1], watts is not None]

    @property
    def joules(self) -> float | None:
        """Return the energy between the first and the last sample."""
        return integrate(self._samples) if all(self._ends) else None


class PowerSampler:
    """Calls `read` (watts, or None for no sample) at start, every `period_s` seconds and at stop, in a thread of its own."""

    def __init__(self, read: Read, period_s: float) -> None:
        self._integral = Integral(read)
        self._period_s = period_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fobench-power", daemon=True)

    def start(self) -> None:
        """Take the first sample and begin."""
        self._integral.sample()
        self._thread.start()

    def stop(self) -> float | None:
        """Take the last sample and return the joules, or None if the first or the last could not be read."""
        self._ended.set()
        self._thread.join()
        self._integral.sample()
        return self._integral.joules

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            self._integral.sample()


class SamplerProcess:
    """Samples the sensors that `factory` (`module:function`) makes from `arguments`, every `period_s` seconds.

    The function returns one `Read` per channel; module and arguments are all that the process is told, as JSON.
    """

    def __init__(self, factory: str, arguments: Sequence[Json], period_s: float) -> None:
        job = json.dumps([factory, list(arguments), period_s])
        command = [sys.executable, "-m", __name__, job]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            self._answer()
        except MeterError:
            self.close()
            raise

    def start(self) -> None:
        """Begin a window: the first sample has been taken when this returns."""
        self._ask()

    def stop(self) -> dict[str, float | None]:
        """Take the last sample and return the joules of each channel; None for one that could not be read."""
        joules: dict[str, float | None] = self._ask()
        return joules

    def close(self) -> None:
        """End the process and wait for it: it ends when its input does."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:  # it ended before it read the last request
                    continue
        self._process.wait()

    def _ask(self) -> Json:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise MeterError(f"the sampling process has ended ({error}); see `fobench doctor`") from error
        return self._answer()

    def _answer(self) -> Json:
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            lines = self._process.stderr.read().strip().splitlines() or ["no message"]
            raise MeterError(f"the sampling process has ended ({lines[-1]}); see `fobench doctor`")
        return json.loads(line)


def serve(job: str) -> None:
    """Be the sampling process: each line on the input begins or ends a window, the end of the input ends the process."""
    factory, arguments, period_s = json.loads(job)
    module, _, function = factory.partition(":")
    readers: Mapping[str, Read] = getattr(importlib.import_module(module), function)(*arguments)
    _reply("ready")
    while sys.stdin.readline():
        integrals = {channel: Integral(read) for channel, read in readers.items()}
        _sample(integrals)
        _reply("started")
        while not select.select([sys.stdin], [], [], period_s)[0]:
            _sample(integrals)
        if not sys.stdin.readline():
            return
        _sample(integrals)
        _reply({channel: integral.joules for channel, integral in integrals.items()})


def _sample(integrals: Mapping[str, Integral]) -> None:
    for integral in integrals.values():
        integral.sample()


def _reply(answer: Json) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
