"""What a cell sees of its data set: the real files or the surrogate, a seeded subset, and batches in a seeded order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fobench import plugins
from fobench.contracts import Cell, Dataset, DatasetError, Split, Splits, Task
from fobench.harness.job import Job


def seed_for(purpose: str, seed: int) -> int:
    """Derive a seed for one purpose from a cell's seed; learners of a block share it, purposes do not."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{seed}".encode()).digest()[:6], "big")


def generator_for(purpose: str, seed: int, device: str = "cpu") -> torch.Generator:
    """Return a torch generator for one purpose."""
    return torch.Generator(device).manual_seed(seed_for(purpose, seed))


def load(job: Job) -> tuple[Task, Splits]:
    """Return the task and the splits on the recipe's device and in its dtype, cut to the recipe's subsets.

    Missing files fall back to the surrogate, unless the job wants real data. Raises DatasetError.
    """
    dataset: Dataset = plugins.create(job.cell.dataset, "datasets", Path(job.base))
    root = Path(job.data)
    reason = dataset.missing(root)
    if reason and job.require_real:
        raise DatasetError(reason)
    splits = dataset.surrogate() if reason else dataset.load(root)
    return dataset.task, _cut(splits, job.cell)


def _cut(splits: Splits, cell: Cell) -> Splits:
    recipe = cell.recipe
    train = _subset(splits.train, recipe.train_samples, "train-subset", cell.seed)
    if len(train.x) < recipe.batch_size:
        raise DatasetError(
            f"{len(train.x)} training samples do not fill one batch of {recipe.batch_size}; lower recipe.batch_size"
        )
    test = _subset(splits.test, recipe.score_samples, "score-subset", cell.seed)
    valid = splits.valid and _placed(splits.valid, cell)
    return replace(splits, train=_placed(train, cell), test=_placed(test, cell), valid=valid)


def _subset(split: Split, samples: int | None, purpose: str, seed: int) -> Split:
    if samples is None or samples >= len(split.x):
        return split
    chosen = torch.randperm(len(split.x), generator=generator_for(purpose, seed))[:samples]
    return Split(split.x[chosen], split.y[chosen])


def _placed(split: Split, cell: Cell) -> Split:
    dtype: torch.dtype = getattr(torch, cell.recipe.dtype)
    device = cell.recipe.device
    y = split.y.to(device, dtype) if split.y.is_floating_point() else split.y.to(device)
    return Split(split.x.to(device, dtype).contiguous(), y.contiguous())


def batches(split: Split, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield whole batches without end, epoch after epoch, each in a new seeded order.

    The samples that do not fill a batch are left out of their epoch: a short batch would change what a step costs.
    """
    order = generator_for("order", seed)
    while True:
        shuffled = torch.randperm(len(split.x), generator=order).to(split.x.device)
        for start in range(0, len(split.x) - size + 1, size):
            chosen = shuffled[start : start + size]
            yield split.x[chosen], split.y[chosen]


def in_order(split: Split, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield whole batches without end, in the order of the split, as views."""
    while True:
        for start in range(0, len(split.x) - size + 1, size):
            yield split.x[start : start + size], split.y[start : start + size]
