"""Dropout masks, drawn several times as fast as by `bernoulli_`, which draws a float for each unit, and their application."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fobench.learners.parts import in_parts, samples_at_once

LANES = 4
"""Draws of 16 bits in one random word of 64."""
TOGETHER = 2**14
"""Units of a map that a mask is applied to at once: the kernel turns their flags into values of the map's dtype."""


def kept(shape: Sequence[int], rate: float, generator: torch.Generator, device: torch.device | str) -> Tensor:
    """Draw which units are kept, one byte each, but with probability `rate` to within 2^-17; maps lie channels last."""
    count = math.prod(shape)
    mask = _lanes(_words(count, device), count, generator).ge(_least(rate))
    if len(shape) == 4:
        return mask.view(shape[0], *shape[2:], shape[1]).permute(0, 3, 1, 2)
    return mask.view(shape)


def masked_(H: Tensor, mask: Tensor) -> Tensor:
    """Set to zero the units of H that its mask does not keep, in place."""
    ones = mask.view(torch.int8)  # whose product is several times as fast as that of a bool, or as filling by the mask
    if H.numel() <= TOGETHER:
        return H.mul_(ones)
    for part, of_part in in_parts(samples_at_once(H, TOGETHER), H, ones):
        part.mul_(of_part)
    return H


def drop_(H: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Draw what `kept` draws and apply it, some units at a time, so that no mask of the map exists; in place.

    H lies in memory as `kept` draws: samples, then rows, columns and channels of a map.
    """
    units = (H.permute(0, 2, 3, 1) if H.dim() == 4 else H).view(-1)
    size = min(TOGETHER, len(units))
    words, mask = _words(size, H.device), torch.empty(size, dtype=torch.bool, device=H.device)
    for part in torch.split(units, size):
        lanes = _lanes(words, len(part), generator)
        part.mul_(torch.ge(lanes, _least(rate), out=mask[: len(part)]).view(torch.int8))
    return H


def _words(count: int, device: torch.device | str) -> Tensor:
    return torch.empty(-(-count // LANES), dtype=torch.int64, device=device)


def _lanes(words: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw as many words as `count` units need, and return a draw for each unit."""
    if count <= LANES * (len(words) - 1):
        words = words[: -(-count // LANES)]
    lanes = words.random_(-(2**63), None, generator=generator).view(torch.int16)
    return lanes[:count] if count % LANES else lanes


def _least(rate: float) -> int:
    """Return the least draw that keeps a unit."""
    return round(rate * 2**16) - 2**15
