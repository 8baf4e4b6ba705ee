"""RAPL energy counters of package, core, uncore, DRAM and platform, read from the Linux powercap tree.

A zone `intel-rapl:0:2` holds `name`, `energy_uj` and `max_energy_range_uj`; the counter wraps at the latter (Linux,
Documentation/power/powercap). `core` and `uncore` are parts of their package, `dram` is beside it, `psys` holds all.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fobench.contracts import MeterError, Provenance, Reading, total_channels
from fobench.meters.mirrors import WINDOWS, Mirrors
from fobench.meters.msr import energy_filter

ZONE = re.compile(r"(?P<control>intel-rapl[a-z-]*)(?P<index>(?::\d+)*)")

UPDATE_PERIOD_S = 0.001
"""Refresh of the counters (Khan et al. 2018, ACM TOMPECS 3(2), doi 10.1145/3177754)."""

STUCK_AFTER_S = 10 * UPDATE_PERIOD_S
"""A counter that stands still for this long is not counting; it is left out instead of giving 0 J."""

PROBE_S = 0.02
"""Length of a window in which the probe looks for mirrored packages."""

ABSENT = (
    "no RAPL zone under {root}; load the driver (`sudo modprobe intel_rapl_msr`) or take a machine that has the counters: "
    "most virtual machines hide them"
)
UNREADABLE = (
    "RAPL is present but unreadable ({reasons}); allow it with a udev rule (docs/meters.md), until the next boot with "
    "`sudo chmod a+r /sys/class/powercap/*/energy_uj`, or give the process CAP_DAC_READ_SEARCH"
)


@dataclass(frozen=True)
class Zone:
    """One counter: the folder that holds it, its driver, its channel, and where it wraps (None: not told)."""

    folder: Path
    control: str
    channel: str
    range_uj: int | None

    def read_uj(self) -> int:
        """Return the counter in microjoules; OSError or ValueError if it cannot be read."""
        return read_integer(self.folder / "energy_uj")

    def read(self) -> float | None:
        """Return the counter in joules, or None if it cannot be read."""
        try:
            return self.read_uj() / 1e6
        except (OSError, ValueError):
            return None


def read_integer(path: Path) -> int:
    """Read a file that holds one integer."""
    return int(path.read_bytes())


def find_zones(root: Path) -> list[Zone]:
    """Return every zone under `root`, flat or nested, named by the path of `name`s that leads to it."""
    folders = _folders(root, {})
    names = {zone: _name(folder) for zone, folder in folders.items()}
    zones = []
    for zone, folder in sorted(folders.items()):
        control, *index = zone.split(":")
        ancestors = (":".join([control, *index[: depth + 1]]) for depth in range(len(index)))
        channel = "/".join(names.get(ancestor, ancestor) for ancestor in ancestors)
        try:
            range_uj = read_integer(folder / "max_energy_range_uj") or None
        except (OSError, ValueError):
            range_uj = None
        zones.append(Zone(folder, control, channel, range_uj))
    return zones


def _folders(folder: Path, found: dict[str, Path]) -> dict[str, Path]:
    """Collect zone folders by zone id; sysfs shows them in a flat list of links and once more in each other."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return found
    for entry in entries:
        zone = ZONE.fullmatch(entry.name)
        if zone and entry.name not in found and entry.is_dir():
            if zone["index"]:
                found[entry.name] = entry
            _folders(entry, found)
    return found


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text().strip() or folder.name
    except OSError:
        return folder.name


def drop_copies(zones: list[Zone]) -> list[Zone]:
    """Keep one of the zones that show the same part through two drivers (MSR and MMIO): the first driver's by name.

    Zones of one driver that bear the same name are different parts; their folder's name tells them apart.
    """
    kept: list[Zone] = []
    for channel in dict.fromkeys(zone.channel for zone in zones):
        alike = [zone for zone in zones if zone.channel == channel]
        first = [zone for zone in alike if zone.control == min(other.control for other in alike)]
        if len(first) > 1:
            first = [Zone(z.folder, z.control, f"{channel}[{z.folder.name}]", z.range_uj) for z in first]
        kept += first
    return kept


