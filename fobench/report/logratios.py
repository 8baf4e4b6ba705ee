"""Statistics of within-block log ratios: plain functions of arrays, one value per block.

A log ratio is `log(learner / baseline)` of one block, so what a block does to both (drift, temperature, data order) cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from fobench.report.stats import CONFIDENCE

Array = NDArray[np.float64]

ALPHA = 1 - CONFIDENCE
POWER = 0.8
"""Of the smallest effect that is called detectable."""

BOOTSTRAP_FROM = 20
"""Blocks from which on the interval is a bootstrap and not Student's."""

EXACT_UP_TO = 16
"""Blocks up to which all sign patterns are tried; above, a seeded sample of them."""

RESAMPLES = 9999
TREND_BLOCKS = 4
"""Blocks that a slope needs: with fewer, less than two degrees of freedom are left for its error."""


@dataclass(frozen=True)
class Trend:
    """Slope of log value per block, and the two-sided p of no slope."""

    slope: float
    p: float


def interval(logs: Array, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Array, Array]:
    """Return the limits of the 95 % interval of the mean along the last axis; NaN for fewer than two blocks.

    Student's t below 20 blocks, the bias-corrected bootstrap from 20 on.
    """
    return _student(logs) if logs.shape[-1] < BOOTSTRAP_FROM else _bootstrap(logs, resamples, seed)


def _student(logs: Array) -> tuple[Array, Array]:
    n = logs.shape[-1]
    if n < 2:
        nothing = np.full(logs.shape[:-1], np.nan)
        return nothing, nothing
    half = stats.t.ppf(1 - ALPHA / 2, n - 1) * stats.sem(logs, axis=-1)
    return logs.mean(axis=-1) - half, logs.mean(axis=-1) + half


def _bootstrap(logs: Array, resamples: int, seed: int) -> tuple[Array, Array]:
    """Return bias-corrected percentile limits (Efron 1981) at the expanded level of Hesterberg (2015, section 5.3).

    The expansion undoes that a bootstrap of n values is too narrow by sqrt((n - 1) / n) and by normal for t quantiles. The
    acceleration of BCa is left out: estimated from 20 heavy-tailed values, it costs two percent of coverage.
    """
    n = logs.shape[-1]
    means = np.sort(logs @ _resampling(n, resamples, seed), axis=-1)
    below = (means < logs.mean(axis=-1, keepdims=True)).mean(axis=-1, keepdims=True)
    bias = stats.norm.ppf(np.clip(below, 1 / (resamples + 1), resamples / (resamples + 1)))
    reach = math.sqrt(n / (n - 1)) * stats.t.ppf(1 - ALPHA / 2, n - 1)

    def limit(z: float) -> Array:
        place = np.rint(stats.norm.cdf(2 * bias + z) * (resamples - 1)).astype(int)
        return np.take_along_axis(means, place, axis=-1)[..., 0]

    return limit(-reach), limit(reach)


@lru_cache(maxsize=4)
def _resampling(n: int, resamples: int, seed: int) -> Array:
    """Return the share that each of n values has in each resample, n x resamples."""
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    shares: Array = np.asarray(counts.T / n, dtype=np.float64)
    return shares


def sign_flip_p(logs: Array, seed: int = 0) -> float:
    """Return the two-sided permutation p of a mean of 0: under it, each block's log ratio has either sign alike.

    Exact up to 16 blocks (Fisher 1935); above, from 2^16 random patterns, the observed one among them (Phipson & Smyth 2010).
    """
    sums = np.abs(_signs(len(logs), seed) @ logs)
    return float(np.mean(sums >= abs(logs.sum()) - 1e-12 * np.abs(logs).sum()))


@lru_cache(maxsize=4)
def _signs(n: int, seed: int) -> Array:
    """Return patterns of n signs, one in a row."""
    if n <= EXACT_UP_TO:
        # a pattern and its mirror image have the same absolute mean, so the first sign is held
        flips = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
        return np.asarray(1 - 2 * flips, dtype=np.float64)
    signs: Array = np.random.default_rng(seed).choice((-1, 1), size=(2**EXACT_UP_TO, n)).astype(np.float64)
    signs[0] = 1
    return signs


def smallest_p(blocks: int) -> float:
    """Return the smallest p that `sign_flip_p` (or a signed-rank test) can reach on this many blocks."""
    return 2.0 ** -min(blocks - 1, EXACT_UP_TO)


def blocks_needed(comparisons: int) -> int:
    """Return the fewest blocks on which this many comparisons, Holm-corrected, can reach significance at all."""
    return 1 + math.ceil(math.log2(comparisons / ALPHA) - 1e-12)


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number, in the order given (Holm 1979)."""
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


def equivalence_p(logs: Array, margin: float) -> float:
    """Return the p of two one-sided t tests (Schuirmann 1987): small if the ratio lies within 1/(1 + margin) to 1 + margin."""
    limit = math.log1p(margin)
    centre, error = logs.mean(), stats.sem(logs)
    if error == 0:
        return float(abs(centre) >= limit)
    return float(stats.t.sf((limit - abs(centre)) / error, len(logs) - 1))


def detectable(deviation: float, blocks: int) -> float:
    """Return the smallest effect, as a share (0.03 is 3 %), that a t test of this many blocks finds with power 0.8.

    `deviation` is the standard deviation of the log ratios without any effect. Solved on the noncentral t distribution.
    """
    df = blocks - 1
    critical = stats.t.ppf(1 - ALPHA / 2, df)

    def missing(shift: float) -> float:
        # a significant mean of the wrong sign, less likely than 1e-5 at this power, is no detection
        return float(stats.nct.sf(critical, df, shift)) - POWER

    # beyond this shift neither the mean nor the deviation, each unlucky in one case of ten, can hide it
    surely = critical * math.sqrt(stats.chi2.ppf((1 + POWER) / 2, df) / df) + stats.norm.ppf((1 + POWER) / 2)
    shift = optimize.brentq(missing, 0.0, surely)
    return math.expm1(float(shift) * deviation / math.sqrt(blocks))


def pooled_deviation(groups: Sequence[Array]) -> float:
    """Return the standard deviation within groups, each about its own mean; every group needs two values or more."""
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return math.sqrt(squares / sum(len(group) - 1 for group in groups))


def trend(values: Array) -> Trend | None:
    """Return the trend of log value over the block's index; None for fewer than four blocks."""
    if len(values) < TREND_BLOCKS:
        return None
    if np.ptp(values) == 0:
        return Trend(0.0, 1.0)
    line = stats.linregress(np.arange(len(values)), np.log(values))
    return Trend(float(line.slope), float(line.pvalue))
