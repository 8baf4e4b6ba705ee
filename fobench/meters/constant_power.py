"""Declared power times measured time: how published tables of this field were made, so that they can be made again.

The usual declaration is the nominal power of a board, for example 5 W or 10 W of a Jetson Nano in its two power modes.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from fobench.contracts import MeterError, Provenance, Reading


@dataclass
class ConstantPower:
    """Estimates `energy` of the whole `board` as `watts` times the duration of the window; no sensor is read."""

    watts: float | None = None
    update_period_s: float = field(default=time.get_clock_info("perf_counter").resolution, init=False)
    channels: tuple[str, ...] = field(default=("board",), init=False)
    notes: tuple[str, ...] = field(default=(), init=False)
    _started: float | None = field(default=None, init=False, repr=False)

    def unavailable(self) -> str | None:
        """Ask for a positive number of watts; there is no default, since no machine's power is known without a sensor."""
        if self.watts is None:
            return "no power is declared; give it in the suite, for example `{target: constant-power, watts: 5}`"
        if not (math.isfinite(self.watts) and self.watts > 0):
            return f"watts is {self.watts}; expected a positive number: give the board's nominal power"
        self.notes = (f"declared: {self.watts:g} W, whatever the load",)
        return None

    def start(self) -> None:
        """Begin a window."""
        self._started = time.perf_counter()

    def stop(self) -> list[Reading]:
        """Return declared watts x seconds since `start`."""
        now = time.perf_counter()
        if self._started is None or self.watts is None:
            raise MeterError("constant-power: stop() without start(), or no watts; probe the meter and begin a window")
        seconds, self._started = now - self._started, None
        return [Reading("energy", self.watts * seconds, Provenance.ESTIMATED, "board")]

    def close(self) -> None:
        """Nothing to release."""
