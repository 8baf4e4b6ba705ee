"""Sensors, counters and hosts that are scripted, so that meters and runs are tested without the real ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

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


class PowercapTree:
    """A scripted powercap tree below `base`, laid out as sysfs does it; `root` is what the meter `rapl` is given.

    Zones are named as the kernel names them: `intel-rapl:0`, its part `intel-rapl:0:1`, the copy `intel-rapl-mmio:0`.
    """

    def __init__(self, base: Path) -> None:
        self.root = base / "class" / "powercap"
        self.root.mkdir(parents=True)
        self._devices = base / "devices" / "virtual" / "powercap"

    def add(self, zone: str, name: str, energy_uj: int = 0, range_uj: int | None = 262_143_328_850) -> PowercapTree:
        """Add a zone; parents come first. `range_uj=None` leaves `max_energy_range_uj` out."""
        control, *index = zone.split(":")
        parts = [":".join([control, *index[:depth]]) for depth in range(len(index) + 1)]
        folder = self._devices.joinpath(*parts)
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "subsystem").symlink_to(self.root)
        if range_uj is not None:
            (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        (self.root / zone).symlink_to(folder)
        if not (self.root / control).exists():
            (self.root / control).symlink_to(self._devices / control)
        self.set(zone, energy_uj)
        return self

    def set(self, zone: str, energy_uj: int) -> None:
        """Set a counter; a reader sees the old value or the new one."""
        folder = (self.root / zone).resolve()
        (folder / "energy_uj.new").write_text(f"{energy_uj}\n")
        (folder / "energy_uj.new").replace(folder / "energy_uj")

    def advance(self, zone: str, joules: float) -> None:
        """Count `joules` on, wrapping at the zone's range as often as need be."""
        folder = (self.root / zone).resolve()
        energy_uj = int((folder / "energy_uj").read_text()) + round(joules * 1e6)
        self.set(zone, energy_uj % int((folder / "max_energy_range_uj").read_text()))

    def deny(self, zone: str) -> None:
        """Make a counter unreadable, for root too: a folder stands in its place."""
        self.remove(zone)
        (self.root / zone / "energy_uj").mkdir()

    def remove(self, zone: str) -> None:
        """Take a counter away, as an unplugged device does."""
        (self.root / zone / "energy_uj").unlink()


class SimulatedHost:
    """A host on simulated time, for calibrations: only sleeping moves its clock; it draws `idle_w`, or `busy_w` under load."""

    def __init__(self, idle_w: float = 5.0, busy_w: float = 20.0) -> None:
        self._powers = (idle_w, busy_w)
        self._switched = [(0.0, 0.0, idle_w)]  # since when (s), joules until then, watts from then on
        self._now = 0.0

    def now(self) -> float:
        """Return the simulated time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self._now += seconds

    def load(self, busy: bool) -> None:
        """Switch the load."""
        self._switched.append((self._now, self.joules(self._now), self._powers[busy]))

    def joules(self, at: float) -> float:
        """Return the energy used until a time."""
        since, joules, watts = next(entry for entry in reversed(self._switched) if entry[0] <= max(at, 0.0))
        return joules + watts * (max(at, 0.0) - since)


@dataclass
class SimulatedMeter:
    """A counter of a `SimulatedHost`, one channel per entry of `shares` of its energy, with the faults that are given.

    The counter refreshes every `period_s`, `lag_s` late, in steps of `quantum_j`; it wraps at `range_j`, stands still after
    `stuck_after_s`, and is `setback_j` short in every tenth refresh.
    """

    host: SimulatedHost
    period_s: float = 0.01
    quantum_j: float = 61e-6
    lag_s: float = 0.0
    range_j: float = 65_532.6
    stuck_after_s: float = float("inf")
    setback_j: float = 0.0
    shares: Sequence[float] = (1.0,)
    update_period_s: float = 0.01
    _started: dict[str, float] = field(default_factory=dict, init=False)

    @property
    def channels(self) -> tuple[str, ...]:
        """Return `package-N`."""
        return tuple(f"package-{index}" for index in range(len(self.shares)))

    def unavailable(self) -> str | None:
        """Return None."""

    def start(self) -> None:
        """Begin a window."""
        self._started = self._values()

    def stop(self) -> list[Reading]:
        """Return the differences as a meter does that knows nothing of its counter's faults."""
        used = {channel: value - self._started[channel] for channel, value in self._values().items()}
        return [Reading("energy", joules, Provenance.MEASURED, channel) for channel, joules in used.items()]

    def sense(self) -> list[Reading]:
        """Return the counters."""
        return [Reading("energy", value, Provenance.MEASURED, channel) for channel, value in self._values().items()]

    def close(self) -> None:
        """Nothing to release."""

    def _values(self) -> dict[str, float]:
        refresh = int(min(self.host.now(), self.stuck_after_s) / self.period_s + 1e-9)
        joules = self.host.joules(refresh * self.period_s - self.lag_s)
        offset = 0.0 if refresh % 10 == 9 else self.setback_j
        values = (int(share * joules / self.quantum_j) * self.quantum_j + offset for share in self.shares)
        return {channel: value % self.range_j for channel, value in zip(self.channels, values, strict=True)}


