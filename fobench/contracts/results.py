"""What comes out: readings, where they belong, and the header of a result file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from fobench.contracts.cells import Cell
from fobench.contracts.vocabulary import SCHEMA_VERSION, UNITS, FobenchError, Json, Origin, Part, Phase, Provenance


@dataclass(frozen=True)
class Reading:
    """One value of one quantity, a finite number; the unit follows from the quantity, a wrong one is refused."""

    quantity: str
    value: float
    provenance: Provenance
    channel: str = "total"
    unit: str = ""

    def __post_init__(self) -> None:
        if self.quantity not in UNITS:
            raise FobenchError(f"unknown quantity {self.quantity!r}; expected one of {', '.join(UNITS)}")
        if not isinstance(self.value, int | float) or not math.isfinite(self.value):
            raise FobenchError(
                f"{self.quantity} is {self.value!r}, expected a finite number; leave out what is not measured"
            )
        unit = UNITS[self.quantity]
        if self.unit not in ("", unit):
            raise FobenchError(f"{self.quantity} in {self.unit!r}; fobench stores it in {unit!r}: convert the value")
        object.__setattr__(self, "unit", unit)
        object.__setattr__(self, "provenance", Provenance(self.provenance))


@dataclass(frozen=True)
class Context:
    """Where a reading belongs: phase, stage, epochs completed at its end, window number, samples, start, validity.

    `samples` is what the value covers (0 where no sample was processed), `started_s` counts from the worker's start on a
    monotonic clock, `invalid` is empty or the reason why the window must not be used.
    """

    phase: Phase
    meter: str
    stage: int | None = None
    epoch: float | None = None
    window: int | None = None
    samples: int = 0
    batch_size: int | None = None
    started_s: float = 0.0
    invalid: str = ""


IDENTITY = ("cpu", "architecture", "cores", "memory_gib", "gpus")
"""Facts of a machine that may not change under its name; machines that share them are of one kind."""


def kind_of(facts: Mapping[str, Json]) -> str:
    """Return what machines of one kind have in common, as one line; `facts` are those of `machine.json`."""
    return ", ".join(f"{fact} {facts[fact]}" for fact in IDENTITY if facts.get(fact))


CELL_COLUMNS = ("cell", "suite", "machine", "label", "learner", "network", "dataset", "origin", "seed")
"""Columns of the long frame that are the same for all rows of a file: they stand in its header."""

ROW_COLUMNS = (
    "phase", "stage", "epoch", "window", "quantity", "value", "unit", "provenance",
    "meter", "channel", "samples", "batch_size", "started_s", "invalid",
)  # fmt: skip
"""Columns of the long frame that each line of a file gives."""


HEADER_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "suite": str, "machine": str, "network": str, "started_utc": str, "parameters": (int, type(None)), "notes": list,
    "checksums": dict, "sources": dict, "versions": dict, "samples": dict, "instruments": dict,
}  # fmt: skip
"""What JSON must give for a field of a header, where nothing else looks at it."""


@dataclass(frozen=True)
class Header:
    """First line of a result file: what ran, on what data, with which instruments.

    `sources` are the hashes of the learner's and the dataset's code, `versions` of the packages, `samples` the sizes of
    the splits in use, `classes` how many a classification has. `instruments` has an entry for every meter or tracer asked
    for: `{"channels": [...], "update_period_s": ..., "notes": [...]}`, or `{"absent": reason}`. `notes` are sentences about
    the whole file: whether the warm-up became stable, which guards cannot see here.
    """

    part: Part
    cell: Cell
    suite: str
    machine: str
    network: str = ""
    parameters: int | None = None
    origin: Origin | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    instruments: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    classes: int | None = None
    started_utc: str = ""
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The cell's id, or for a trace the id without the seed."""
        return self.cell.trace_id if self.part == Part.TRACE else self.cell.id

    def as_json(self) -> dict[str, Json]:
        """Return the header as plain JSON values."""
        plain = {name: value for name, value in vars(self).items() if name != "cell"}
        return {"schema": SCHEMA_VERSION, "id": self.id, **json.loads(json.dumps(plain)), "cell": self.cell.as_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Header:
        """Rebuild a header from `as_json`; raises FobenchError for a field of another type."""
        parts = {"instruments": dict, "notes": str}
        for name, kind in HEADER_TYPES.items():
            value = data.get(name, kind() if isinstance(kind, type) else None)
            inner = list(value.values() if isinstance(value, dict) else value) if name in parts and value else []
            if not isinstance(value, kind) or not all(isinstance(one, parts[name]) for one in inner):
                raise FobenchError(f"{name} of the header is {value!r}, which is no {name}")
        known = {name: value for name, value in data.items() if name not in ("schema", "id", "kind")}
        known["cell"] = Cell.from_json(data["cell"])
        known["part"] = Part(data["part"])
        known["origin"] = Origin(data["origin"]) if data["origin"] else None
        known["notes"] = tuple(data.get("notes", ()))
        return cls(**known)
