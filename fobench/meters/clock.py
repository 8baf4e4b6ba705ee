"""Wall time of a window, from the monotonic clock; opened last and read first, so that it holds the work and little else."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fobench.contracts import MeterError, Provenance, Reading


@dataclass
class Clock:
    """Measures `duration` in seconds with `time.perf_counter`, which neither jumps nor runs backwards."""

    update_period_s: float = field(default=time.get_clock_info("perf_counter").resolution, init=False)
    channels: tuple[str, ...] = field(default=("total",), init=False)
    _started: float | None = field(default=None, init=False, repr=False)

    def unavailable(self) -> None:
        """Return None: every machine has a clock."""

    def start(self) -> None:
        """Begin a window."""
        self._started = time.perf_counter()

    def stop(self) -> list[Reading]:
        """Return the seconds since `start`."""
        now = time.perf_counter()
        if self._started is None:
            raise MeterError("clock: stop() without start(); begin a window first")
        seconds, self._started = now - self._started, None
        return [Reading("duration", seconds, Provenance.MEASURED)]

    def close(self) -> None:
        """Nothing to release."""
