"""What can spoil a window: each guard watches one thing over it and says at its end why the window must not be used.

Guards read procfs, sysfs and clocks outside the meters' span, so that their own cost lies between windows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fobench.contracts import Plan, Reading

STEAL_LIMIT = 0.05
"""Share of the CPU time that a hypervisor may take in a window: as much as makes a cell unstable on average."""

SWAP_LIMIT = 2**20
"""Bytes that may go to or come from swap in a window: below, the kernel is tidying up, not thrashing."""

SUSPEND_LIMIT_S = 0.1
"""Seconds that the two clocks may drift apart without a suspend."""

FEWEST_TICKS = 20
"""Below this, clock ticks of 10 ms are too coarse for a share."""


class Guard(Protocol):
    """Watches one thing over a window."""

    def unavailable(self) -> str | None:
        """Say in one phrase why this guard sees nothing here, or None if it sees."""

    def start(self) -> None:
        """Begin a window."""

    def stop(self, readings: Sequence[Reading]) -> str:
        """End the window, whose readings are given; return why it must not be used, or nothing."""


def open_guards(plan: Plan, root: Path = Path("/")) -> tuple[list[Guard], list[str]]:
    """Return the guards of a plan that see something below `root`, and a note for each that does not."""
    every: dict[str, Guard] = {
        "foreign-cpu": ForeignCPU(plan.foreign_cpu_limit),
        "steal": Steal(root),
        "throttling": throttling(root),
        "swap": swap(root),
        "suspend": suspend(),
        "battery": Battery(root),
    }
    reasons = {name: every[name].unavailable() for name in plan.guards}
    notes = [f"the guard {name} sees nothing here: {reason}" for name, reason in reasons.items() if reason]
    return [every[name] for name, reason in reasons.items() if not reason], notes


@dataclass
class ForeignCPU:
    """Fires when other programs used more than `limit` (0 to 1) of the host's CPU time; the meter `host` has read it."""

    limit: float

    def unavailable(self) -> None:
        """Return None: a host that could not be read has no reading, and then nothing fires."""

    def start(self) -> None:
        """Begin a window."""

    def stop(self, readings: Sequence[Reading]) -> str:
        """Compare the share with the limit."""
        shares = [reading.value for reading in readings if reading.quantity == "foreign_cpu"]
        above = [share for share in shares if share > self.limit]
        return f"other programs used {above[0]:.0%} of the CPU (limit {self.limit:.0%})" if above else ""


@dataclass
class Rise:
    """Fires when a counter rises by more than `limit` over a window; `told` is the reason with a place for the rise."""

    counter: Callable[[], float | None]
    limit: float
    told: str
    missing: str
    _before: float | None = field(default=None, init=False)

    def unavailable(self) -> str | None:
        """Say what is missing if there is no such counter."""
        return self.missing if self.counter() is None else None

    def start(self) -> None:
        """Note where the counter stands."""
        self._before = self.counter()

    def stop(self, readings: Sequence[Reading]) -> str:
        """Compare the rise with the limit; a counter that went away says nothing."""
        after = self.counter()
        rise = 0.0 if after is None or self._before is None else after - self._before
        return self.told.format(rise) if rise > self.limit else ""


def throttling(root: Path) -> Rise:
    """Watch how often any processor was slowed down for its temperature."""

    def events() -> float | None:
        counters = _numbers((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
        return sum(counters) if counters else None

    return Rise(events, 0, "throttled: the thermal counters rose by {:.0f}", "no thermal_throttle counters")


def swap(root: Path) -> Rise:
    """Watch the bytes that went to or came from swap."""
    page = os.sysconf("SC_PAGE_SIZE")

    def moved() -> float | None:
        pages = [
            int(line.split()[1])
            for line in _text(root / "proc/vmstat").splitlines()
            if line.startswith(("pswpin ", "pswpout "))
        ]
        return sum(pages) * page if pages else None

    return Rise(moved, SWAP_LIMIT, "swapped: {:.0f} bytes", "no swap counters in vmstat")


def _slept_s() -> float | None:
    """Return how long the machine has been suspended since it booted, in seconds."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def suspend(slept_s: Callable[[], float | None] = _slept_s) -> Rise:
    """Watch whether the machine slept: the one clock goes on then, the other does not."""
    return Rise(slept_s, SUSPEND_LIMIT_S, "suspended for {:.1f} s", "no CLOCK_BOOTTIME")


@dataclass
class Steal:
    """Fires when the hypervisor gave more than `STEAL_LIMIT` of the CPU time to other machines; `root` holds proc."""

    root: Path
    _before: tuple[int, int] = field(default=(0, 0), init=False)

    def unavailable(self) -> str | None:
        """Say so if there are no CPU times."""
        return None if self._ticks() else "no CPU times in proc/stat"

    def start(self) -> None:
        """Note the ticks."""
        self._before = self._ticks() or (0, 0)

    def stop(self, readings: Sequence[Reading]) -> str:
        """Compare the share with the limit."""
        after = self._ticks() or self._before
        stolen, total = (now - then for now, then in zip(after, self._before, strict=True))
        share = stolen / total if total >= FEWEST_TICKS else 0.0
        return f"the hypervisor took {share:.0%} of the CPU (limit {STEAL_LIMIT:.0%})" if share > STEAL_LIMIT else ""

    def _ticks(self) -> tuple[int, int] | None:
        """Return stolen and all ticks; the eighth number is steal, the two after it are part of the first two."""
        words = _text(self.root / "proc/stat").partition("\n")[0].split()[1:9]
        ticks = [int(word) for word in words]
        return (ticks[7], sum(ticks)) if len(ticks) == 8 else None


@dataclass
class Battery:
    """Fires when a battery feeds the machine at the start or at the end: clocks and chargers then change with its charge."""

    root: Path
    _before: bool = field(default=False, init=False)

    def unavailable(self) -> str | None:
        """Say so if there is no battery."""
        return None if self._batteries() else "no battery"

    def start(self) -> None:
        """Note whether a battery feeds the machine."""
        self._before = self._discharging()

    def stop(self, readings: Sequence[Reading]) -> str:
        """Say whether it runs on battery or the supply has changed."""
        after = self._discharging()
        if after != self._before:
            return "the power supply changed " + ("to battery" if after else "from battery")
        return "on battery power; if that is meant, leave battery out of plan.guards" if after else ""

    def _batteries(self) -> list[Path]:
        """Return the machine's own batteries; those of mice and pens have the scope Device."""
        supplies = (self.root / "sys/class/power_supply").glob("*")
        return [path for path in supplies if _text(path / "type") == "Battery" and _text(path / "scope") != "Device"]

    def _discharging(self) -> bool:
        return any(_text(battery / "status") == "Discharging" for battery in self._batteries())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _numbers(paths: Iterable[Path]) -> list[int]:
    return [int(text) for path in paths if (text := _text(path)).isdecimal()]
