"""Energy from power: sample a sensor in a thread and integrate; an estimate, since what happens between samples is assumed."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence


def integrate(samples: Sequence[tuple[float, float]]) -> float:
    """Return joules from (seconds, watts) samples by the trapezoidal rule, exact for power that is linear in between."""
    return sum((t1 - t0) * (p0 + p1) / 2 for (t0, p0), (t1, p1) in itertools.pairwise(samples))


class PowerSampler:
    """Calls `read` (watts, or None for no sample) at start, every `period_s` seconds and at stop, in a thread of its own."""

    def __init__(self, read: Callable[[], float | None], period_s: float) -> None:
        self._read = read
        self._period_s = period_s
        self._samples: list[tuple[float, float]] = []
        self._began = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fobench-power", daemon=True)

    def start(self) -> None:
        """Take the first sample and begin."""
        self._began = self._sample()
        self._thread.start()

    def stop(self) -> float | None:
        """Take the last sample and return the joules, or None if the first or the last could not be read."""
        self._ended.set()
        self._thread.join()
        return integrate(self._samples) if self._sample() and self._began else None

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            self._sample()

    def _sample(self) -> bool:
        watts = self._read()
        if watts is not None:
            self._samples.append((time.perf_counter(), watts))
        return watts is not None
