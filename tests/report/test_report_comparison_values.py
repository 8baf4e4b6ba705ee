"""The statistics of a comparison against textbook values, closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fobench.report.logratios import (
    blocks_needed,
    detectable,
    equivalence_p,
    holm,
    interval,
    pooled_deviation,
    sign_flip_p,
    smallest_p,
    trend,
)

DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=float)
"""Darwin's differences of cross- and self-fertilised maize (eighths of an inch), Fisher, The Design of Experiments, 1935."""


def test_student_interval_is_that_of_scipy_on_darwins_maize() -> None:
    low, high = interval(DARWIN)
    expected = stats.ttest_1samp(DARWIN, 0.0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_permutation_p_is_fishers_on_darwins_maize() -> None:
    """Fisher counted 863 of 32,768 sign patterns with as large a sum on one side (1,726 on both)."""
    assert sign_flip_p(DARWIN) == 1726 / 32768


def test_permutation_p_agrees_with_scipy() -> None:
    logs = np.random.default_rng(1).normal(0.5, 1, 9)
    expected = stats.permutation_test((logs,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(logs) == pytest.approx(expected.pvalue)


def test_sampled_permutation_p_comes_close_to_the_exact_one() -> None:
    """With 17 equal values and one of them negative, 2 * (1 + 17) of the 2^17 patterns are as extreme."""
    logs = np.array([-1.0] + [1.0] * 16)
    exact = 2 * (1 + 17) / 2**17
    assert sign_flip_p(logs) == pytest.approx(exact, abs=4 * math.sqrt(exact / 2**16))
    assert sign_flip_p(np.ones(17)) >= smallest_p(17) == 2.0**-16


def test_five_blocks_cannot_reach_significance_and_six_can() -> None:
    assert smallest_p(5) == 0.0625
    assert sign_flip_p(np.ones(5)) == 0.0625
    assert stats.wilcoxon(np.arange(1.0, 6.0)).pvalue == 0.0625
    assert blocks_needed(1) == 6
    assert blocks_needed(5) == 8


@pytest.mark.parametrize("comparisons", range(1, 40))
def test_blocks_needed_is_the_fewest(comparisons: int) -> None:
    blocks = blocks_needed(comparisons)
    assert comparisons * smallest_p(blocks) <= 0.05 < comparisons * smallest_p(blocks - 1)


def test_bootstrap_is_that_of_scipy_where_nothing_is_skewed() -> None:
    """Values symmetric about their mean have no acceleration, so that BCa of scipy at the same level is the same interval."""
    half = np.random.default_rng(3).normal(size=12)
    values = 5 + np.concatenate([half, -half])
    level = 1 - 2 * stats.norm.cdf(math.sqrt(24 / 23) * stats.t.ppf(0.025, 23))
    expected = stats.bootstrap((values,), np.mean, confidence_level=level, method="BCa").confidence_interval
    low, high = interval(values)
    width = expected.high - expected.low
    assert low == pytest.approx(expected.low, abs=0.05 * width)
    assert high == pytest.approx(expected.high, abs=0.05 * width)


def test_bootstrap_is_reproducible_and_follows_skew() -> None:
    values = np.random.default_rng(8).exponential(size=25)
    low, high = interval(values)
    assert interval(values) == (low, high)
    assert high - values.mean() > values.mean() - low
    assert interval(values, seed=1) != (low, high)


def test_values_that_are_all_alike_have_an_interval_without_width() -> None:
    for blocks in (2, 8, 20, 30):
        assert interval(np.full(blocks, 0.3)) == pytest.approx((0.3, 0.3))


def test_one_block_has_no_interval() -> None:
    assert np.isnan(interval(np.array([0.1]))).all()


def test_holm_is_that_of_r() -> None:
    """`p.adjust(p, "holm")` of R."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_order_and_lies_between_the_raw_p_and_bonferroni(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(p <= q <= min(1, len(ps) * p) for p, q in zip(ps, adjusted, strict=True))
    assert sorted(adjusted) == [adjusted[place] for place in sorted(range(len(ps)), key=ps.__getitem__)]


def test_equivalence_is_two_one_sided_t_tests() -> None:
    logs = np.random.default_rng(2).normal(0.01, 0.03, 8)
    limit = math.log(1.05)
    sides = (
        stats.ttest_1samp(logs, -limit, alternative="greater").pvalue,
        stats.ttest_1samp(logs, limit, alternative="less").pvalue,
    )
    assert equivalence_p(logs, 0.05) == pytest.approx(max(sides))
    assert equivalence_p(-logs, 0.05) == pytest.approx(max(sides))


def test_equivalence_of_values_without_spread() -> None:
    assert equivalence_p(np.zeros(4), 0.05) == 0.0
    assert equivalence_p(np.full(4, 0.1), 0.05) == 1.0


def test_detectable_effect_is_that_of_power_tables() -> None:
    """A paired t test needs 34 pairs for d = 0.5 at 5 % and power 0.8 (Cohen 1988; G*Power), and 33 do not suffice."""
    assert math.log1p(detectable(1.0, 34)) < 0.5 < math.log1p(detectable(1.0, 33))


def test_detectable_effect_tends_to_the_normal_approximation() -> None:
    """(1.960 + 0.842) * deviation / sqrt(n), the formula behind the usual tables of runs per arm."""
    normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 0.05 / math.sqrt(2000)
    assert detectable(0.05, 2000) == pytest.approx(math.expm1(normal), rel=1e-3)
    assert detectable(0.0, 5) == 0


@pytest.mark.parametrize("blocks", range(2, 60))
def test_detectable_effect_shrinks_with_blocks(blocks: int) -> None:
    assert detectable(0.01, blocks) > detectable(0.01, blocks + 1) > 0


def test_pooled_deviation_weighs_by_degrees_of_freedom() -> None:
    groups = [np.array([1.0, 3.0]), np.array([10.0, 10.0, 13.0, 15.0])]
    assert pooled_deviation(groups) == pytest.approx(math.sqrt((2 + 18) / (1 + 3)))


def test_trend_is_the_slope_of_the_logarithm() -> None:
    line = trend(2.0 * 1.01 ** np.arange(5))
    assert line is not None
    assert line.slope == pytest.approx(math.log(1.01))
    assert line.p < 1e-6


def test_trend_p_is_the_t_test_of_the_slope() -> None:
    """y = 0, 1, 1, 2 over 0..3: slope 0.6, residual variance 0.1, error sqrt(0.1 / 5), t = 4.2426 with 2 degrees of freedom."""
    line = trend(np.exp([0.0, 1.0, 1.0, 2.0]))
    assert line is not None
    assert line.slope == pytest.approx(0.6)
    assert line.p == pytest.approx(2 * stats.t.sf(0.6 / math.sqrt(0.02), 2))


def test_trend_needs_four_blocks_and_something_that_moves() -> None:
    assert trend(np.array([1.0, 2.0, 3.0])) is None
    line = trend(np.full(4, 7.0))
    assert line is not None
    assert (line.slope, line.p) == (0.0, 1.0)