class _SysfsFile:
    """A file as sysfs gives it: opened once, and read anew from its beginning after each `seek(0, 0)`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.read_text()

    def seek(self, offset: int, whence: int) -> None:
        """Do nothing: every `readline` reads the file anew."""

    def readline(self) -> str:
        """Return the first line as it stands now."""
        return self._path.read_text().splitlines(keepends=True)[0]

    def close(self) -> None:
        """Nothing to release."""


@contextmanager
def pyrapl_reads(tree: PowercapTree, sockets: int = 1) -> Iterator[None]:
    """Let the module pyRAPL, whose paths are fixed, read a scripted tree and a processor of so many sockets of one core."""
    import pyRAPL.device_api as module

    topology = {"/sys/devices/system/cpu/present": f"0-{sockets - 1}\n" if sockets > 1 else "0\n"}
    for socket in range(sockets):
        topology[f"/sys/devices/system/cpu/cpu{socket}/topology/physical_package_id"] = f"{socket}\n"

    def below(path: str) -> Path:
        return tree.root / Path(path).relative_to("/sys/class/powercap")

    def open_(path: str, mode: str = "r") -> io.StringIO | _SysfsFile:
        return io.StringIO(topology[path]) if path in topology else _SysfsFile(below(path))

    exists = SimpleNamespace(path=SimpleNamespace(exists=lambda path: below(path).exists()))
    with mock.patch.object(module, "open", open_, create=True), mock.patch.object(module, "os", exists):
        yield


class HwmonTree:
    """A scripted hwmon tree; `root` is what the meter `hwmon` is given. Values are those of the kernel: uW, mV, mA, ms."""

    def __init__(self, base: Path) -> None:
        self.root = base / "class" / "hwmon"
        self.root.mkdir(parents=True)

    def add(self, folder: str, name: str, **files: str | int) -> HwmonTree:
        """Add a sensor, such as `hwmon0`, or `1-0040/hwmon/hwmon3` as below a driver's folder."""
        (self.root / folder).mkdir(parents=True)
        return self.set(folder, name=name, **files)

    def set(self, folder: str, **files: str | int) -> HwmonTree:
        """Set files of a sensor; a reader sees the old value or the new one."""
        for name, value in files.items():
            (self.root / folder / f"{name}.new").write_text(f"{value}\n")
            (self.root / folder / f"{name}.new").replace(self.root / folder / name)
        return self

    def deny(self, folder: str, name: str) -> None:
        """Make a file unreadable, for root too: a folder stands in its place."""
        (self.root / folder / name).unlink()
        (self.root / folder / name).mkdir()

    def remove(self, folder: str) -> None:
        """Unplug a sensor."""
        for path in (self.root / folder).iterdir():
            path.unlink()
        (self.root / folder).rmdir()


class FakeNVMLError(Exception):
    """Stands for `pynvml.NVMLError`; the classes below for those of its kinds that tests need."""


class NVMLError_LibraryNotFound(FakeNVMLError):  # noqa: N801, N818 (NVML's own name)
    """No driver."""


class NVMLError_NotSupported(FakeNVMLError):  # noqa: N801, N818 (NVML's own name)
    """The GPU does not have this reading."""


class NVMLError_GpuIsLost(FakeNVMLError):  # noqa: N801, N818 (NVML's own name)
    """The GPU fell off the bus."""


@dataclass
class FakeGPU:
    """One GPU of `FakeNVML`: a value, a function that gives one, or None for a reading that it does not support."""

    energy_mj: int | None = None
    power_mw: int | Callable[[], int] | None = None
    instant_mw: int | Callable[[], int] | None = None
    uuid: str = "GPU-0000"
    lost: bool = False


class FakeNVML:
    """Stands for the module `pynvml` (put it into `sys.modules`); its GPUs are scripted by setting their fields."""

    NVMLError = FakeNVMLError
    NVML_FI_DEV_POWER_INSTANT = 186

    def __init__(self, *gpus: FakeGPU, error: Exception | None = None) -> None:
        self.gpus = gpus
        self.error = error
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        """Start, or raise the scripted error."""
        if self.error:
            raise self.error
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        """Undo one `nvmlInit`."""
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """Return the number of GPUs."""
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGPU:  # noqa: N802
        """Return the GPU itself as its handle."""
        return self.gpus[index]

    def nvmlDeviceGetUUID(self, gpu: FakeGPU) -> str:  # noqa: N802
        """Return its UUID."""
        return gpu.uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: FakeGPU) -> int:  # noqa: N802
        """Return its counter in millijoules."""
        return self._answer(gpu, gpu.energy_mj)

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGPU) -> int:  # noqa: N802
        """Return its power in milliwatts."""
        return self._answer(gpu, gpu.power_mw)

    def nvmlDeviceGetFieldValues(self, gpu: FakeGPU, fields: Sequence[int]) -> list[SimpleNamespace]:  # noqa: N802
        """Return its instant power in milliwatts, the only field that it has, each with an error code of its own."""
        answers = []
        for field_id in fields:
            supported = field_id == self.NVML_FI_DEV_POWER_INSTANT and gpu.instant_mw is not None
            value = SimpleNamespace(uiVal=self._answer(gpu, gpu.instant_mw) if supported else 0)
            answers.append(SimpleNamespace(nvmlReturn=0 if supported else 3, value=value))
        return answers

    def _answer(self, gpu: FakeGPU, value: int | Callable[[], int] | None) -> int:
        if gpu.lost:
            raise NVMLError_GpuIsLost("GPU is lost")
        if value is None:
            raise NVMLError_NotSupported("Not Supported")
        return value() if callable(value) else value
