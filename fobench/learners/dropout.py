"""Dropout masks, drawn several times as fast as by `bernoulli_`, which draws a float for each unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LANES = 4
"""Draws of 16 bits in one random word of 64."""


def dropped(shape: Sequence[int], rate: float, generator: torch.Generator, device: torch.device | str) -> Tensor:
    """Draw which units are dropped, one byte each, with probability `rate` to within 2^-17; maps lie channels last."""
    count = math.prod(shape)
    words = torch.empty(-(-count // LANES), dtype=torch.int64, device=device)
    lanes = words.random_(-(2**63), None, generator=generator).view(torch.int16)[:count]
    if len(shape) == 4:
        lanes = lanes.view(shape[0], *shape[2:], shape[1]).permute(0, 3, 1, 2)
    return lanes.view(shape).lt(round(rate * 2**16) - 2**15)
