from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import Provenance
from fobench.report.stats import Estimate, log_ratio_interval, rank, told_apart

M, E, A = Provenance.MEASURED, Provenance.ESTIMATED, Provenance.ANALYTICAL

T_2 = 4.302652729911275
"""Two-sided 95 % quantile of Student's t with 2 degrees of freedom, from printed tables (4.3027)."""


def measured(*values: float, kind: Provenance = M) -> Estimate:
    return Estimate(dict(enumerate(values)), kind)


def test_the_interval_equals_the_one_computed_by_hand():
    """Log ratios 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, half width 4.3027 * 0.1 / sqrt(3)."""
    base = (1.0, 5.0, 0.3)
    other = tuple(b * math.exp(r) for b, r in zip(base, (0.1, 0.2, 0.3), strict=True))
    found = log_ratio_interval(measured(*other), measured(*base))
    half = T_2 * 0.1 / math.sqrt(3)
    assert found.ratio == pytest.approx(math.exp(0.2))
    assert found.low == pytest.approx(math.exp(0.2 - half))
    assert found.high == pytest.approx(math.exp(0.2 + half))
    assert not told_apart(measured(*other), measured(*base)), "0.2 - 0.248 is below 0"


def test_pairing_within_blocks_sees_what_means_cannot():
    """A constant 2 % inside blocks that differ tenfold is resolved, because blocks are compared with themselves."""
    base = (1.0, 10.0, 100.0)
    group = {"a": measured(*base), "b": measured(1.0201, 10.2, 102.01)}
    ranking = rank(group)
    assert ranking.best == ("a",)
    assert ranking.following == "b"
    assert ranking.factor.low < 1.02 < ranking.factor.high


def test_all_that_cannot_be_told_apart_are_best():
    group = {"a": measured(1.0, 1.1, 0.9), "b": measured(1.1, 1.0, 1.0), "c": measured(3.0, 3.3, 2.8)}
    ranking = rank(group)
    assert set(ranking.best) == {"a", "b"}
    assert ranking.following == "c"


def test_the_highest_may_be_the_best():
    group = {"low": measured(0.5, 0.51, 0.49), "high": measured(0.9, 0.91, 0.89)}
    ranking = rank(group, highest=True)
    assert ranking.best == ("high",)
    assert ranking.factor.ratio == pytest.approx(1.80, abs=0.02)


def test_zeros_are_compared_by_differences():
    group = {"none": measured(0.0, 0.0, 0.0), "some": measured(0.10, 0.11, 0.12)}
    ranking = rank(group)
    assert ranking.best == ("none",)
    assert ranking.factor is None


def test_one_block_ranks_nothing_and_says_so():
    ranking = rank({"a": measured(1.0), "b": measured(2.0)})
    assert ranking.best == ()
    assert "one block" in ranking.reason


def test_measured_and_estimated_are_not_ranked_together():
    ranking = rank({"a": measured(1.0, 1.1), "b": measured(2.0, 2.1, kind=E)})
    assert ranking.best == ()
    assert "measured and estimated" in ranking.reason


def test_exact_values_are_compared_exactly():
    values = {"a": 1000.0, "b": 1000.0, "c": 1001.0}
    ranking = rank({label: Estimate({None: value}, A) for label, value in values.items()})
    assert set(ranking.best) == {"a", "b"}
    assert ranking.factor.ratio == 1.001


def test_a_value_without_common_blocks_is_not_ranked():
    group = {"a": measured(1.0, 1.1), "b": Estimate({7: 1.0}, M)}
    assert rank(group).unranked == ("b",)


def test_partial_sums_never_win():
    group = {"a": measured(2.0, 2.1), "b": measured(3.0, 3.1), "c": Estimate({0: 0.1, 1: 0.1}, M, partial=True)}
    assert "c" not in rank(group).best


positive = st.lists(st.floats(0.01, 100.0), min_size=3, max_size=3)


@settings(max_examples=60)
@given(positive, positive, st.floats(0.001, 1000.0))
def test_a_change_of_unit_changes_no_verdict(first, second, factor):
    group = {"a": measured(*first), "b": measured(*second)}
    scaled = {label: measured(*(v * factor for v in e.values.values())) for label, e in group.items()}
    before, after = (told_apart(g["a"], g["b"]) for g in (group, scaled))
    near = abs(log_ratio_interval(group["a"], group["b"]).low - 1) < 1e-9
    assert near or before == after
