"""Power sensors of boards through the kernel's hwmon: INA3221 (most Jetsons), INA238, INA226 and their like.

`powerN_input` is in microwatts, `inN_input` in millivolts, `currN_input` in milliamperes (Linux, Documentation/hwmon,
`sysfs-interface` and `ina3221`). The sensor averages: `samples` readings, one result every `update_interval` milliseconds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fobench.contracts import MeterError, Provenance, Reading, total_channels
from fobench.meters.sampling import Read, SamplerProcess

INPUTS = ("VDD_IN", "POM_5V_IN", "5V_IN", "VIN", "VIN_SYS", "VDD_MUX")
"""Rails that feed a whole module or carrier board, and with it every other rail of it, on the boards that have them.

`VIN_SYS_5V0` (AGX Orin) and `SYS5V` (AGX Xavier) are not among them: they are branches beside those of GPU and CPU.
"""

FOLDERS = ("*", "*/device", "*/hwmon/*", "*/device/hwmon/*")
"""Where a sensor's files are below the root, by age of the kernel and by the class or driver that the root shows."""

INA3221_RAILS = ("1", "2", "3")
"""Its other numbers are shunt voltages and a sum, which have no counterpart under the same number."""

ABSENT = (
    "no rail with power, or with voltage and current, under {root}; load the sensor's driver (`sudo modprobe ina3221`), "
    "or give the folder that has it as `root`"
)
UNREADABLE = "hwmon is present but unreadable ({reasons}); allow it with `sudo chmod a+r {root}/*/*_input`"


@dataclass(frozen=True)
class Rail:
    """One rail: the sensor's folder, the number in its file names, and its label."""

    folder: Path
    number: str
    label: str

    @property
    def watts(self) -> float:
        """Return the power now; OSError or ValueError if it cannot be read."""
        power = self.folder / f"power{self.number}_input"
        if power.exists():
            return int(power.read_bytes()) / 1e6
        millivolts, milliamperes = (
            int((self.folder / f"{kind}{self.number}_input").read_bytes()) for kind in ("in", "curr")
        )
        return millivolts * milliamperes / 1e6

    def read(self) -> float | None:
        """Return the power now, or None."""
        try:
            return self.watts
        except (OSError, ValueError):
            return None


def find_rails(root: Path) -> list[Rail]:
    """Return every rail under `root` that has power, or voltage and current, and is not switched off."""
    folders: dict[Path, Path] = {}
    for pattern in FOLDERS:
        for folder in sorted(root.glob(pattern)):
            if folder.is_dir():
                folders.setdefault(folder.resolve(), folder)
    return [rail for folder in folders.values() for rail in _rails(folder)]


def _rails(folder: Path) -> list[Rail]:
    files = {path.name for path in folder.glob("*_input")}
    numbers = {kind: set(re.findall(rf"\b{kind}(\d+)_input", " ".join(files))) for kind in ("power", "in", "curr")}
    chip = _text(folder / "name") or folder.name
    found = numbers["power"] | (numbers["in"] & numbers["curr"])
    if chip.startswith("ina3221"):
        found &= set(INA3221_RAILS)
    return [
        Rail(folder, number, _label(folder, number) or f"{chip}-{number}")
        for number in sorted(found, key=int)
        if _text(folder / f"in{number}_enable") != "0"
    ]


def _label(folder: Path, number: str) -> str | None:
    """Return the label of a rail, or of its sensor if that has only one."""
    names = [f"{kind}{number}_label" for kind in ("power", "in", "curr")]
    return next((text for name in [*names, "label"] if (text := _text(folder / name))), None)


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def name_channels(rails: Sequence[Rail], inputs: Sequence[str]) -> dict[str, Rail]:
    """Name the rails: `input/LABEL` for those that feed the others, else `rail/LABEL`; equal labels get their folder's name."""
    count = Counter(rail.label for rail in rails)
    channels = {}
    for rail in rails:
        label = rail.label if count[rail.label] == 1 else f"{rail.label}[{rail.folder.name}-{rail.number}]"
        channels[f"{'input' if rail.label in inputs else 'rail'}/{label}"] = rail
    return channels


def power_readers(root: str, inputs: Sequence[str]) -> dict[str, Read]:
    """Return a reader of watts for each channel; made in the sampling process."""
    return {channel: rail.read for channel, rail in name_channels(find_rails(Path(root)), inputs).items()}


