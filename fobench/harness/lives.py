"""A learner's life: built from a seed, led from stage to stage and epoch to epoch. Shared by trace and measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from fobench import networks, plugins
from fobench.contracts import FobenchError, Header, Learner, Scheduled, Selective, Splits, Staged, Task, is_trained
from fobench.harness import data
from fobench.harness.job import Job
from fobench.harness.machine import versions


@dataclass(frozen=True)
class Workshop:
    """Everything that it takes to build the learner of a job, again and again from the same seed."""

    job: Job
    task: Task
    splits: Splits

    @classmethod
    def open(cls, job: Job) -> Workshop:
        """Fix torch's settings as the recipe says and load the data."""
        recipe = job.cell.recipe
        if recipe.device.startswith("cuda") and not torch.cuda.is_available():
            raise FobenchError(f"recipe.device is {recipe.device!r}, but torch sees no CUDA device; use device: cpu")
        torch.set_num_threads(recipe.threads)
        torch.set_default_dtype(getattr(torch, recipe.dtype))
        torch.manual_seed(data.seed_for("global", job.cell.seed))
        task, splits = data.load(job)
        return cls(job, task, splits)

    def construct(self) -> Learner:
        """Return the learner with nothing allocated."""
        learner: Learner = plugins.create(self.job.cell.learner, "learners", Path(self.job.base))
        refusal = learner.refuses(self.task) if isinstance(learner, Selective) else None
        if refusal:
            raise FobenchError(f"{self.job.cell.label}: {refusal}")
        return learner

    def set_up(self, learner: Learner) -> None:
        """Allocate the learner's tensors from the cell's seed."""
        device = self.job.cell.recipe.device
        learner.setup(self.task, data.generator_for("learner", self.job.cell.seed, device), device)

    def build(self) -> Learner:
        """Return a learner ready to learn."""
        learner = self.construct()
        self.set_up(learner)
        return learner

    def header(self, learner: Learner, instruments: dict[str, dict[str, object]], notes: Iterable[str] = ()) -> Header:
        """Describe the job, its data, the network of a learner that is set up, and the instruments."""
        cell, splits = self.job.cell, self.splits
        base = Path(self.job.base)
        return Header(
            part=self.job.part,
            cell=cell,
            suite=self.job.suite,
            machine=self.job.machine,
            network=networks.describe(learner.network, self.task),
            parameters=sum(tensor.numel() for symbol, tensor in learner.state().items() if is_trained(symbol)),
            origin=splits.origin,
            checksums=splits.checksums,
            sources={
                "learner": plugins.source_hash(cell.learner.target, "learners", base),
                "dataset": plugins.source_hash(cell.dataset.target, "datasets", base),
            },
            versions=versions(),
            instruments=instruments,
            samples={"train": len(splits.train.x), "test": len(splits.test.x)},
            classes=self.task.classes or None,
            started_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            notes=tuple(notes),
        )


def stages_of(learner: Learner) -> int:
    """Return the number of stages: one unless the learner is greedy."""
    return learner.stages if isinstance(learner, Staged) else 1


def enter_stage(learner: Learner, stage: int) -> None:
    """Turn the learner to a stage, if it has stages."""
    if isinstance(learner, Staged):
        learner.begin_stage(stage)


def enter_epoch(learner: Learner, epoch: int, epochs: int) -> None:
    """Tell the learner which epoch begins, if it has a schedule."""
    if isinstance(learner, Scheduled):
        learner.begin_epoch(epoch, epochs)


def synchroniser(device: str) -> Callable[[], None]:
    """Return what waits until the device has done all work that it was given."""
    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None
