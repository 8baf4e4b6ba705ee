"""The gate on times: false alarms as rare and effects found as often as it says, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fobench.report.inputs import ReportError
from fobench.report.regression import ALPHA, Limits, judge

ROUNDS = 10
LIMITS = Limits(tolerance=0.02, effect=0.05)


def simulated(shift: float, deviation: float, number: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(np.log1p(shift), deviation, size=(number, ROUNDS))


def test_equal_sources_fail_no_more_often_than_stated_even_at_the_tolerance() -> None:
    """At the edge of the tolerance itself the rate is ALPHA: 20 of 2,000, with a standard deviation of 4.4."""
    for shift, most in ((0.02, 40), (0.0, 2)):
        alarms = sum(judge({"x": logs}, LIMITS)["x"].slower for logs in simulated(shift, 0.015, 2000, seed=1))
        assert alarms <= most
    edge = sum(judge({"x": logs}, LIMITS)["x"].slower for logs in simulated(0.02, 0.015, 2000, seed=1))
    assert edge >= 5, "a test that never fails finds nothing"


def test_several_comparisons_share_one_rate() -> None:
    """Six comparisons at the edge: any of them fails in ALPHA of the gates, 10 of 1,000 (deviation 3.1)."""
    draws = simulated(0.02, 0.015, 6000, seed=2).reshape(1000, 6, ROUNDS)
    gates = [judge({str(i): logs for i, logs in enumerate(gate)}, LIMITS) for gate in draws]
    assert sum(any(made.slower for made in gate.values()) for gate in gates) <= 22


@pytest.mark.parametrize("deviation", [0.01, 0.02, 0.04])
def test_five_percent_are_found_as_often_as_the_power_says(deviation: float) -> None:
    made = [judge({"x": logs}, LIMITS)["x"] for logs in simulated(0.05, deviation, 1500, seed=3)]
    critical = stats.t.ppf(1 - ALPHA, ROUNDS - 1)
    distance = (np.log(1.05) - np.log(1.02)) / (deviation / ROUNDS**0.5)
    expected = stats.nct.sf(critical, ROUNDS - 1, distance)
    found = np.mean([one.slower for one in made])
    assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 1500) ** 0.5 + 1e-3)
    assert np.median([one.power for one in made]) == pytest.approx(expected, abs=0.08)


def test_a_judgement_says_ratio_verdict_and_power() -> None:
    made = judge({"slow": [0.05, 0.051, 0.049], "same": [0.001, -0.001, 0.0], "noisy": [0.3, -0.3, 0.05]}, LIMITS)
    assert (made["slow"].slower, made["same"].slower, made["noisy"].slower) == (True, False, False)
    assert made["slow"].ratio.ratio == pytest.approx(np.exp(0.05))
    assert (made["same"].resolved, made["noisy"].resolved) == (True, False)
    assert judge({"x": [0.05, 0.05]}, LIMITS)["x"].power == 1


@pytest.mark.parametrize(("tolerance", "effect"), [(0.05, 0.05), (-0.1, 0.05), (0.02, 20)])
def test_limits_that_make_no_sense_are_refused(tolerance: float, effect: float) -> None:
    with pytest.raises(ReportError, match="0 <= tolerance < effect"):
        Limits(tolerance, effect)
