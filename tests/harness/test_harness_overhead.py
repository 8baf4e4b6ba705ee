"""The verdict on the instruments' own cost, from times that are made up."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from toys import FAST, toy_cell

from fobench.contracts import Context, FobenchError, Header, Part, Phase, Provenance, Reading, Reference, Status
from fobench.harness.overhead import Pair, judge, pairs, seconds_per_sample
from fobench.store import Entry, Writer, read


def test_the_cost_is_the_mean_of_relative_differences_with_students_interval() -> None:
    # logs 0.010, 0.012, 0.014: mean 0.012, s = 0.002, n = 3, t(0.975, 2) = 4.302653 (printed tables)
    made = [Pair(math.exp(log) * clock_s, clock_s) for log, clock_s in ((0.010, 1e-3), (0.012, 5e-3), (0.014, 2e-3))]
    verdict = judge(made)
    assert verdict.cost == pytest.approx(math.expm1(0.012))
    assert verdict.half_width == pytest.approx(math.exp(0.012) * 4.302653 * 0.002 / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ((0.001, 0.002, 0.001, 0.002), "within the budget of 1%"),
        ((0.05, 0.051, 0.05, 0.052), "above the budget of 1%"),
        ((0.05, -0.05, 0.03, -0.04), "this host cannot resolve 1%"),
        ((-0.001, -0.002, -0.001, -0.003), "within the budget of 1%"),
    ],
)
def test_the_verdict(costs: tuple[float, ...], words: str) -> None:
    assert judge([Pair(1 + cost, 1.0) for cost in costs]).text.startswith(words)


def entry_of(path: Path, *starts: float) -> Entry:
    with Writer(path) as writer:
        writer.header(Header(Part.MEASURE, toy_cell(), "test", "here"))
        writer.rows(Context(Phase.TRAIN, "plan", samples=999), [Reading("budget", 999, Provenance.ANALYTICAL)])
        for number, start in enumerate(starts):
            for meter in ("rapl", "clock"):
                context = Context(Phase.TRAIN, meter, 0, window=number, samples=10 * (number + 1), started_s=start)
                writer.rows(context, [Reading("duration", 1.0, Provenance.MEASURED)])
        writer.footer(Status.DONE)
    return read(path)


def test_opening_and_closing_windows_counts(tmp_path: Path) -> None:
    assert seconds_per_sample(entry_of(tmp_path / "x.jsonl", 5.0, 6.5, 9.0)) == pytest.approx(4.0 / (10 + 20))
    with pytest.raises(FobenchError, match=r"fits into one window; lower plan.window_s"):
        seconds_per_sample(entry_of(tmp_path / "y.jsonl", 5.0))


def test_without_instruments_there_is_nothing_to_compare(make_job, tmp_path: Path) -> None:
    plan = replace(FAST, meters=(Reference("clock", label="clock"), Reference("host")))
    with pytest.raises(FobenchError, match="measured with the clock alone"):
        list(pairs(make_job(toy_cell(plan=plan)), tmp_path, 2))
    assert not list(tmp_path.iterdir()), "said before anything is measured"


def test_a_cell_that_fails_says_why(make_job, tmp_path: Path) -> None:
    with pytest.raises(FobenchError, match=r"(?s)toy on blobs failed: .*toy trouble"):
        list(pairs(make_job(toy_cell(trouble="raise", plan=replace(FAST, guards=("suspend",)))), tmp_path, 2))
