"""The vocabulary of fobench: frozen records, protocols, and the closed lists of phases, quantities and roles.

Everything here is standard library only, so that any room, any board and any plug-in may import it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SCHEMA_VERSION = 1
"""Version of the cell specification and of the result files; part of every cell's id."""

Json = Any
"""A value that JSON can hold: None, bool, int, float, str, list or dict with str keys."""


class Phase(StrEnum):
    """What a window was open for; a closed list."""

    IDLE = "idle"
    OVERHEAD = "overhead"
    SETUP = "setup"
    TRAIN = "train"
    CALIBRATE = "calibrate"
    INFER = "infer"


class Provenance(StrEnum):
    """How a value came to be: read off a sensor, a measurement times an assumption, or exact from shapes."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    ANALYTICAL = "analytical"


class Origin(StrEnum):
    """Of data: every file of the published list, genuine files but not all, or a seeded generator."""

    REAL = "real"
    EXTRACT = "extract"
    SURROGATE = "surrogate"


class Role(StrEnum):
    """What a product of a learning step is for; a closed list."""

    FORWARD = "forward"
    SECOND_PASS = "second_pass"
    INPUT_GRADIENT = "input_gradient"
    WEIGHT_UPDATE = "weight_update"
    PROJECTION = "projection"
    HEAD = "head"


UNITS: Mapping[str, str] = {
    "energy": "J",
    "duration": "s",
    "power": "W",
    "memory": "B",
    "memory_peak": "B",
    "memory_live": "B",
    "macs": "MAC",
    "elementwise": "op",
    "uncovered": "call",
    "error": "1",
    "auc": "1",
    "depth": "layer",
    "foreign_cpu": "1",
    "fault": "1",
    "temperature": "degC",
}
"""Every quantity, bound to its one unit.

`memory` is a state (channel `persistent`), `memory_peak` a maximum over a step, `memory_live` one point of a time line;
`uncovered` counts calls of an operation that a counter has no formula for; `foreign_cpu` is the share of the host's CPU
time that was used outside the worker's process tree; `fault` is 1 for a meter that failed in a window, with the reason in
`invalid`, so that no sum over windows can miss it in silence.
"""


class FobenchError(Exception):
    """A failure that the user can mend: what was found, what was expected, what to do."""


# --- what is measured: the cell -------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Plan:
    """Which instruments look, and how long; seconds throughout."""

    meters: tuple[Reference, ...] = (Reference("clock"),)
    tracers: tuple[str, ...] = ("macs", "live-tensors")
    window_s: float = 1.0
    idle_s: float = 5.0
    cooldown_s: float = 0.0
    timeout_s: float = 86_400.0


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

    @property
    def id(self) -> str:
        """Name of this cell by content: sixteen hexadecimal digits."""
        return _digest(self.as_json())

    @property
    def trace_id(self) -> str:
        """The id without the seed: exact rows do not depend on it, so one trace serves all seeds."""
        return _digest({**self.as_json(), "seed": None})

    @property
    def stem(self) -> str:
        """File name of this cell's results, without ending: readable first, unique last."""
        return f"{_slug(self.label)}--{_slug(self.dataset.name)}--s{self.seed}--{self.id}"

    @property
    def trace_stem(self) -> str:
        """File name of the trace that this cell shares with its other seeds."""
        return f"{_slug(self.label)}--{_slug(self.dataset.name)}--trace--{self.trace_id}"

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
        plan = dict(data["plan"])
        plan["meters"] = tuple(Reference(**meter) for meter in plan["meters"])
        plan["tracers"] = tuple(plan["tracers"])
        return cls(
            learner=Reference(**data["learner"]),
            dataset=Reference(**data["dataset"]),
            recipe=Recipe(**data["recipe"]),
            plan=Plan(**plan),
            seed=data["seed"],
        )


@dataclass(frozen=True)
class Suite:
    """A named list of cells, in running order: block after block, learners shuffled within each."""

    name: str
    cells: tuple[Cell, ...]
    base: str = "."
    description: str = ""
    source: str | None = None
    """`base` is the folder that relative plug-in paths start from, `source` the file that the suite came from."""


def _digest(value: Json) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._") else "-" for c in text)[-40:]