class Accumulator:
    """Sums the differences of one counter over a window; a lost counter stays lost until the next window."""

    def __init__(self, zone: Zone, max_power_w: float) -> None:
        self.zone = zone
        self._max_power_w = max_power_w
        self.begin()

    def begin(self) -> None:
        """Begin a window."""
        self.lost = ""
        self.total_uj = 0
        self._last_uj = 0
        self._began_s = self._last_s = time.perf_counter()
        self._guard(self._first)

    def advance(self) -> None:
        """Add what was used since the last read."""
        if not self.lost:
            self._guard(self._next)

    def end(self) -> None:
        """Add the rest; a counter that never moved is lost."""
        self.advance()
        if not self.lost and self.total_uj == 0 and self.seconds >= STUCK_AFTER_S:
            self.lost = f"stuck at {self._last_uj} uJ for {self.seconds:.3g} s"

    @property
    def seconds(self) -> float:
        """Return the time between the first and the last read."""
        return self._last_s - self._began_s

    def _guard(self, read: Callable[[], None]) -> None:
        try:
            read()
        except (OSError, ValueError) as error:
            self.lost = _reason(error)

    def _first(self) -> None:
        self._last_uj = self.zone.read_uj()

    def _next(self) -> None:
        now_uj, now_s = self.zone.read_uj(), time.perf_counter()
        used_uj = now_uj - self._last_uj
        if used_uj < 0:
            used_uj = self._unwrap(used_uj, now_s - self._last_s)
        self.total_uj += used_uj
        self._last_uj, self._last_s = now_uj, now_s

    def _unwrap(self, used_uj: int, seconds: float) -> int:
        """Take a negative difference for a wrap, unless that means most of the range at an impossible power."""
        if self.zone.range_uj is None:
            raise ValueError("it ran backwards and tells no max_energy_range_uj")
        used_uj += self.zone.range_uj
        # A refresh that came late may hold the energy of some periods before.
        possible_uj = 1e6 * self._max_power_w * (seconds + STUCK_AFTER_S)
        if used_uj < 0 or used_uj > max(self.zone.range_uj / 2, possible_uj):
            raise ValueError(f"it ran backwards (a wrap would mean {used_uj / 1e6:.6g} J in {seconds:.3g} s)")
        return used_uj


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


