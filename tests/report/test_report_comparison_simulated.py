"""Simulated suites with known truth: what is called a 95 % interval holds the truth that often, and A/A pairs differ rarely."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from fobench.contracts import Provenance
from fobench.report.comparison import compare
from fobench.report.logratios import (
    Array,
    detectable,
    equivalence_p,
    holm,
    interval,
    sign_flip_p,
    smallest_p,
    trend,
)
from fobench.report.stats import Estimate

SUITES = 1000
TRUTH = np.log(0.8)
NOISE: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy": lambda rng, shape: rng.standard_t(3, size=shape),
}


def bounds(p: float, confidence: float = 0.999) -> tuple[float, float]:
    """Return the shares of SUITES between which a binomial count of probability p lies this surely."""
    low, high = stats.binom.interval(confidence, SUITES, p)
    return low / SUITES, high / SUITES


def simulated(kind: str, blocks: int, truth: float = 0.0, seed: int = 0) -> Array:
    rng = np.random.default_rng([seed, blocks])
    return truth + 0.05 * NOISE[kind](rng, (SUITES, blocks))


@pytest.mark.parametrize("blocks", [3, 5, 8, 20])
@pytest.mark.parametrize("kind", NOISE)
def test_the_interval_holds_the_true_ratio_as_often_as_it_says(kind: str, blocks: int) -> None:
    low, high = interval(simulated(kind, blocks, TRUTH), resamples=1999)
    coverage = np.mean((low < TRUTH) & (high > TRUTH))
    if kind == "normal":
        assert 0.92 <= coverage <= 0.98
        assert bounds(0.95)[0] <= coverage <= bounds(0.95)[1]
    else:
        assert bounds(0.92)[0] <= coverage <= bounds(0.98)[1]


@pytest.mark.parametrize("blocks", [6, 8, 12])
@pytest.mark.parametrize("kind", NOISE)
def test_an_a_a_pair_is_called_different_at_the_nominal_level(kind: str, blocks: int) -> None:
    """An exact permutation test rejects with probability floor(0.05 * 2^(n - 1)) / 2^(n - 1), whatever the noise."""
    found = np.mean([sign_flip_p(logs) <= 0.05 for logs in simulated(kind, blocks)])
    patterns = 2 ** (blocks - 1)
    low, high = bounds(np.floor(0.05 * patterns) / patterns)
    assert low <= found <= high


def test_sampled_patterns_keep_the_level_too() -> None:
    found = np.mean([sign_flip_p(logs, seed) <= 0.05 for seed, logs in enumerate(simulated("heavy", 20)[:300])])
    low, high = stats.binom.interval(0.999, 300, 0.05)
    assert low <= 300 * found <= high


@pytest.mark.parametrize("blocks", [3, 4, 5])
def test_too_few_blocks_never_reach_significance(blocks: int) -> None:
    assert smallest_p(blocks) > 0.05
    assert min(sign_flip_p(logs) for logs in simulated("normal", blocks, TRUTH)) == smallest_p(blocks)


def test_learners_that_are_all_alike_are_rarely_called_different() -> None:
    """Holm keeps the chance of even one false finding among five learners at 5 % or below."""
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(SUITES):
        suite = rng.normal(scale=0.03, size=(6, 8))
        ps = holm([sign_flip_p(learner - suite[0]) for learner in suite[1:]])
        wrong += min(ps) <= 0.05
    assert wrong <= stats.binom.ppf(0.999, SUITES, 0.05)


def test_a_whole_suite_of_a_a_pairs_rejects_at_the_nominal_level() -> None:
    rng = np.random.default_rng(12)
    verdicts = []
    for _ in range(SUITES):
        block = rng.lognormal(sigma=0.5, size=8)
        values = block * rng.lognormal(sigma=0.03, size=(2, 8))
        group = {
            name: Estimate(dict(enumerate(row)), Provenance.MEASURED)
            for name, row in zip(("bp", "twin"), values, strict=True)
        }
        verdicts.append(compare(group, "bp").comparisons[0].corrected)
    low, high = bounds(np.floor(0.05 * 128) / 128)
    assert low <= np.mean(np.array(verdicts) <= 0.05) <= high


@pytest.mark.parametrize("blocks", [5, 8, 20])
def test_equivalence_is_claimed_wrongly_in_one_case_of_twenty_at_most(blocks: int) -> None:
    """The true ratio lies exactly on the margin, where the error of the claim is largest."""
    logs = np.log(1.05) + 0.01 * np.random.default_rng(blocks).normal(size=(SUITES, blocks))
    found = np.mean([equivalence_p(row, 0.05) <= 0.05 for row in logs])
    assert bounds(0.05)[0] <= found <= bounds(0.05)[1]


@pytest.mark.parametrize("blocks", [3, 8, 20])
def test_an_effect_of_the_detectable_size_is_found_with_power_80_percent(blocks: int) -> None:
    deviation = 0.04
    shift = np.log1p(detectable(deviation, blocks))
    logs = shift + deviation * np.random.default_rng(blocks).normal(size=(SUITES, blocks))
    found = np.mean(stats.ttest_1samp(logs, 0.0, axis=1).pvalue < 0.05)
    assert bounds(0.8)[0] <= found <= bounds(0.8)[1]


def test_a_trend_is_seen_in_steady_values_at_the_nominal_level() -> None:
    rows = np.random.default_rng(4).lognormal(sigma=0.05, size=(SUITES, 6))
    found = np.mean([line.p <= 0.05 for line in map(trend, rows) if line])
    assert bounds(0.05)[0] <= found <= bounds(0.05)[1]
