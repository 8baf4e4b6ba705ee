"""The plug-ins' protocols: learner, dataset, meter, tracer, and what passes between them and the harness."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from fobench.contracts.results import Reading
from fobench.contracts.vocabulary import FobenchError, Origin, Phase

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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


@runtime_checkable
class Graded(Protocol):
    """A learner whose layers grade a sample under a label by a goodness, each against a threshold."""

    def layer_goodness(self, x: Tensor, labels: Tensor) -> list[tuple[Tensor, float]]:
        """Return goodness (N) and threshold of each layer, none without labels; nothing is learned and nothing drawn."""


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


@runtime_checkable
class StateTracer(Protocol):
    """Reads what a learner has become, in the measuring process between windows; it intercepts no operation.

    It looks before the first step and after the last one, and, if `throughout`, wherever a score is taken.
    """

    throughout: bool

    def unavailable(self) -> str | None:
        """None if it can observe here, else one sentence with the remedy."""

    def observe(self, learner: Learner, split: Split) -> list[Reading]:
        """Read `state()`, or predictions of test samples; draws no random number and changes nothing.

        Raises TracerError for a learner that it has nothing to say about: it is then absent, with this reason.
        """
