"""The learner under examination: made anew, set up, and led through training as the harness leads it."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Calibrated, Learner, Scheduled, Staged, Task
from fobench.testing.budget import Budget
from fobench.testing.toys import toy_data

FEW = 6
"""Samples of the batches that need not teach anything."""


class FailedError(Exception):
    """A check that found something wrong; its text is the sentence."""


class NotCheckedError(Exception):
    """A check that cannot be made with this learner; its text says why."""


@dataclass(frozen=True)
class Subject:
    """How a learner is made, and what it is to learn."""

    make: Callable[..., Learner]
    task: Task
    options: Mapping[str, Any]
    budget: Budget
    rule: str | None = None

    def new(self) -> Learner:
        """Return a learner before setup."""
        return self.make(**self.options)

    def ready(self, seed: int = 0) -> Learner:
        """Return a learner after setup, at its first stage and epoch."""
        return self.drawn(seed)[0]

    def drawn(self, seed: int = 0) -> tuple[Learner, torch.Generator]:
        """Return a learner that is ready, and the generator that it was given."""
        learner, generator = self.new(), torch.Generator().manual_seed(seed)
        learner.setup(self.task, generator, "cpu")
        enter_stage(learner, 0)
        enter_epoch(learner, 0, self.budget.epochs)
        return learner, generator

    def few(self, seed: int = 0, samples: int = FEW) -> tuple[Tensor, Tensor]:
        """Return one small batch."""
        return toy_data(self.task, samples, seed)

    def normal(self, samples: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return samples to learn from: of a reconstruction, only normal ones."""
        x, y = toy_data(self.task, samples, seed)
        return (x, y) if self.task.kind == "classification" else (x[y == 0], y[y == 0])

    def trained(self, budget: Budget) -> Learner:
        """Return a learner after all its stages, calibrated if it wants to be."""
        learner = self.ready()
        x, y = self.normal(budget.samples, seed=1)
        for stage in range(stages_of(learner)):
            enter_stage(learner, stage)
            for epoch in range(budget.epochs):
                enter_epoch(learner, epoch, budget.epochs)
                order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
                for part in order.split(budget.batch_size):  # type: ignore[no-untyped-call]
                    learner.train_step(x[part], y[part])
        if isinstance(learner, Calibrated):
            learner.calibrate(*self.normal(budget.samples, seed=2))
        return learner


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


def snapshot(learner: Learner) -> dict[str, Tensor]:
    """Return copies of the state."""
    return {name: tensor.detach().clone() for name, tensor in learner.state().items()}


def differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Return the symbols whose tensors are not the same to the bit."""
    return [name for name in one if name not in other or not torch.equal(one[name], other[name])]


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Let tensors be allocated in `dtype` inside the `with` block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def tensors_within(thing: Any) -> Iterator[Tensor]:
    """Yield every tensor that can be reached from an object by attributes, items and the cells of its functions, once."""
    seen: set[int] = set()
    waiting = [thing]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, type | types.ModuleType | torch.Generator | torch.dtype):
            continue
        seen.add(id(found))
        if isinstance(found, Tensor):
            yield found
        elif isinstance(found, Mapping):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, list | tuple | set | frozenset):
            waiting += found
        elif isinstance(found, types.FunctionType):
            waiting += [cell.cell_contents for cell in found.__closure__ or () if _filled(cell)]
        elif hasattr(found, "__dict__"):
            waiting += vars(found).values()


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 (an empty cell raises)
    except ValueError:
        return False
    return True
