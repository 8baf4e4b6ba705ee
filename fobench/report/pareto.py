"""Which learners no other one beats: those on the front of two quantities that should both be small."""

from __future__ import annotations

from collections.abc import Mapping

Point = tuple[float, float]


def front(points: Mapping[str, Point]) -> list[str]:
    """Return the names of points that no other is below in one quantity without being above in the other, by the first."""
    order = sorted(points, key=lambda name: (*points[name], name))
    return [name for name in order if not any(_beats(points[other], points[name]) for other in points)]


def beaten_by(name: str, points: Mapping[str, Point]) -> list[str]:
    """Return the points of the front that beat this one."""
    return [other for other in front(points) if _beats(points[other], points[name])]


def _beats(one: Point, other: Point) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]
