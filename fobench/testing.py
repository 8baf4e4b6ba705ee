"""Fakes and checks for those who write learners, meters or suites of their own.

A whole run with `FakeMeter` needs no sensor: `target: fobench.testing:FakeMeter` in the suite's meters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fobench.contracts import Provenance, Reading


@dataclass
class FakeMeter:
    """Replays a script of joules, one window after the other, from the start again when it ends.

    A script entry of None stands for a window in which the sensor could not be read; `absent` for a meter that is not there.
    """

    script: Sequence[float | None] = (1.0,)
    channel: str = "package-0"
    period_s: float = 0.001
    absent: str | None = None
    windows: int = field(default=0, init=False)

    @property
    def update_period_s(self) -> float:
        """Return the period that the fake was given."""
        return self.period_s

    @property
    def channels(self) -> tuple[str, ...]:
        """Return its single channel."""
        return (self.channel,)

    def unavailable(self) -> str | None:
        """Return the reason that the fake was given."""
        return self.absent

    def start(self) -> None:
        """Begin a window."""

    def stop(self) -> list[Reading]:
        """Return the next joules of the script."""
        joules = self.script[self.windows % len(self.script)]
        self.windows += 1
        return [] if joules is None else [Reading("energy", joules, Provenance.MEASURED, self.channel)]

    def close(self) -> None:
        """Nothing to release."""
