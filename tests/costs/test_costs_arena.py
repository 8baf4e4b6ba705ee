"""The arena planner: no two live buffers overlap, no plan beats the bound, and small cases against every order."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.costs.arena import Arena, plan
from fobench.costs.program import Buffer, BufferRole, Lifetime


def life(size: int, first: int, last: int) -> Lifetime:
    return Lifetime(Buffer(f"{size} {first} {last}", BufferRole.ACTIVATION, size), first, last, size)


LIVES = st.builds(
    lambda size, first, length: life(size, first, first + length),
    st.integers(0, 50),
    st.integers(0, 12),
    st.integers(0, 8),
)


def together(one: Lifetime, other: Lifetime) -> bool:
    return bool(set(range(one.first, one.last + 1)) & set(range(other.first, other.last + 1)))


def live_sums(lives: list[Lifetime]) -> list[int]:
    return [sum(item.bytes for item in lives if item.first <= moment <= item.last) for moment in range(30)]


def optimum(lives: list[Lifetime]) -> int:
    """Return the least peak over all orders, each buffer at the lowest place that is free: contains an optimal plan."""
    best = sum(item.bytes for item in lives)
    for order in permutations(lives):
        placed: list[tuple[Lifetime, int]] = []
        for item in order:
            beside = [(other, at) for other, at in placed if together(item, other)]
            places = sorted({0, *(at + other.bytes for other, at in beside)})
            fits = (p for p in places if all(p + item.bytes <= at or at + o.bytes <= p for o, at in beside))
            placed.append((item, next(fits)))
        best = min(best, max((at + item.bytes for item, at in placed), default=0))
    return best


def overlaps(arena: Arena) -> list[tuple[str, str]]:
    return [
        (one.life.buffer.name, other.life.buffer.name)
        for one, other in combinations(arena.placements, 2)
        if together(one.life, other.life) and one.offset < other.end and other.offset < one.end
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(LIVES, max_size=14))
def test_no_overlap_and_no_plan_below_the_bound(lives: list[Lifetime]) -> None:
    arena = plan(lives)
    assert sorted(map(str, (item.life for item in arena.placements))) == sorted(map(str, lives))
    assert not overlaps(arena)
    assert arena.bound == max(live_sums(lives))
    assert arena.bound <= arena.peak <= sum(item.bytes for item in lives)
    assert all(item.offset >= 0 for item in arena.placements)


@settings(max_examples=60, deadline=None)
@given(st.lists(LIVES, max_size=5))
def test_small_cases_against_every_order(lives: list[Lifetime]) -> None:
    best = optimum(lives)
    assert best >= plan(lives).bound
    assert best <= plan(lives).peak <= 1.5 * best


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    """A forward pass: each buffer lives for two steps, so neighbours alternate between the two ends."""
    sizes = [16, 48, 8, 40, 24, 4]
    arena = plan([life(size, number, number + 1) for number, size in enumerate(sizes)])
    assert arena.peak == arena.bound == 64


def test_a_gap_is_reused_and_the_smallest_one_is_taken() -> None:
    whole = [life(100, 0, 9), life(30, 0, 3), life(10, 0, 9), life(30, 4, 9)]
    arena = plan(whole)
    assert arena.peak == 140
    assert len({item.offset for item in arena.placements if item.life.bytes == 30}) == 1


def test_nothing_needs_nothing() -> None:
    assert plan([]) == Arena((), 0)
    assert plan([]).peak == 0


@pytest.mark.parametrize("scale", [2, 7])
def test_peaks_scale_with_the_format(scale: int) -> None:
    lives = [life(5, 0, 2), life(9, 1, 4), life(3, 2, 6), life(7, 5, 6)]
    scaled = [life(item.bytes * scale, item.first, item.last) for item in lives]
    assert plan(scaled).peak == scale * plan(lives).peak