@dataclass
class Hwmon:
    """Estimates `energy` of every rail under `root` from its power, sampled every `sample_period_s` seconds and integrated.

    `inputs` are the labels of the rails that feed all others: only they are added up, where a board has them.
    """

    root: str = "/sys/class/hwmon"
    sample_period_s: float = 0.1
    inputs: Sequence[str] = INPUTS
    channels: tuple[str, ...] = field(default=(), init=False)
    notes: tuple[str, ...] = field(default=(), init=False)
    _rails: dict[str, Rail] = field(default_factory=dict, init=False, repr=False)
    _interval_s: float = field(default=0.0, init=False, repr=False)
    _sampler: SamplerProcess | None = field(default=None, init=False, repr=False)

    @property
    def update_period_s(self) -> float:
        """Return the slowest of the sampling period and the sensors' update intervals."""
        return max(self.sample_period_s, self._interval_s)

    def unavailable(self) -> str | None:
        """Look for rails and read each once; those that cannot be read are left out and named in `notes`."""
        self.close()
        rails = name_channels(find_rails(Path(self.root)), self.inputs)
        if not rails:
            return ABSENT.format(root=self.root)
        reasons = {channel: _unreadable(rail) for channel, rail in rails.items()}
        self._rails = {channel: rail for channel, rail in rails.items() if not reasons[channel]}
        lost = [f"{channel}: unreadable ({reason})" for channel, reason in reasons.items() if reason]
        if not self._rails:
            return UNREADABLE.format(reasons="; ".join(lost), root=self.root)
        self.channels = tuple(self._rails)
        folders = dict.fromkeys(rail.folder for rail in self._rails.values())
        self._interval_s = max(_milliseconds(folder) for folder in folders) / 1e3
        total = " + ".join(name for name in self.channels if name in total_channels(self.channels))
        self.notes = (f"total: {total}", *(_settings(folder) for folder in folders), *lost)
        return self._start_sampler()

    def start(self) -> None:
        """Begin a window."""
        if self._sampler is None:
            raise MeterError("hwmon: start() before unavailable() said None; probe the meter first")
        self._sampler.start()

    def stop(self) -> list[Reading]:
        """Return the joules of each rail since `start`; one that vanished before its last sample is left out."""
        if self._sampler is None:
            raise MeterError("hwmon: stop() before unavailable() said None; probe the meter first")
        energies = self._sampler.stop()
        readings = [
            Reading("energy", joules, Provenance.ESTIMATED, channel)
            for channel in self.channels
            if (joules := energies.get(channel)) is not None
        ]
        if not readings:
            raise MeterError(f"hwmon: {', '.join(self.channels)} could not be read; see `fobench doctor`")
        return readings

    def sense(self) -> list[Reading]:
        """Return the power of each rail now."""
        watts = {channel: rail.read() for channel, rail in self._rails.items()}
        return [Reading("power", w, Provenance.MEASURED, channel) for channel, w in watts.items() if w is not None]

    def _start_sampler(self) -> str | None:
        arguments = [self.root, list(self.inputs)]
        try:
            self._sampler = SamplerProcess(f"{__name__}:{power_readers.__name__}", arguments, self.sample_period_s)
        except (MeterError, OSError) as error:
            return (
                f"hwmon: the process that samples does not start ({error}); run `python -m {SamplerProcess.__module__}`"
            )
        return None

    def close(self) -> None:
        """End the sampling process."""
        if self._sampler is not None:
            self._sampler.close()
        self._sampler, self._rails, self.channels = None, {}, ()


def _unreadable(rail: Rail) -> str:
    try:
        _ = rail.watts
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return ""


def _milliseconds(folder: Path) -> float:
    text = _text(folder / "update_interval") or ""
    return float(text) if text.isdecimal() else 0.0


def _settings(folder: Path) -> str:
    """Say how a sensor averages."""
    chip, samples, interval = (_text(folder / name) for name in ("name", "samples", "update_interval"))
    told = [
        f"samples {samples}" if samples else "samples not told",
        f"update_interval {interval} ms" if interval else "update_interval not told",
    ]
    return f"{folder.name} ({chip or 'unnamed'}): {', '.join(told)}"
