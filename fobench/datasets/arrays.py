"""From numpy arrays to splits in memory: the stratified draw, file checksums, and the one place that makes tensors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fobench.contracts import Split

Array = NDArray[Any]


def as_split(x: Array, y: Array) -> Split:
    """Turn inputs and class numbers into a split: float32 and int64 tensors that own their memory.

    An array that is so already is not copied, and belongs to the split from then on.
    """
    import torch

    from fobench.contracts import Split

    return Split(
        torch.from_numpy(np.require(x, np.float32, ("C", "W", "O"))),
        torch.from_numpy(np.require(y, np.int64, ("C", "W", "O"))),
    )


def hold_out(x: Array, y: Array, samples: int, seed: int) -> tuple[Split, Split | None]:
    """Draw that many training samples for validation; return both splits, the second None where none are wanted."""
    if samples == 0:
        return as_split(x, y), None
    order = np.random.default_rng(seed).permutation(len(y))
    rest, drawn = np.sort(order[samples:]), np.sort(order[:samples])
    return as_split(x[rest], y[rest]), as_split(x[drawn], y[drawn])


def stratified(y: Array, fraction: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw `fraction` of each class; return the indices of the rest and of the part, both in shuffled order."""
    rest, part = [], []
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        size = round(len(members) * fraction)
        part.append(members[:size])
        rest.append(members[size:])
    return rng.permutation(np.concatenate(rest)), rng.permutation(np.concatenate(part))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
