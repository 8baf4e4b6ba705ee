"""Batches taken some samples at a time, where what one operation needs beside them would be as large as they are."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def samples_at_once(H: Tensor, values: int) -> int:
    """Return how many samples of a map have at most `values` values and are at most a quarter of the batch, but always one.

    A power of two: only where the batch passes one does it change with a single sample more.
    """
    most = min(values * len(H) // H.numel(), len(H) // 4)
    return 1 << max(0, most.bit_length() - 1)


def in_parts(samples: int, *maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the same `samples` of several maps of one batch, then the next."""
    return zip(*(torch.split(H, samples) for H in maps), strict=True)