# --- what comes out: readings and rows --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """One value of one quantity; the unit follows from the quantity, a wrong one is refused."""

    quantity: str
    value: float
    provenance: Provenance
    channel: str = "total"
    unit: str = ""

    def __post_init__(self) -> None:
        if self.quantity not in UNITS:
            raise FobenchError(f"unknown quantity {self.quantity!r}; expected one of {', '.join(UNITS)}")
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


CELL_COLUMNS = ("cell", "suite", "machine", "label", "learner", "network", "dataset", "origin", "seed")
"""Columns of the long frame that are the same for all rows of a file: they stand in its header."""

ROW_COLUMNS = (
    "phase", "stage", "epoch", "window", "quantity", "value", "unit", "provenance",
    "meter", "channel", "samples", "batch_size", "started_s", "invalid",
)  # fmt: skip
"""Columns of the long frame that each line of a file gives."""


class Status(StrEnum):
    """How a cell ended; only `done` counts as done."""

    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"
    TIMEOUT = "timeout"


class Part(StrEnum):
    """Which of a cell's two processes wrote a file."""

    TRACE = "trace"
    MEASURE = "measure"


@dataclass(frozen=True)
class Header:
    """First line of a result file: what ran, on what data, with which instruments.

    `sources` are the hashes of the learner's and the dataset's code, `versions` of the packages, `samples` the sizes of
    the splits in use. `instruments` has an entry for every meter or tracer asked for: `{"channels": [...],
    "update_period_s": ..., "notes": [...]}`, or `{"absent": reason}`.
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
    started_utc: str = ""

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
        """Rebuild a header from `as_json`."""
        known = {name: value for name, value in data.items() if name not in ("schema", "id", "kind")}
        known["cell"] = Cell.from_json(data["cell"])
        known["part"] = Part(data["part"])
        known["origin"] = Origin(data["origin"]) if data["origin"] else None
        return cls(**known)


# --- the plug-ins -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What a learner may know of its data: kind, shape of one input, number of classes (0 for reconstruction)."""

    kind: str
    input_shape: tuple[int, ...]
    classes: int = 0

    KINDS = ("classification", "reconstruction")

    def __post_init__(self) -> None:
        if self.kind not in self.KINDS:
            raise FobenchError(f"unknown kind of task {self.kind!r}; expected one of {', '.join(self.KINDS)}")

    @property
    def inputs(self) -> int:
        """Number of input values of one sample."""
        product = 1
        for size in self.input_shape:
            product *= size
        return product

    @property
    def outputs(self) -> int:
        """Number of output units: classes, or the inputs again for reconstruction."""
        return self.classes if self.kind == "classification" else self.inputs

    @property
    def score(self) -> str:
        """The quantity that says how well the task was learned."""
        return "error" if self.kind == "classification" else "auc"


@dataclass(frozen=True)
class Prediction:
    """`scores` (N x classes; the largest wins) and, with early exit, `depth` (N), the layers used per sample."""

    scores: Tensor
    depth: Tensor | None = None


class Learner(Protocol):
    """A learning rule with its network and hyperparameters; a dataclass whose constructor only stores.

    Optional methods are the protocols below: `Staged`, `Scheduled`, `Calibrated`, `Selective`.
    """

    network: Any

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate all tensors in torch's default dtype; everything random comes from `generator`."""

    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch: `x` N x input_shape, `y` N class numbers (int64); a reconstruction's target is `x`."""

    def predict(self, x: Tensor) -> Prediction:
        """Score one batch without learning."""

    def state(self) -> dict[str, Tensor]:
        """Return the live tensors under the paper's symbols: W1, b1, F, B1, V1, ...; writing into them is allowed."""


@runtime_checkable
class Staged(Protocol):
    """A greedy learner: one stage per layer, each trained for `recipe.epochs`; `stages` is known after setup."""

    stages: int

    def begin_stage(self, stage: int) -> None:
        """Turn to stage 0, 1, ...; called before its first step, outside windows."""


