"""What is measured: the cell, what it is made of, and the suite that lists it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

from fobench.contracts.vocabulary import SCHEMA_VERSION, FobenchError, Json


@dataclass(frozen=True)
class Reference:
    """A plug-in by name, `package.module:Class` or `path/to/file.py:Class`, its keyword arguments, and its label.

    The label is what tables print; it lets the same plug-in stand in a suite twice (an A/A arm, two splits).
    """

    target: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """The label, or the target if there is none."""
        return self.label or self.target


@dataclass(frozen=True)
class Recipe:
    """How a learner is trained: budget, batch and machine settings; `None` means all samples."""

    epochs: int = 1
    batch_size: int = 100
    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    train_samples: int | None = None
    score_samples: int | None = None


TRAININGS = ("full", "sampled")
"""`full` trains the whole budget; `sampled` measures the first windows of each stage until they are precise enough."""

GUARDS = ("foreign-cpu", "steal", "throttling", "swap", "suspend", "battery")
"""What can spoil a window, by name: a window in which one of these is seen is invalid."""


@dataclass(frozen=True)
class Plan:
    """Which instruments look, and how long; seconds throughout.

    `foreign_cpu_limit` is the share (0 to 1) of the host's CPU time from which other programs make a window invalid;
    `retries` is how often an invalid window is measured again; `precision` is the relative 95 % half-width of the energy
    per sample at which a stage of a sampled training ends. With `cooldown_band_c`, `cooldown_s` is a maximum: the pause
    ends once every temperature sensor is within this many degrees of where it was before the first cell.
    """

    meters: tuple[Reference, ...] = (Reference("clock"),)
    tracers: tuple[str, ...] = ("macs", "live-tensors")
    guards: tuple[str, ...] = GUARDS
    training: str = "full"
    precision: float = 0.02
    window_s: float = 1.0
    idle_s: float = 5.0
    cooldown_s: float = 0.0
    cooldown_band_c: float | None = None
    foreign_cpu_limit: float = 0.25
    retries: int = 3
    timeout_s: float = 86_400.0

    def __post_init__(self) -> None:
        for found, known in (((self.training,), TRAININGS), (self.guards, GUARDS)):
            unknown = [name for name in found if name not in known]
            if unknown:
                raise FobenchError(f"a plan cannot have {unknown[0]!r}; expected one of {', '.join(known)}")


@dataclass(frozen=True)
class Cell:
    """One label x learner x dataset x recipe x plan x seed: the unit of work, of storage and of resuming."""

    learner: Reference
    dataset: Reference
    recipe: Recipe
    plan: Plan
    seed: int

    @property
    def label(self) -> str:
        """What tables call the learner of this cell."""
        return self.learner.name

    @cached_property
    def id(self) -> str:
        """Name of this cell by content: sixteen hexadecimal digits."""
        return _digest(self._plain)

    @cached_property
    def trace_id(self) -> str:
        """The id without the seed: exact rows do not depend on it, so one trace serves all seeds."""
        return _digest({**self._plain, "seed": None})

    @property
    def stem(self) -> str:
        """File name of this cell's results, without ending: readable first, unique last."""
        return f"{_slug(self.label)}--{_slug(self.dataset.name)}--s{self.seed}--{self.id}"

    @property
    def trace_stem(self) -> str:
        """File name of the trace that this cell shares with its other seeds."""
        return f"{_slug(self.label)}--{_slug(self.dataset.name)}--trace--{self.trace_id}"

    @cached_property
    def _plain(self) -> dict[str, Json]:
        return self.as_json()

    def as_json(self) -> dict[str, Json]:
        """Return the specification as plain JSON values, schema version included."""
        return {"schema": SCHEMA_VERSION, **json.loads(json.dumps(asdict(self)))}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Cell:
        """Rebuild a cell from `as_json`; a foreign schema version is refused."""
        if data.get("schema") != SCHEMA_VERSION:
            raise FobenchError(
                f"cell specification has schema {data.get('schema')!r}, this fobench reads {SCHEMA_VERSION}; "
                "run it with the fobench version that wrote it"
            )
        plan: dict[str, Json] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data["plan"].items()
        }
        plan["meters"] = tuple(Reference(**meter) for meter in plan["meters"])
        return cls(
            learner=Reference(**data["learner"]),
            dataset=Reference(**data["dataset"]),
            recipe=Recipe(**data["recipe"]),
            plan=Plan(**plan),
            seed=data["seed"],
        )


MACHINES = ("any", "same", "each")
"""Types of machine that a cluster measures a suite on: each block on any, all blocks on one type, or all on every type."""


@dataclass(frozen=True)
class Newcomer:
    """The label of a learner that a run puts beside a suite's, those measured again beside it, and that suite's name."""

    label: str
    against: tuple[str, ...]
    suite: str


@dataclass(frozen=True)
class Suite:
    """A named list of cells, in running order: block after block, learners shuffled within each."""

    name: str
    cells: tuple[Cell, ...]
    base: str = "."
    description: str = ""
    source: str | None = None
    newcomer: Newcomer | None = None
    machines: str = "any"
    """`base` is the folder that relative plug-in paths start from, `source` the file that the suite came from,
    `machines` one of `MACHINES`: on which types of machine a cluster measures it."""


def _digest(value: Json) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._") else "-" for c in text)[-40:]
