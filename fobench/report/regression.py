"""Is the new source slower? One-sided t tests of log ratios against a tolerance, and the power that these rounds have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fobench.report.inputs import ReportError
from fobench.report.logratios import POWER, interval
from fobench.report.stats import Interval

ALPHA = 0.01
"""Probability that any of the comparisons of a gate calls equal sources slower, all of them together (Bonferroni)."""


@dataclass(frozen=True)
class Limits:
    """`tolerance` is the growth that passes, `effect` the one that must be found (0.05 is 5 %)."""

    tolerance: float = 0.01
    effect: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < self.effect < 10:
            raise ReportError(
                f"tolerance {self.tolerance} and effect {self.effect}; expected shares with 0 <= tolerance < effect < 10"
            )


@dataclass(frozen=True)
class Judgement:
    """One comparison: ratio after / before with its 95 % interval, whether it is surely slower, the power to find `effect`."""

    ratio: Interval
    slower: bool
    power: float

    @property
    def resolved(self) -> bool:
        """Say whether the effect would have been found with power 0.8."""
        return self.power >= POWER


def judge(logs: Mapping[str, Sequence[float]], limits: Limits) -> dict[str, Judgement]:
    """Return a judgement by name for all comparisons of a gate; each needs two rounds or more."""
    level = ALPHA / max(len(logs), 1)
    return {name: _judgement(np.array(values, dtype=float), level, limits) for name, values in logs.items()}


def _judgement(values: np.ndarray, level: float, limits: Limits) -> Judgement:
    n, centre = len(values), float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(n)
    critical = float(stats.t.ppf(1 - level, n - 1))
    low, high = (float(limit) for limit in interval(values))
    ratio = Interval(math.exp(centre), math.exp(low), math.exp(high))
    return Judgement(
        ratio, centre - critical * error > math.log1p(limits.tolerance), _power(error, n, critical, limits)
    )


def _power(error: float, n: int, critical: float, limits: Limits) -> float:
    """Return the probability that a growth by `effect` is called slower, on the noncentral t distribution."""
    distance = math.log1p(limits.effect) - math.log1p(limits.tolerance)
    return 1.0 if error == 0 else float(stats.nct.sf(critical, n - 1, distance / error))
