"""Means over blocks, and what can be told apart: Student t intervals on log ratios within blocks.

Blocks share data order, subset and seed, so learners are compared as `log(a / b)` of the same block, and the mean of these is
given its two-sided 95 % interval with n - 1 degrees of freedom (Student 1908). No correction for many comparisons is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd
from scipy.stats import t as student

from fobench.contracts import Provenance
from fobench.report.provenance import combine

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """Values of one label on one data set by seed (one nameless value if exact), and what became of its blocks.

    `partial`: no block was whole, so the mean is a lower bound; `dropped`: blocks left out because they were not whole; `basis`:
    what an estimate rests on that must be the same before two are compared; `elsewhere`: its blocks are another run's, which
    time and energy are never compared across.
    """

    values: Mapping[int | None, float]
    provenance: Provenance
    partial: bool = False
    dropped: int = 0
    basis: str = ""
    elsewhere: bool = False

    @property
    def exact(self) -> bool:
        """Say whether the value follows from shapes."""
        return self.provenance == Provenance.ANALYTICAL

    @property
    def mean(self) -> float:
        """Mean over blocks."""
        return fmean(self.values.values())

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over blocks, if there are two or more."""
        return stdev(self.values.values()) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Interval:
    """A ratio with the limits of its interval."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """The best and all that cannot be told apart from it; `reason` says why there is no ranking.

    `factor` is how many times the next one (`following`) is worse than the best; `unranked` shares too few blocks.
    """

    best: tuple[str, ...] = ()
    leader: str = ""
    following: str = ""
    factor: Interval | None = None
    unranked: tuple[str, ...] = ()
    reason: str = ""


def estimates(rows: pd.DataFrame) -> dict[tuple[str, str], Estimate]:
    """Gather derived rows of one quantity into one estimate per label and data set."""
    found: dict[tuple[str, str], list[tuple[int | None, float, str, bool]]] = {}
    columns = (rows[name].tolist() for name in ("label", "dataset", "seed", "value", "provenance", "partial"))
    for label, dataset, seed, value, provenance, partial in zip(*columns, strict=True):
        block = None if pd.isna(seed) else int(seed)
        found.setdefault((label, dataset), []).append((block, value, provenance, partial))
    return {key: _estimate(blocks) for key, blocks in found.items()}


def _estimate(blocks: list[tuple[int | None, float, str, bool]]) -> Estimate:
    whole = [block for block in blocks if not block[3]]
    used = whole or blocks
    provenance = combine(*(Provenance(block[2]) for block in used))
    dropped = len(blocks) - len(whole) if whole else 0
    return Estimate({block[0]: block[1] for block in used}, provenance, not whole, dropped)


def log_ratio_interval(worse: Estimate, better: Estimate) -> Interval | None:
    """Return the mean ratio within common blocks and its interval; None for fewer than two, or without logarithms."""
    pairs = _pairs(worse, better)
    if len(pairs) < 2 or any(a <= 0 or b <= 0 for a, b in pairs):
        return None
    centre, half = _student([math.log(a / b) for a, b in pairs])
    return Interval(math.exp(centre), math.exp(centre - half), math.exp(centre + half))


def told_apart(worse: Estimate, better: Estimate) -> bool | None:
    """Say whether the first lies surely above the second; None where fewer than two blocks are common to both.

    Where a value is 0, so that it has no logarithm, the interval is that of the differences.
    """
    pairs = _pairs(worse, better)
    if len(pairs) < 2:
        return None
    positive = all(a > 0 and b > 0 for a, b in pairs)
    centre, half = _student([math.log(a / b) if positive else a - b for a, b in pairs])
    return centre - half > 0


def rank(group: Mapping[str, Estimate], highest: bool = False) -> Ranking:
    """Rank the learners of one data set: lowest first, or highest; partial sums and other runs take no part."""
    group = {label: estimate for label, estimate in group.items() if not (estimate.partial or estimate.elsewhere)}
    if len(group) < 2:
        return Ranking(reason="fewer than two learners have a whole value: nothing to rank")
    provenances = {estimate.provenance for estimate in group.values()}
    if {Provenance.MEASURED, Provenance.ESTIMATED} <= provenances:
        return Ranking(reason="measured and estimated values are not ranked against each other")
    if len(bases := {estimate.basis for estimate in group.values()}) > 1:
        return Ranking(
            reason=f"estimates on different bases ({', '.join(sorted(bases))}) are not ranked against each other"
        )
    if all(estimate.exact for estimate in group.values()):
        return _rank_exact(group, highest)
    if all(None in estimate.values for estimate in group.values()):
        return Ranking(reason="measured once and not in every block: nothing can be told apart")
    if all(len(estimate.values) < 2 for estimate in group.values()):
        return Ranking(reason="one block: there is no interval, so nothing can be told apart and nothing is bold")
    return _rank_blocks(group, highest)


def _rank_exact(group: Mapping[str, Estimate], highest: bool) -> Ranking:
    order = sorted(group, key=lambda label: group[label].mean, reverse=highest)
    top = group[order[0]].mean
    best = tuple(label for label in order if group[label].mean == top)
    following = order[len(best)] if len(best) < len(order) else ""
    ratio = _factor(group[following].mean, top, highest) if following else None
    return Ranking(best, order[0], following, Interval(ratio, ratio, ratio) if ratio else None)


def _rank_blocks(group: Mapping[str, Estimate], highest: bool) -> Ranking:
    def pair(label: str) -> tuple[Estimate, Estimate]:
        return (group[leader], group[label]) if highest else (group[label], group[leader])

    order = sorted(group, key=lambda label: group[label].mean, reverse=highest)
    leader = next(label for label in order if len(group[label].values) > 1)
    verdicts = {label: label != leader and told_apart(*pair(label)) for label in order}
    best = tuple(label for label in order if verdicts[label] is False)
    following = next((label for label in order if verdicts[label]), "")
    factor = log_ratio_interval(*pair(following)) if following else None
    return Ranking(best, leader, following, factor, tuple(label for label in order if verdicts[label] is None))


def _factor(other: float, best: float, highest: bool) -> float | None:
    top, bottom = (best, other) if highest else (other, best)
    return top / bottom if bottom else None


def _pairs(first: Estimate, second: Estimate) -> list[tuple[float, float]]:
    return [(first.values[block], second.values[block]) for block in first.values if block in second.values]


def _student(values: list[float]) -> tuple[float, float]:
    """Return the mean and half the width of its interval."""
    n = len(values)
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, n - 1))
    return fmean(values), quantile * stdev(values) / math.sqrt(n)


def mean_interval(estimate: Estimate) -> tuple[float, float] | None:
    """Return the limits of the mean over blocks; None for fewer than two."""
    if len(estimate.values) < 2:
        return None
    centre, half = _student(list(estimate.values.values()))
    return centre - half, centre + half
