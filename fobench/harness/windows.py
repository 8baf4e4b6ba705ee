"""Windows: spans between every meter's start and stop, around whole steps, the device synchronised on both sides."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from fobench.contracts import Context, FobenchError, Meter, Phase, Provenance, Reading
from fobench.harness.guards import Guard
from fobench.store import Writer

MOST_WINDOWS = 200
"""A phase has at most about this many windows; longer ones, if need be."""

PERIODS_PER_WINDOW = 10
"""A window is at least this many update periods of the slowest sensor long, so that its edges cost less than 10 %."""


Result = list[Reading] | FobenchError
"""What a meter gives for a window: its readings, or why it failed."""


@dataclass
class Window:
    """A window; the code inside fills in what it covers, its end why it must not be used, and what the meters read."""

    samples: int = 0
    batch_size: int | None = None
    stage: int | None = None
    epoch: float | None = None
    invalid: str = ""
    results: dict[str, Result] = field(default_factory=dict)

    @property
    def readings(self) -> list[Reading]:
        """Everything that was read."""
        return [reading for result in self.results.values() if isinstance(result, list) for reading in result]


@dataclass
class Windows:
    """Opens windows one after the other and writes their readings; `meters` by name, innermost last."""

    meters: Mapping[str, Meter]
    writer: Writer
    synchronise: Callable[[], None]
    wished_s: float
    guards: Sequence[Guard] = ()
    retries: int = 0
    _born: float = field(default_factory=time.perf_counter, init=False)
    _numbers: dict[Phase, int] = field(default_factory=dict, init=False)

    @property
    def length_s(self) -> float:
        """Length of a window in seconds: as wished, but at least ten update periods of the slowest sensor."""
        slowest = max((meter.update_period_s for meter in self.meters.values()), default=0.0)
        return max(self.wished_s, PERIODS_PER_WINDOW * slowest)

    @contextmanager
    def open(self, phase: Phase) -> Iterator[Window]:
        """Open every guard and meter around the `with` block and write what they read and say."""
        window = Window()
        for guard in self.guards:
            guard.start()
        self.synchronise()
        started_s = time.perf_counter() - self._born
        with _running(self.meters) as results:
            yield window
            self.synchronise()
        window.results = {meter: results[meter] for meter in self.meters}
        window.invalid = "; ".join(filter(None, [guard.stop(window.readings) for guard in self.guards]))
        self._write(phase, window, started_s)

    def _write(self, phase: Phase, window: Window, started_s: float) -> None:
        number = self._numbers[phase] = self._numbers.get(phase, -1) + 1
        covered = {name: value for name, value in vars(window).items() if name != "results"}
        for meter, result in window.results.items():
            context = Context(phase, meter, window=number, started_s=started_s, **covered)
            if isinstance(result, FobenchError):
                context, result = replace(context, invalid=str(result)), [Reading("fault", 1, Provenance.MEASURED)]
            self.writer.rows(context, result)

    def repeat(self, measure: Callable[[], Window]) -> None:
        """Measure a window, and again, `retries` times at most, as long as it is invalid; all of them are kept."""
        for _ in range(self.retries + 1):
            if not measure().invalid:
                return

    def number(self, phase: Phase) -> int | None:
        """Return the number of the last window of a phase."""
        return self._numbers.get(phase)

    def score(
        self, phase: Phase, reading: Reading, samples: int, stage: int | None = None, epoch: float | None = None
    ) -> None:
        """Write a score that was taken after the last window of a phase."""
        context = Context(
            phase, "score", stage, epoch, self.number(phase), samples, started_s=time.perf_counter() - self._born
        )
        self.writer.rows(context, [reading])

    def budget(self, stage: int, samples: int, batch_size: int) -> None:
        """Write how many samples a stage has of which only some were measured."""
        context = Context(Phase.TRAIN, "plan", stage, samples=samples, batch_size=batch_size)
        self.writer.rows(context, [Reading("budget", samples, Provenance.ANALYTICAL)])

    def steps_each(self, step_s: float, steps: int, most: int | None = MOST_WINDOWS) -> int:
        """Return how many steps of `step_s` make a window of a phase that has `steps` and at most about `most` windows."""
        fewest = -(-steps // most) if most else 1
        return min(steps, max(fewest, round(self.length_s / step_s), 1))


@contextmanager
def _running(meters: Mapping[str, Meter]) -> Iterator[dict[str, Result]]:
    """Start the meters in order, stop them in reverse; a meter that fails leaves its error in place of readings."""
    results: dict[str, Result] = {}
    started: list[tuple[str, Meter]] = []
    for name, meter in meters.items():
        try:
            meter.start()
            started.append((name, meter))
        except FobenchError as error:
            results[name] = error
    try:
        yield results
    finally:
        for name, meter in reversed(started):
            try:
                results[name] = meter.stop()
            except FobenchError as error:
                results[name] = error


def tiles(steps: int, each: int) -> list[int]:
    """Cut `steps` into consecutive windows of nearly equal size, each of at least `each` steps; return their ends."""
    count = max(1, steps // each)
    return [steps * (index + 1) // count for index in range(count)]
