"""What the section on comparisons says: numbers, too few blocks, the A/A arm, what is exact."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic_results import Synthetic

from fobench.contracts import Cell, Reference
from fobench.report.comparison import Rules
from fobench.report.document import Document, Note, Table
from fobench.report.inputs import ReportError, ReportInput, read
from fobench.report.render.markdown import text
from fobench.report.sections.comparison import comparison, families, measures

EIGHT = tuple(range(8))
METERS = ("clock", "rapl")


class Arm(Synthetic):
    """`bp` stands in the suite twice; the second time it takes as long as the first, up to one part in a thousand."""

    factor = 1.0

    def cell(self, label: str, dataset: str, seed: int) -> Cell:
        made = super().cell(label, dataset, seed)
        return Cell(Reference("bp", {"eta": 0.1}, label), made.dataset, made.recipe, made.plan, seed)

    def seconds(self, label: str, dataset: str, seed: int) -> float:
        base = super().seconds("bp", dataset, seed)
        return base if label == "bp" else self.factor * base * (1 + 0.001 * (-1) ** seed)


class BrokenArm(Arm):
    factor = 1.2


def shown(report: ReportInput, rules: Rules | None = None) -> str:
    return text(Document("t", "s", tuple(comparison(report, rules))))


def table(report: ReportInput, words: str, rules: Rules | None = None) -> Table:
    (found,) = [b for b in comparison(report, rules) if isinstance(b, Table) and b.caption.startswith(words)]
    return found


def test_ratios_are_those_of_the_synthetic_truth(tmp_path: Path) -> None:
    suite = Synthetic(seeds=EIGHT, meters=METERS)
    report = read(suite.write(tmp_path))
    measure = measures(report)["energy per training (rapl)"]
    made = families(report, measure, "bp", Rules())["digits"].comparisons[0]
    ratios = [suite.seconds("drtp", "digits", seed) / suite.seconds("bp", "digits", seed) for seed in EIGHT]
    product = 1.0
    for ratio in ratios:
        product *= ratio
    assert made.ratio is not None
    assert made.ratio.ratio == pytest.approx(product ** (1 / 8))
    assert made.median == pytest.approx(sum(sorted(ratios)[3:5]) / 2, rel=1e-5)
    assert (made.label, made.blocks, made.corrected) == ("drtp", 8, 2 * 2 / 2**8)


def test_every_label_has_a_row_and_the_baseline_its_drift(tmp_path: Path) -> None:
    rows = table(read(Synthetic(seeds=EIGHT, meters=METERS).write(tmp_path)), "Time per training").rows
    assert [row[:2] for row in rows[:3]] == [("digits", "bp (baseline)"), ("digits", "drtp"), ("digits", "ff")]
    assert str(rows[0][-1]).count("%") == 1
    assert rows[1][7] == "higher"


def test_too_few_blocks_is_said(tmp_path: Path) -> None:
    page = shown(read(Synthetic(seeds=range(5), meters=METERS).write(tmp_path)))
    said = "digits and mit-bih: 5 blocks are too few for a verdict of lower or higher: the smallest corrected p that "
    assert f"{said}2 comparisons can reach is 0.125, above 0.05; it takes 7 blocks" in page
    assert "| undecided |" in page
    assert "| higher |" not in page


def test_three_blocks_have_no_drift(tmp_path: Path) -> None:
    page = shown(read(Synthetic(meters=METERS).write(tmp_path)))
    assert "drift: – where there are fewer than 4 blocks" in page


def test_one_block_compares_nothing_but_exact_values(tmp_path: Path) -> None:
    page = shown(read(Synthetic(seeds=(0,), meters=METERS).write(tmp_path)))
    assert "fewer than two blocks in common" in page
    assert "higher |" not in page
    assert "| digits | ff | 2.81818ᵃ | 3ᵃ | 3ᵃ | equalᵃ |" in page


def test_the_a_a_arm_is_found_by_learner_and_recipe(tmp_path: Path) -> None:
    report = read(
        Arm(labels=("bp", "bp again"), datasets=("digits",), seeds=EIGHT, meters=METERS).write(tmp_path / "a")
    )
    assert report.twins["digits"] == [("bp", "bp again")]
    assert read(Synthetic(meters=METERS).write(tmp_path / "b")).twins["digits"] == []


def test_the_a_a_arm_says_what_can_be_resolved(tmp_path: Path) -> None:
    suite = Arm(labels=("bp", "bp again"), datasets=("digits",), seeds=EIGHT, meters=METERS)
    report = read(suite.write(tmp_path))
    found = table(report, "Energy per training")
    assert found.rows[1][1] == "bp again / bp (A/A)"
    assert found.rows[1][7] == "no difference"
    assert any("by the A/A arm bp / bp again" in note and "0.12 %" in note for note in found.notes)
    assert not any(isinstance(b, Note) for b in comparison(report) if "energy" in str(b).lower())


def test_an_a_a_arm_that_differs_raises_an_alarm(tmp_path: Path) -> None:
    suite = BrokenArm(labels=("bp", "bp again"), datasets=("digits",), seeds=EIGHT, meters=METERS)
    blocks = comparison(read(suite.write(tmp_path)))
    alarms = [block.text for block in blocks if isinstance(block, Note)]
    assert any(
        re.match(r"Energy per training \(rapl\) on digits: the same learner.*do not trust", text) for text in alarms
    )


def test_another_baseline_on_request(tmp_path: Path) -> None:
    report = read(Synthetic(seeds=EIGHT, meters=METERS).write(tmp_path))
    assert table(report, "Time per training", Rules(baseline="ff")).rows[0][1] == "ff (baseline)"
    with pytest.raises(ReportError, match="no learner 'pepita'"):
        comparison(report, Rules(baseline="pepita"))


def test_each_meter_is_compared_on_its_own_and_marked(tmp_path: Path) -> None:
    page = shown(read(Synthetic(meters=("clock", "rapl", "codecarbon")).write(tmp_path)))
    of_rapl, of_codecarbon = (
        page.split(f"Energy per training ({meter})")[1].split("\n\n**")[0] for meter in ("rapl", "codecarbon")
    )
    assert "ᵐ" in of_rapl
    assert "ᵉ" not in of_rapl
    assert "ᵉ" in of_codecarbon
    assert "ᵐ" not in of_codecarbon


def test_one_learner_is_compared_with_nothing(tmp_path: Path) -> None:
    assert "nothing is compared" in shown(read(Synthetic(labels=("bp",), meters=METERS).write(tmp_path)))


def test_a_learner_that_failed_is_left_out_and_a_failed_baseline_leaves_nothing(tmp_path: Path) -> None:
    page = shown(read(Synthetic(seeds=EIGHT, meters=METERS, fail=("ff",)).write(tmp_path / "a")))
    assert "| digits | drtp |" in page.split("**Time per training")[1]
    assert "| digits | ff |" not in page.split("Exact")[0]
    page = shown(read(Synthetic(seeds=EIGHT, meters=METERS, fail=("bp",)).write(tmp_path / "b")))
    assert "**Time per training" not in page
    assert (
        "Not compared, as bp has no value: error on digits and mit-bih; energy per training (rapl) on digits and mit-bih;"
        in page
    )
