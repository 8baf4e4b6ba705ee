"""What is compared with what, what is refused, and how the A/A arm is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import Provenance
from fobench.report.comparison import Comparison, Rules, choose_baseline, compare
from fobench.report.inputs import ReportError
from fobench.report.logratios import detectable
from fobench.report.provenance import WEAKNESS, combine
from fobench.report.stats import Estimate, Interval, rank

MEASURED, ESTIMATED, ANALYTICAL = Provenance.MEASURED, Provenance.ESTIMATED, Provenance.ANALYTICAL
BLOCK = (1.0, 3.0, 2.0, 5.0, 1.5, 2.5, 4.0, 0.5)
"""What each block does to all learners alike."""
NOISE = (1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 0.97, 1.02)


def blocks(factor: float, noise: tuple[float, ...] = NOISE, provenance: Provenance = MEASURED) -> Estimate:
    values = {seed: factor * block * wobble for seed, (block, wobble) in enumerate(zip(BLOCK, noise, strict=False))}
    return Estimate(values, provenance)


BASE = blocks(10.0, (1.0,) * 8)
provenances = st.sampled_from(Provenance)


def only(group: Mapping[str, Estimate], rules: Rules | None = None) -> Comparison:
    (made,) = compare(group, "bp", rules).comparisons
    return made


def test_what_a_block_does_to_all_cancels() -> None:
    made = only({"bp": BASE, "ff": blocks(5.0)})
    logs = np.log(NOISE)
    assert made.ratio is not None
    assert made.ratio.ratio == pytest.approx(0.5 * math.exp(logs.mean()))
    assert made.ratio.low < 0.5 < made.ratio.high < 0.52
    assert made.median == pytest.approx(0.5 * math.sqrt(1.0 * 1.01))
    assert (made.p, made.corrected, made.blocks) == (2 / 2**8, 2 / 2**8, 8)
    assert made.verdict == "lower"


def test_only_common_blocks_count() -> None:
    fewer = Estimate({seed: value for seed, value in blocks(5.0).values.items() if seed > 2} | {77: 1e9}, MEASURED)
    assert only({"bp": BASE, "ff": fewer}).blocks == 5


@pytest.mark.parametrize(
    ("factor", "verdict"), [(10.0, "equivalent"), (10.3, "higher, but equivalent"), (9.0, "lower")]
)
def test_verdicts(factor: float, verdict: str) -> None:
    assert only({"bp": BASE, "ff": blocks(factor)}).verdict == verdict


def test_a_wider_margin_makes_more_equivalent_and_a_narrow_one_undecided() -> None:
    group = {"bp": BASE, "ff": blocks(9.0)}
    assert only(group, Rules(margin=0.2)).verdict == "lower, but equivalent"
    assert only({"bp": BASE, "ff": blocks(10.0)}, Rules(margin=0.001)).verdict == "undecided"


def test_five_blocks_are_undecided_however_large_the_effect() -> None:
    five = {label: blocks(factor, NOISE[:5]) for label, factor in (("bp", 10.0), ("ff", 1.0))}
    family = compare(five, "bp")
    assert (family.smallest, family.comparisons[0].verdict) == (0.0625, "undecided")


def test_correction_is_over_the_learners() -> None:
    group = {"bp": BASE, **{name: blocks(5.0) for name in ("a", "b", "c")}}
    family = compare(group, "bp")
    assert [made.corrected for made in family.comparisons] == [3 * 2 / 2**8] * 3
    assert family.smallest == 3 * 2 / 2**8


def test_exact_values_are_compared_exactly() -> None:
    group = {name: Estimate({None: value}, ANALYTICAL) for name, value in (("bp", 200.0), ("x", 200.0), ("y", 150.0))}
    x, y = compare(group, "bp").comparisons
    assert (x.verdict, y.verdict, y.ratio, y.p) == ("equal", "lower", Interval(0.75, 0.75, 0.75), None)


def test_an_exact_value_of_zero() -> None:
    group = {name: Estimate({None: value}, ANALYTICAL) for name, value in (("bp", 0.0), ("x", 0.0), ("y", 1.0))}
    x, y = compare(group, "bp").comparisons
    assert (x.verdict, y.verdict) == ("equal", "")
    assert "0" in y.reason


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (blocks(5.0, provenance=ESTIMATED), "on request"),
        (Estimate(BASE.values, MEASURED, partial=True), "lower bound"),
        (Estimate({0: 1.0}, MEASURED), "fewer than two"),
        (Estimate({90: 1.0, 91: 1.0}, MEASURED), "fewer than two"),
        (Estimate({None: 1.0}, MEASURED), "once"),
        (Estimate(dict.fromkeys(range(8), 0.0), MEASURED), "above 0"),
    ],
)
def test_what_is_refused_says_why_and_takes_no_part_in_the_correction(estimate: Estimate, words: str) -> None:
    family = compare({"bp": BASE, "odd": estimate, "sound": blocks(5.0)}, "bp")
    odd, sound = family.comparisons
    assert words in odd.reason
    assert (odd.ratio, odd.p, odd.verdict) == (None, None, "")
    assert sound.corrected == sound.p


def test_measured_against_estimated_on_request_is_estimated() -> None:
    made = only({"bp": BASE, "ff": blocks(5.0, provenance=ESTIMATED)}, Rules(mixed=True))
    assert (made.verdict, made.provenance) == ("lower", ESTIMATED)


def test_a_missing_baseline_compares_nothing() -> None:
    assert compare({"ff": BASE}, "bp").comparisons == ()


def test_the_a_a_arm_gives_the_resolution_and_is_no_finding() -> None:
    group = {"bp": BASE, "bp-again": blocks(10.0), "ff": blocks(5.0, NOISE[::-1]), "drtp": blocks(8.0, NOISE[::-1])}
    family = compare(group, "bp", twins=[("bp", "bp-again")])
    assert [made.label for made in family.comparisons] == ["drtp", "ff"]
    assert [made.label for made in family.controls] == ["bp-again"]
    assert family.resolution is not None
    assert family.resolution.pairs == (("bp", "bp-again"),)
    assert family.resolution.share == pytest.approx(detectable(float(np.std(np.log(NOISE), ddof=1)), 8))
    assert not family.controls[0].differs


def test_an_a_a_arm_of_another_learner_stays_in_the_family() -> None:
    group = {"bp": BASE, "ff": blocks(5.0), "ff-again": blocks(5.0, NOISE[::-1])}
    family = compare(group, "bp", twins=[("ff", "ff-again")])
    assert [made.label for made in family.comparisons] == ["ff", "ff-again"]
    assert [(made.label, made.baseline) for made in family.controls] == [("ff-again", "ff")]


def test_a_broken_a_a_arm_is_seen() -> None:
    family = compare({"bp": BASE, "bp-again": blocks(11.0)}, "bp", twins=[("bp", "bp-again")])
    assert family.controls[0].differs


def test_without_an_a_a_arm_the_resolution_rests_on_the_residual_spread() -> None:
    group = {"bp": BASE, "ff": blocks(5.0), "drtp": blocks(8.0, (1.0,) * 8)}
    resolution = compare(group, "bp").resolution
    assert resolution is not None
    assert resolution.pairs == ()
    spread = math.sqrt(float(np.var(np.log(NOISE), ddof=1)) / 2)
    assert resolution.share == pytest.approx(detectable(spread, 8))


def test_trends_are_by_label_in_the_order_of_blocks() -> None:
    rising = Estimate({seed: math.exp(0.1 * seed) for seed in (3, 0, 2, 1)}, MEASURED)
    trends = compare({"bp": rising, "ff": Estimate({0: 1.0, 1: 2.0}, MEASURED)}, "bp").trends
    assert trends["bp"] is not None
    assert trends["bp"].slope == pytest.approx(0.1)
    assert trends["ff"] is None


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["FF", "BP-autograd", "BP"], "BP"), (["ff", "drtp"], "drtp"), (["ff", "B.P. (Adam)"], "B.P. (Adam)")],
)
def test_the_baseline_is_named_like_bp_or_the_first(labels: list[str], expected: str) -> None:
    assert choose_baseline(labels) == expected
    assert choose_baseline(labels, labels[0]) == labels[0]


def test_an_unknown_baseline_and_a_margin_of_nothing_are_refused() -> None:
    with pytest.raises(ReportError, match=r"'bq'.*there are bp, ff"):
        choose_baseline(["bp", "ff"], "bq")
    for margin in (0.0, -0.1, math.nan, math.inf):
        with pytest.raises(ReportError, match="margin"):
            Rules(margin=margin)


@given(st.lists(provenances), st.lists(provenances))
def test_provenance_is_a_lattice(first: list[Provenance], second: list[Provenance]) -> None:
    """Associative, commutative, idempotent, analytical its neutral and estimated its absorbing element."""
    whole = combine(*first, *second)
    assert (
        whole
        == combine(combine(*first), combine(*second))
        == combine(*second, *first)
        == combine(*first, *second, *first)
    )
    assert combine(*first, ANALYTICAL) == combine(*first)
    assert combine(*first, ESTIMATED) == ESTIMATED
    assert WEAKNESS.index(whole) == max((WEAKNESS.index(part) for part in (*first, *second)), default=0)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), provenances, min_size=1), provenances, st.booleans())
def test_no_comparison_mixes_measured_and_estimated_unasked(
    others: dict[str, Provenance], baseline: Provenance, mixed: bool
) -> None:
    group = {name: _of(part) for name, part in {**others, "bp": baseline}.items()}
    for made in compare(group, "bp", Rules(mixed=mixed)).comparisons:
        both = {others[made.label], baseline}
        assert made.provenance == combine(*both)
        if both == {MEASURED, ESTIMATED}:
            assert (made.ratio is not None) == mixed
        elif len(both) == 1:
            assert made.ratio is not None


def _of(part: Provenance) -> Estimate:
    return Estimate({None: 3.0}, part) if part == ANALYTICAL else blocks(3.0, provenance=part)


def test_a_load_model_is_not_compared_across_thread_counts_unless_asked() -> None:
    one, two = (
        replace(blocks(factor, provenance=ESTIMATED), basis=f"{n} threads") for factor, n in ((10.0, 1), (20.0, 2))
    )
    refused = only({"bp": one, "ff": two})
    assert refused.ratio is None
    assert refused.reason == "an estimate on 2 threads against one on 1 threads is compared only on request"
    assert only({"bp": one, "ff": two}, Rules(mixed=True)).ratio is not None
    ranked = rank({"bp": one, "ff": two})
    assert not ranked.best
    assert "1 threads, 2 threads" in ranked.reason
