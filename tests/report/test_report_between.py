"""Two runs against each other: exact, paired and unpaired ratios, and limits."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_results import Synthetic
from typer.testing import CliRunner

from fobench.cli.main import app
from fobench.report.between import Change, Limit, _unpaired, between, judge, read_both
from fobench.report.inputs import ReportError
from fobench.report.stats import Interval


class Slower(Synthetic):
    """The same suite with training windows 1.5 times as long."""

    def seconds(self, label: str, dataset: str, seed: int) -> float:
        return 1.5 * super().seconds(label, dataset, seed)


class Heavier(Synthetic):
    """One multiply-accumulate more per sample of one learner."""

    def macs(self, label: str, dataset: str, stage: int) -> int:
        return super().macs(label, dataset, stage) + (label == "ff")


def changes(tmp_path: Path, after: Synthetic) -> list[Change]:
    Synthetic().write(tmp_path / "a")
    after.write(tmp_path / "b")
    return between(*read_both(tmp_path / "a" / "synthetic", tmp_path / "b" / "synthetic"))


def of(found: list[Change], quantity: str, where: str = "") -> list[Change]:
    return [change for change in found if change.quantity == quantity and where in change.where]


def test_a_run_against_itself_is_equal_or_undecided(tmp_path: Path) -> None:
    found = changes(tmp_path, Synthetic())
    assert {change.verdict for change in found if change.exact} == {"equal"}
    assert {change.verdict for change in of(found, "duration", "train")} == {"undecided"}
    assert all(change.ratio and change.ratio.ratio == pytest.approx(1) for change in of(found, "energy", "train"))


def test_a_slow_down_is_seen_with_its_factor(tmp_path: Path) -> None:
    found = of(changes(tmp_path, Slower()), "duration", "train")
    assert len(found) == 6
    assert all(change.verdict == "higher" and change.ratio.ratio == pytest.approx(1.5) for change in found)


def test_one_mac_more_fails_the_exact_limit_and_no_other(tmp_path: Path) -> None:
    found = changes(tmp_path, Heavier())
    judgement = judge(found, [Limit.parse("macs:+0%"), Limit.parse("parameters:+0%")])
    assert {change.label for _, change in judgement.exceeded} == {"ff"}
    assert not judgement.unresolved


def test_welch_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    old, new = rng.normal(0, 0.1, 5), rng.normal(0.2, 0.3, 7)
    ratio, _ = _unpaired(old, new)
    expected = stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.95)
    assert ratio is not None
    assert [math.log(value) for value in (ratio.low, ratio.high)] == pytest.approx([expected.low, expected.high])


def test_another_machine_compares_exact_values_and_errors_only(tmp_path: Path) -> None:
    found = changes(tmp_path, Synthetic(machine="beta"))
    assert all("other machine" in change.reason for change in of(found, "duration") + of(found, "energy"))
    assert all(change.ratio for change in of(found, "macs") + of(found, "error"))


def test_runs_without_anything_in_common_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="share no learner"):
        changes(tmp_path, Synthetic(labels=("other",), datasets=("cifar10",)))


@pytest.mark.parametrize(
    ("ratio", "exceeded", "unresolved"),
    [
        (Interval(1.1, 1.06, 1.14), True, False),
        (Interval(1.06, 1.02, 1.10), False, True),
        (Interval(1.01, 0.99, 1.03), False, False),
        (Interval(1.05, 1.05, 1.05), False, False),
        (None, False, True),
    ],
)
def test_a_limit(ratio: Interval | None, exceeded: bool, unresolved: bool) -> None:
    change = Change("ff", "digits", "energy", "train", 1.0, 1.1, False, ratio)
    limit = Limit.parse("energy:+5%")
    assert (limit.exceeded(change), limit.unresolved(change)) == (exceeded, unresolved)
    assert Limit.parse("time:5%") == replace(limit, quantity="duration")


@pytest.mark.parametrize("text", ["energy", "energy:5", "energy:-5%", "energy:x%", ""])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ReportError, match="expected a quantity"):
        Limit.parse(text)


def test_exit_codes(tmp_path: Path) -> None:
    Synthetic().write(tmp_path / "a")
    Slower().write(tmp_path / "b")
    Heavier().write(tmp_path / "c")

    def code(after: str, *limits: str) -> int:
        folders = [str(tmp_path / name / "synthetic") for name in ("a", after)]
        asked = [part for limit in limits for part in ("--fail-on", limit)]
        return CliRunner().invoke(app, ["compare", *folders, *asked]).exit_code

    assert code("b", "macs:+0%") == 0
    assert code("c", "macs:+0%") == 1
    assert code("b", "time:+20%") == 1
    assert code("a", "time:+0%") == 3
