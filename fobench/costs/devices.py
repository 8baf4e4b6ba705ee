"""Device profiles: what is known of a chip, each value with its source; what has no source is absent.

A profile is a YAML file. `cycles_per_mac` and `energy_per_mac` (pJ) stand by kind of network, as MLPerf Tiny measures them
(`kws` depthwise on small maps, `vww` depthwise on large maps, `ic` convolutions, `ad` dense), or as `any`; `power` (W) by
mode. Units: `clock` Hz, `ram` and `flash` bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fobench import documents
from fobench.contracts import FobenchError
from fobench.documents import Document, DocumentError, Form, Place
from fobench.plugins import nearest

KINDS = ("kws", "vww", "ic", "ad", "any")
SINGLE = ("clock", "ram", "flash")
BY_KIND = ("cycles_per_mac", "energy_per_mac")
TEXTS = ("name", "core", "note")
KEYS = (*TEXTS, *SINGLE, *BY_KIND, "power")
BUILT_IN = Path(__file__).parent.parent / "devices"


class DeviceError(DocumentError):
    """A device profile that is not valid: all its problems at once, each with its line."""

    refused = "nothing was computed"


FORM = Form("device", ", ".join(KEYS), DeviceError)


@dataclass(frozen=True)
class Value:
    """A number with its spread, where its source has one, and the source."""

    value: float
    source: str
    low: float | None = None
    high: float | None = None

    @property
    def spread(self) -> tuple[float, float]:
        """Lowest and highest; of a single figure the figure itself, twice."""
        return (self.value if self.low is None else self.low, self.value if self.high is None else self.high)


@dataclass(frozen=True)
class Device:
    """One chip or board; a value that nobody has a source for is None or not in its mapping."""

    name: str
    core: str | None = None
    note: str | None = None
    clock: Value | None = None
    ram: Value | None = None
    flash: Value | None = None
    cycles_per_mac: Mapping[str, Value] = field(default_factory=dict)
    energy_per_mac: Mapping[str, Value] = field(default_factory=dict)
    power: Mapping[str, Value] = field(default_factory=dict)

    @property
    def absent(self) -> tuple[str, ...]:
        """What this profile has no value for."""
        return tuple(name for name in (*SINGLE, *BY_KIND) if not getattr(self, name))


def built_in() -> dict[str, Path]:
    """Return the profiles that come with fobench, by name."""
    return {path.stem: path for path in sorted(BUILT_IN.glob("*.yaml"))}


def device(name: str, folders: tuple[Path, ...] = ()) -> Device:
    """Return a device by its name (capitals do not matter), from `folders` first, or by the path of its file."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return read(path)
    known = {
        **{stem.lower(): file for stem, file in built_in().items()},
        **{file.stem.lower(): file for folder in folders for file in sorted(folder.glob("*.yaml"))},
    }
    if name.lower() not in known:
        names = sorted(file.stem for file in known.values())
        raise FobenchError(
            f"no device is called {name!r}; {nearest(name, names)}; or give the path of a profile (.yaml)"
        )
    return read(known[name.lower()])


def read(path: Path) -> Device:
    """Read one profile; raises DeviceError with every problem and its line."""
    document = documents.read(path, FORM)
    fields = dict(_fields(document))
    if not fields.get("name"):
        document.problem((), "a device needs a name")
    if document.problems:
        raise DeviceError(path, document.problems)
    return Device(**fields)


def _fields(document: Document) -> Iterator[tuple[str, Any]]:
    for name, value in document.value.items():
        if name not in KEYS:
            document.problem((name,), f"a device has no {name!r}; {nearest(name, list(KEYS))}", at_key=True)
        elif name in TEXTS:
            if not isinstance(value, str) or not value.strip():
                document.problem((name,), f"{name} is {documents.shown(value)}; expected text")
            yield name, value
        elif name in SINGLE:
            yield name, _value(document, (name,), value)
        else:
            yield name, _by_key(document, name, value)


def _by_key(document: Document, name: str, given: Any) -> dict[str, Value | None]:
    """Read values by kind of network, or for `power` by mode."""
    if not isinstance(given, dict) or not given:
        document.problem((name,), f"{name} is {documents.shown(given)}; expected a mapping of values")
        return {}
    for key in given:
        if name in BY_KIND and key not in KINDS:
            document.problem((name, key), f"{key!r} is no kind of network; {nearest(key, list(KINDS))}", at_key=True)
    return {key: _value(document, (name, key), value) for key, value in given.items()}


def _value(document: Document, place: Place, given: Any) -> Value | None:
    """Read `{value, source}` with `low` and `high` where there is a spread."""
    what = " of ".join(str(part) for part in reversed(place))
    if not isinstance(given, dict):
        document.problem(place, f"{what} is {documents.shown(given)}; expected a mapping with value and source")
        return None
    for name in given:
        if name not in ("value", "source", "low", "high"):
            document.problem((*place, name), f"a value has no {name!r}; expected value, source, low, high", at_key=True)
    source = given.get("source")
    if not isinstance(source, str) or not source.strip():
        document.problem(
            (*place, "source") if "source" in given else place,
            f"{what} has no source; say where the number is from, or leave it out",
        )
        return None
    numbers = {name: _positive(document, (*place, name), given.get(name)) for name in ("value", "low", "high")}
    value, low, high = numbers["value"], numbers["low"], numbers["high"]
    if value is None:
        if "value" not in given:
            document.problem(place, f"{what} has no value")
        return None
    if (low is not None and low > value) or (high is not None and high < value) or (low is None) != (high is None):
        document.problem(place, f"{what}: expected low <= value <= high, both or neither")
    return Value(value, source, low, high)


def _positive(document: Document, place: Place, given: Any) -> float | None:
    if given is None and place not in document.marks:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or given <= 0:
        document.problem(place, f"{place[-1]} is {documents.shown(given)}; expected a number above 0")
        return None
    return float(given) if isinstance(given, float) else given
