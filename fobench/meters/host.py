"""How busy others kept the host during a window: power meters see the machine, not the process.

Foreign share = (busy - own) / total, in clock ticks of /proc/stat (proc(5)): total is the sum of user, nice, system, idle,
iowait, irq, softirq and steal; busy is total without idle and iowait, so steal counts as foreign; own is the user and
system time of this process, its descendants and the children it has waited for. Where a cluster's engine runs the cell, its share
stands beside it, from the nanoseconds of /proc/PID/task/*/schedstat: the engine is meant to use less than a tick.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fobench.contracts import ENGINE_VARIABLE, MeterError, Provenance, Reading

SHORTEST_WINDOW_S = 0.2
"""Below this, the ticks of 10 ms are too coarse for a share."""


@dataclass(frozen=True)
class _Ticks:
    """Cumulated clock ticks: of all processors together, busy ones among them, and of the own process tree."""

    total: int
    busy: int
    own: int
    processors: int
    engine_s: float | None


@dataclass
class HostLoad:
    """Measures `foreign_cpu`: share (0 to 1) of the host's CPU time used outside this process tree; `root` is /proc.

    On a machine of a cluster also `engine_cpu`: what the engine used, which is part of the foreign share.
    """

    root: str = "/proc"
    update_period_s: float = field(default=SHORTEST_WINDOW_S / 10, init=False)
    channels: tuple[str, ...] = field(default=("total",), init=False)
    _started: _Ticks | None = field(default=None, init=False, repr=False)

    def unavailable(self) -> str | None:
        """Return None if the process table can be read, else what is missing."""
        try:
            self._read()
        except (OSError, ValueError, IndexError) as error:
            return f"no CPU times under {self.root} ({error}); mount procfs there"
        return None

    def start(self) -> None:
        """Begin a window."""
        self._started = self._try_read()

    def stop(self) -> list[Reading]:
        """Return the foreign share since `start`, and the engine's; nothing if the window is shorter than 0.2 s."""
        if self._started is None:
            raise MeterError("host: stop() without start(); begin a window first")
        before, self._started = self._started, None
        after = self._try_read()
        total, ticks_per_s = after.total - before.total, os.sysconf("SC_CLK_TCK")
        if total < SHORTEST_WINDOW_S * ticks_per_s * after.processors:
            return []
        foreign = (after.busy - before.busy) - max(after.own - before.own, 0)
        readings = [_share("foreign_cpu", foreign / total)]
        if before.engine_s is not None and after.engine_s is not None and after.engine_s >= before.engine_s:
            # where the sum falls it is not known: a thread that ended took its time with it
            readings.append(_share("engine_cpu", (after.engine_s - before.engine_s) * ticks_per_s / total))
        return readings

    def close(self) -> None:
        """Nothing to release."""

    def _try_read(self) -> _Ticks:
        try:
            return self._read()
        except (OSError, ValueError, IndexError) as error:
            raise MeterError(
                f"host: CPU times under {self.root} cannot be read ({error}); mount procfs there"
            ) from error

    def _read(self) -> _Ticks:
        first, *others = (Path(self.root) / "stat").read_text().splitlines()
        # guest time, the ninth and tenth field, is already part of user and nice
        user, nice, system, idle, iowait, irq, softirq, steal = (int(ticks) for ticks in first.split()[1:9])
        busy = user + nice + system + irq + softirq + steal
        processors = sum(line.startswith("cpu") for line in others)
        return _Ticks(busy + idle + iowait, busy, self._own(), processors, self._engine_s())

    def _engine_s(self) -> float | None:
        """Return the CPU seconds of the engine's processes; None without an engine, or if one cannot be read."""
        pids = os.environ.get(ENGINE_VARIABLE, "").split()
        try:
            return sum(map(self._seconds_of, pids)) if pids else None
        except (OSError, ValueError, IndexError):  # a kernel without schedstat, or a process of another user's
            return None

    def _seconds_of(self, pid: str) -> float:
        threads = list((Path(self.root) / pid / "task").iterdir())
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def _own(self) -> int:
        own = self._ticks_of(os.getpid())
        for child in self._descendants(os.getpid()):
            try:
                own += self._ticks_of(child)
            except (FileNotFoundError, ProcessLookupError):  # it ended just now: its parent's waited-for time holds it
                continue
        return own

    def _ticks_of(self, pid: int) -> int:
        """Return user and system ticks of a process and of the children it has waited for: fields 14 to 17."""
        text = (Path(self.root) / str(pid) / "stat").read_text()
        fields = text.rpartition(")")[2].split()  # the command, field 2, may hold spaces and parentheses
        return sum(int(ticks) for ticks in fields[11:15])

    def _descendants(self, pid: int) -> Iterator[int]:
        """Walk the live descendants of a process, by the list of children that each of its threads has."""
        for children in (Path(self.root) / str(pid) / "task").glob("*/children"):
            try:
                pids = [int(child) for child in children.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):  # the thread ended just now
                continue
            for child in pids:
                yield child
                yield from self._descendants(child)


def _share(quantity: str, value: float) -> Reading:
    return Reading(quantity, min(max(value, 0.0), 1.0), Provenance.MEASURED)