@runtime_checkable
class Scheduled(Protocol):
    """A learner whose step size depends on the epoch."""

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Set schedules for the coming epoch, 0-based, of `epochs`; no tensor work."""


@runtime_checkable
class Calibrated(Protocol):
    """A learner with thresholds or heads that are fitted after training, in a metered phase of its own."""

    def calibrate(self, x: Tensor, y: Tensor) -> None:
        """Fit on held-out samples (the validation split)."""


@runtime_checkable
class Selective(Protocol):
    """A learner that does not fit every network or task."""

    def refuses(self, task: Task) -> str | None:
        """Say in one sentence why this learner cannot be set up for `task`, or None if it can; no tensor work."""


FIXED_SYMBOLS = frozenset("FBSr")
"""First letters of the `state()` symbols that no learning rule trains: feedback, masks, running means."""


def is_trained(symbol: str) -> bool:
    """Say whether a `state()` symbol names a trained parameter: `W1`, `b2`, `V1` are, `F`, `B2`, `S1`, `r1` are not."""
    return symbol[:1] not in FIXED_SYMBOLS


@dataclass(frozen=True)
class Split:
    """`x` N x input_shape in memory; `y` N class numbers (int64).

    For a reconstruction x is its own target, and y is 0 for a normal and 1 for an abnormal sample.
    """

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Splits:
    """What a data set gives; `valid` is None where the published protocol has none."""

    train: Split
    test: Split
    valid: Split | None
    origin: Origin
    checksums: Mapping[str, str] = field(default_factory=dict)


class Dataset(Protocol):
    """Bytes on disk with splits; a dataclass whose fields are its options. The task is known without any file."""

    @property
    def task(self) -> Task:
        """The task, offline."""

    def missing(self, root: Path) -> str | None:
        """Say in one sentence which files are not under `root` and what brings them, or None; reads no data file."""

    def load(self, root: Path) -> Splits:
        """Read the files under `root`; a broken one raises DatasetError, never gives half a data set."""

    def surrogate(self) -> Splits:
        """Generate stand-in data: same shapes, classes and class counts, learnable, seeded."""

    def fetch(self, root: Path) -> None:
        """Download to `root` with checksums; the only method that may touch the network."""


class DatasetError(FobenchError):
    """A data file that is missing, truncated or corrupted, or a split that the files cannot give."""


class Meter(Protocol):
    """Reads a physical or OS quantity over a window, many times, one window at a time; cheap to construct."""

    @property
    def update_period_s(self) -> float:
        """Slowest refresh of the sensor in seconds; windows are at least ten times as long."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The parts it reads (`package-0`, `gpu-0`); known once `unavailable()` has said None."""

    def unavailable(self) -> str | None:
        """Probe: None if it can read, else one sentence with the remedy."""

    def start(self) -> None:
        """Begin a window."""

    def stop(self) -> list[Reading]:
        """End the window and return its readings; a channel that could not be read is left out, never 0."""

    def close(self) -> None:
        """Release what probing and reading opened."""


class MeterError(FobenchError):
    """A meter that failed in the middle of a window; the window is marked invalid with this reason."""


class TracerError(FobenchError):
    """A tracer that cannot observe here, or not this learner; it is then absent from the cell, with this reason."""


class Tracer(Protocol):
    """Observes operations or memory of single steps (phase train) and predictions (phase infer) in the tracing process.

    For each phase in `phases`, each stage, and each of `batch_offsets`, the harness builds the learner anew from the same
    seed and takes steps (or predictions) 0, 1, ... at the recipe's batch size plus the offset; those whose number is in
    `steps` run inside `trace`. Then `readings()` speaks of one step at offset 0.
    """

    phases: tuple[Phase, ...]
    batch_offsets: tuple[int, ...]
    steps: tuple[int, ...]

    def unavailable(self) -> str | None:
        """None if it can observe here, else one sentence with the remedy."""

    def trace(self, learner: Learner, inputs: tuple[Tensor, ...]) -> AbstractContextManager[None]:
        """Observe what happens inside the `with` block; `inputs` is the batch, which is not the learner's memory."""

    def readings(self) -> list[Reading]:
        """Return what was observed since the last call, for one step or one prediction; may raise TracerError."""


Callee = TypeVar("Callee", bound=Callable[..., Any])

_roles: dict[Any, Role] = {}


def role(name: Role) -> Callable[[Callee], Callee]:
    """Mark a function: products made inside it (and in what it calls) are for `name`; the outermost mark counts.

    The mark costs nothing at run time. It lets the MAC ledger read roles off the call stack while the learner knows
    nothing of the ledger.
    """

    def mark(function: Callee) -> Callee:
        _roles[inspect.unwrap(function).__code__] = Role(name)
        return function

    return mark


def role_of(code: Any) -> Role | None:
    """Return the role that the function with this code object was marked with."""
    return _roles.get(code)