@dataclass
class RAPL:
    """Measures `energy` of every readable zone under `root`; no zone draws more than `max_power_w` watts.

    A package that mirrors another is left out, from the moment on that it is found. `devices` holds `cpu/0/msr`.

    A thread reads the counters twice in the time in which the smallest range can be used up at that power, so that no wrap
    is missed however long a window is (32 s at 65.5 kJ and 1 kW).
    """

    root: str = "/sys/class/powercap"
    max_power_w: float = 1000.0
    devices: str = "/dev"
    update_period_s: float = field(default=UPDATE_PERIOD_S, init=False)
    notes: tuple[str, ...] = field(default=(), init=False)
    _counters: list[Accumulator] = field(default_factory=list, init=False, repr=False)
    _mirrors: Mirrors = field(default_factory=Mirrors, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    _sampler: threading.Thread | None = field(default=None, init=False, repr=False)
    _closed: threading.Event = field(default_factory=threading.Event, init=False, repr=False, compare=False)

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the readable zones by path: `package-0`, `package-0/dram`, `psys`."""
        return tuple(counter.zone.channel for counter in self._counters)

    def unavailable(self) -> str | None:
        """Look for zones and read each once; those that cannot be read are left out and named in `notes`."""
        self.close()
        zones = find_zones(Path(self.root))
        if not zones:
            return ABSENT.format(root=self.root)
        reasons = {zone: _unreadable(zone) for zone in zones}
        readable = drop_copies([zone for zone in zones if not reasons[zone]])
        if not readable:
            return UNREADABLE.format(reasons="; ".join(f"{zone.channel}: {reasons[zone]}" for zone in zones))
        self._counters = [Accumulator(zone, self.max_power_w) for zone in readable]
        self._mirrors = Mirrors()
        self.notes = tuple(f"{zone.channel}: unreadable ({reason})" for zone, reason in reasons.items() if reason)
        self._probe_mirrors()
        total = " + ".join(name for name in self.channels if name in total_channels(self.channels))
        self.notes += (f"total: {total}", f"energy filter: {energy_filter(Path(self.devices))}")
        return None

    def start(self) -> None:
        """Begin a window."""
        if not self._counters:
            raise MeterError("rapl: start() before unavailable() said None; probe the meter first")
        if self._sampler is None:
            self._start_sampler()
        with self._lock:
            for counter in self._counters:
                counter.begin()

    def stop(self) -> list[Reading]:
        """Return the joules of each zone since `start`; a counter that vanished, stuck or ran backwards is left out."""
        with self._lock:
            for counter in self._counters:
                counter.end()
            readings = [
                Reading("energy", counter.total_uj / 1e6, Provenance.MEASURED, counter.zone.channel)
                for counter in self._counters
                if not counter.lost
            ]
            self._drop_mirrors()
        if not readings:
            reasons = "; ".join(f"{counter.zone.channel}: {counter.lost}" for counter in self._counters)
            raise MeterError(f"rapl: no counter could be read ({reasons}); see `fobench doctor`")
        return readings

    def close(self) -> None:
        """End the thread."""
        if self._sampler is not None:
            self._closed.set()
            self._sampler.join()
        self._sampler = None
        self._counters = []

    def sense(self) -> list[Reading]:
        """Return every counter as it stands, in joules, wraps and all."""
        values = {counter.zone.channel: counter.zone.read() for counter in self._counters}
        return [Reading("energy", j, Provenance.MEASURED, channel) for channel, j in values.items() if j is not None]

    def _probe_mirrors(self) -> None:
        """Watch several packages over short windows; counters that stand still tell nothing and are not waited for."""
        packages = [counter for counter in self._counters if _is_package(counter)]
        for _ in range(WINDOWS if len(packages) > 1 else 0):
            for counter in packages:
                counter.begin()
            time.sleep(PROBE_S)
            for counter in packages:
                counter.end()
            if not any(counter.total_uj for counter in packages):
                break
            self._drop_mirrors()

    def _drop_mirrors(self) -> None:
        """Compare the packages' last window; leave out, with all its parts, one that has turned out to be a copy."""
        packages = [counter for counter in self._counters if _is_package(counter)]
        energies_uj = {counter.zone.channel: counter.total_uj for counter in packages if not counter.lost}
        self._mirrors.add(energies_uj, max((counter.seconds for counter in packages), default=0.0))
        present = set(self.channels)
        for copy, original in self._mirrors.copies().items():
            if {copy, original} <= present:
                self._counters = [c for c in self._counters if c.zone.channel.split("/")[0] != copy]
                self.notes += (f"{copy}: left out, it mirrors {original} (equal energies over several windows)",)

    def _start_sampler(self) -> None:
        ranges = [counter.zone.range_uj for counter in self._counters if counter.zone.range_uj]
        if not ranges:
            return
        period_s = max(min(ranges) / 1e6 / self.max_power_w / 2, UPDATE_PERIOD_S)
        self._closed.clear()
        self._sampler = threading.Thread(target=self._sample, args=(period_s,), name="fobench-rapl", daemon=True)
        self._sampler.start()

    def _sample(self, period_s: float) -> None:
        while not self._closed.wait(period_s):
            with self._lock:
                for counter in self._counters:
                    counter.advance()


def _is_package(counter: Accumulator) -> bool:
    return counter.zone.channel.startswith("package") and "/" not in counter.zone.channel


def _unreadable(zone: Zone) -> str:
    """Say why a zone's counter cannot be read; empty if it can."""
    try:
        zone.read_uj()
    except (OSError, ValueError) as error:
        return _reason(error)
    return ""
