"""A static arena: where each buffer of a step lies in one block of memory, planned before anything runs.

Two buffers that live at the same moment must not overlap; the planner gives offsets, the peak that they need, and the lower
bound that no plan can beat, the largest sum of bytes that live at once. Best fit: buffers in a fixed order, each into the
smallest gap that holds it for all of its life. Of three orders (largest first, longest first, oldest first) the best counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from fobench.costs.program import Lifetime


@dataclass(frozen=True)
class Placement:
    """A buffer's life and the first byte of its place."""

    life: Lifetime
    offset: int

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.life.bytes


@dataclass(frozen=True)
class Arena:
    """Every buffer of a step with its place; `bound` is the largest sum of bytes that live at once."""

    placements: tuple[Placement, ...]
    bound: int

    @property
    def peak(self) -> int:
        """Bytes of the block."""
        return max((placement.end for placement in self.placements), default=0)


ORDERS: tuple[Callable[[Lifetime], Any], ...] = (
    lambda life: (-life.bytes, life.first),
    lambda life: (life.first - life.last, -life.bytes),
    lambda life: (life.first, -life.bytes),
)


def plan(lives: Sequence[Lifetime]) -> Arena:
    """Return the best of the best-fit plans; the first that reaches the bound ends the search."""
    bound = largest_sum(lives)
    best: Arena | None = None
    for order in ORDERS:
        arena = Arena(tuple(_placed(sorted(lives, key=order))), bound)
        if best is None or arena.peak < best.peak:
            best = arena
        if best.peak == bound:
            break
    assert best is not None
    return best


def largest_sum(lives: Sequence[Lifetime]) -> int:
    """Return the largest sum of bytes that live at once."""
    changes = [0] * (max((life.last for life in lives), default=0) + 2)
    for life in lives:
        changes[life.first] += life.bytes
        changes[life.last + 1] -= life.bytes
    return max(accumulate(changes))


def _placed(lives: Sequence[Lifetime]) -> list[Placement]:
    placed: list[Placement] = []
    taken: list[tuple[int, int, int, int]] = []
    for life in lives:
        first, last = life.first, life.last
        beside = sorted((offset, end) for offset, end, born, died in taken if born <= last and first <= died)
        offset = _best_gap(life.bytes, beside)
        placed.append(Placement(life, offset))
        taken.append((offset, offset + life.bytes, first, last))
    return placed


def _best_gap(size: int, beside: Sequence[tuple[int, int]]) -> int:
    """Return the offset of the smallest gap between the neighbours' places that holds `size`, or the end of the last."""
    best: tuple[int, int] | None = None
    end = 0
    for offset, after in beside:
        gap = offset - end
        if gap >= size and (best is None or gap < best[0]):
            best = (gap, end)
        end = max(end, after)
    return end if best is None else best[1]
