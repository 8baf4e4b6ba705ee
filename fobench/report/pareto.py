"""Which learners no other one beats: those on the front of two quantities that should both be small."""

from __future__ import annotations

from collections.abc import Mapping

Point = tuple[float, float]


def front(points: Mapping[str, Point]) -> list[str]:
    """Return the names of points that no other is below in one quantity without being above in the other, by the first."""
    order = sorted(points, key=lambda name: (*points[name], name))
    return [name for name in order if not any(beats(points[other], points[name]) for other in points)]


def beats(one: Point, other: Point) -> bool:
    """Say whether one point is at most the other in both quantities, and less in one."""
    return one != other and one[0] <= other[0] and one[1] <= other[1]
