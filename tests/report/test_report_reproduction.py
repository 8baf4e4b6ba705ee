"""Verdicts by hand-made values, the section on synthetic and recorded results, and the statements that need no run."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest
from paper_results import TASKS, Paper, header_of, suite_of
from synthetic_results import Synthetic

from fobench.contracts import Origin, Part, Provenance, Recipe
from fobench.report import doubts
from fobench.report.document import Note, Prose, Table, Value
from fobench.report.inputs import ReportInput, read
from fobench.report.published import CANNOT, DIFFERS, NOT_COMPARABLE, REPRODUCED, Figure, table, tables
from fobench.report.reproduce import Beside, departures, fits, in_print, judge, quotient
from fobench.report.sections.reproduction import reproduction
from fobench.report.stats import Estimate, mean_interval

BASELINES = Path(__file__).parents[2] / "results" / "baselines"
BP = table("feedback-alignment").figures[0]
LIGHT = next(f for f in table("lightff").figures if f.unit == "ratio")


def figure(value: str, spread: str = "", **changes: object) -> Figure:
    return replace(BP, text=value, spread=spread, doubts="", barrier="", **changes)  # type: ignore[arg-type]


def blocks(*values: float, provenance: Provenance = Provenance.MEASURED) -> Estimate:
    return Estimate(dict(enumerate(values)), provenance)


# --- the rule -----------------------------------------------------------------------------------------------------------


def test_the_interval_of_a_mean_is_students() -> None:
    """1, 2, 3: mean 2, deviation 1, t(0.975, 2) = 4.30265, half = 4.30265 / sqrt(3)."""
    assert mean_interval(blocks(1, 2, 3)) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-5)
    assert mean_interval(blocks(1)) is None


@pytest.mark.parametrize(
    ("printed", "spread", "own", "word"),
    [
        ("1.50", "", (1.504,), REPRODUCED),  # within half of the last digit
        ("1.50", "", (1.506,), DIFFERS),
        ("1.50", "0.10", (1.6,), REPRODUCED),  # the printed spread's limit belongs to it
        ("1.50", "0.10", (1.61,), DIFFERS),
        ("2.00", "0.60", (4.0, 5.0, 6.0), REPRODUCED),  # 2.52 to 7.48 meets 1.40 to 2.60
        ("2.00", "0.50", (4.0, 5.0, 6.0), DIFFERS),
        (">6", "", (6.5, 6.6), REPRODUCED),
        (">6", "", (5.9,), DIFFERS),
    ],
)
def test_reproduced_is_where_interval_and_tolerance_meet(
    printed: str, spread: str, own: tuple[float, ...], word: str
) -> None:
    assert judge(figure(printed, spread), blocks(*own), []).word == word


def test_one_block_has_no_interval_and_says_so() -> None:
    assert judge(figure("1.5", "0.1"), blocks(1.5), []).reason == "one block: no interval"
    assert judge(figure("1.5", "0.1"), blocks(1.5, provenance=Provenance.ANALYTICAL), []).reason == ""


def test_a_barrier_comes_before_reasons_and_reasons_before_values() -> None:
    barred = replace(figure("1.5"), barrier=CANNOT, doubts="the power is not stated")
    assert (judge(barred, blocks(1.5), ["other epochs"]).word, judge(barred, blocks(1.5), []).word) == (CANNOT, CANNOT)
    found = judge(figure("1.5"), blocks(1.5), ["5 epochs, published 100"])
    assert (found.word, found.reason) == (NOT_COMPARABLE, "5 epochs, published 100")
    partial = replace(blocks(1.5), partial=True)
    assert judge(figure("1.5"), partial, []).reason == "windows are missing: a lower bound"


def test_what_departs_from_the_publication() -> None:
    cell = suite_of("paper-feedback-alignment").cells[0]
    head = header_of(cell)
    assert list(departures(BP, head)) == []
    assert list(departures(BP, replace(head, origin=Origin.REAL))) == []
    assert list(departures(BP, replace(head, origin=Origin.SURROGATE))) == ["the data are a surrogate"]
    assert list(departures(BP, replace(head, origin=Origin.EXTRACT))) == ["the data are an extract"]
    recipe = Recipe(epochs=1, train_samples=20_000, score_samples=5000)
    assert list(departures(BP, replace(head, cell=replace(cell, recipe=recipe)))) == [
        "1 epoch, published 300",
        "trained on 20,000 samples only",
        "scored on 5,000 of 10,000 test samples",
    ]
    whole = Recipe(epochs=300, train_samples=70_000, score_samples=10_000)
    assert list(departures(BP, replace(head, cell=replace(cell, recipe=whole)))) == []
    unknown = replace(BP, network="", epochs=None)
    assert len(list(departures(unknown, head))) == 2


def test_settings_are_asked_for_by_value_by_presence_and_by_absence() -> None:
    heads = {
        cell.label: header_of(cell) for cell in suite_of("paper-pepita-variants").cells if cell.dataset.name == "mnist"
    }
    rows = {f.row: f for f in table("pepita-variants").figures if f.column == "MNIST"}
    names = {"none": "PEPITA"}
    found = {row: [label for label, head in heads.items() if fits(f, "pepita", head)] for row, f in rows.items()}
    assert found == {row: [names.get(row, row)] for row in rows}


def test_units_and_accuracies() -> None:
    right = in_print(replace(BP, quantity="accuracy"), blocks(0.02))
    assert right.values[0] == pytest.approx(98)
    macs = replace(BP, quantity="macs", unit="2^20 MAC", labels=10)
    assert in_print(macs, blocks(135_680_000)).values[0] == pytest.approx(12.939453125)


def test_ratios_are_taken_block_by_block() -> None:
    exact = Estimate({None: 12.0}, Provenance.ANALYTICAL)
    assert quotient([exact, blocks(2, 3)]).values == {0: 6, 1: 4}  # type: ignore[union-attr]
    assert quotient([exact, exact]).values == {None: 1}  # type: ignore[union-attr]
    assert quotient([blocks(8, 9), blocks(2, 3)]).values == {0: 4, 1: 3}  # type: ignore[union-attr]
    assert quotient([blocks(1), Estimate({7: 1.0}, Provenance.MEASURED)]) is None


# --- the section --------------------------------------------------------------------------------------------------------


def rows_of(report: ReportInput) -> dict[tuple[str, str], tuple[object, ...]]:
    made = [
        block for block in reproduction(report) if isinstance(block, Table) and "published and here" in block.caption
    ]
    return {(str(row[0]), str(row[1])): row[2:] for block in made for row in block.rows}


def verdict(row: tuple[object, ...]) -> str:
    return str(row[-1]).partition(" [")[0]


def test_recorded_results_at_the_published_budget() -> None:
    """One seed each: DRTP 4.78 % where 4.8 is published, FF 1.56 % where 1.45 is."""
    rows = rows_of(read(BASELINES / "drtp-ff-mnist"))
    assert {place: verdict(row) for place, row in rows.items()} == {
        ("DRTP, MNIST, 4 layers", "DRTP"): REPRODUCED,
        ("Loewe, code, Test error [%]", "FF"): DIFFERS,
    }
    drtp = rows["DRTP, MNIST, 4 layers", "DRTP"]
    assert [drtp[1], drtp[3]] == [Value("4.8 ± 0.2 %", number=4.8), "–"]
    assert isinstance(drtp[4], Value)
    assert drtp[4].text == "-0.02 points"


def test_three_seeds_have_an_interval() -> None:
    """97.92, 97.83, 97.89 %: mean 97.88, deviation 0.0458, half = 4.30265 x 0.0458 / sqrt(3) = 0.1138."""
    rows = rows_of(read(BASELINES / "pepita-mnist"))
    _, printed, own, interval, difference, word = rows["PEPITA, fully connected, MNIST", "PEPITA"]
    assert [cell.text for cell in (printed, own, difference) if isinstance(cell, Value)] == [
        *("98.01 ± 0.09 %", "97.88", "-0.13 points"),
    ]
    assert (interval, word) == ("97.77 to 97.99", REPRODUCED)


def test_a_greedy_cell_has_every_smaller_depth() -> None:
    """The mean over seeds of the last score of each stage, read off the files without the program."""
    last: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for path in sorted(BASELINES.glob("wearables/*/Bio-FO--mit-bih--s*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()[1:-1]]
        for stage, found in last.items():
            scores = [r for r in rows if r["quantity"] == "error" and r["stage"] == stage and r["channel"] == "test"]
            found.append(max(scores, key=lambda row: row["epoch"])["value"])
    beside = Beside(read(BASELINES / "wearables")).matches(table("biofo-depth"))
    own = {m.figure.column: m for m in beside if m.figure.row == "Bio-FO" and m.dataset == "mit-bih"}
    assert set(own) == {"1 layer", "2 layers", "3 layers", "4 layers"}
    for stage, column in enumerate(("1 layer", "2 layers", "3 layers")):
        assert own[column].own.mean == pytest.approx(100 * fmean(last[stage]))
        assert own[column].verdict.reason == "1 epoch, published 100; trained on 20,000 samples only"


def test_exact_counts_are_compared_whatever_the_budget() -> None:
    found = {
        m.figure.row: m
        for m in Beside(read(BASELINES / "wearables")).matches(table("lightff"))
        if m.figure.quantity == "macs"
    }
    assert found["MIT-BIH"].verdict.word == CANNOT
    assert found["CHB-MIT"].verdict.word == DIFFERS
    assert found["CHB-MIT"].own.mean == pytest.approx((1024 * 2000 + 3 * 2000**2) / 2**20)


def test_a_suite_without_a_match_says_where_there_are_some(report: ReportInput) -> None:
    made = reproduction(report)
    notes = [block.text for block in made if isinstance(block, Note)]
    assert len(notes) == 1
    assert notes[0].startswith("No cell here has a published figure beside it")
    assert "suites/paper/biofo-energy.yaml" in notes[0]
    assert sum(isinstance(block, Prose) for block in made) == len(doubts.doubts())


def test_missing_quantities_and_one_seed(tmp_path: Path) -> None:
    """Without scores, meters or predictions there is less beside the figures, and never an error."""
    made = Paper(labels=("FF", "LightFF multi-pass", "BP"), datasets=("mnist",), seeds=(0,), stages=1, infer=False,
                 meters=("clock",), errors={"FF": 0.0151, "LightFF multi-pass": 0.03, "BP": 0.0133})  # fmt: skip
    rows = rows_of(read(made.write(tmp_path)))
    assert verdict(rows["MNIST, Error [%], FF", "FF"]) == REPRODUCED
    assert verdict(rows["MNIST, Error [%], LightFF", "LightFF multi-pass"]) == DIFFERS
    assert verdict(rows["MNIST, MACs [2^20], ratio", "FF / LightFF multi-pass"]) == DIFFERS
    assert not any("Time" in place for place, _ in rows)
    assert not any("Wh" in str(row[1]) for row in rows.values())


def test_failed_cells_are_nowhere(tmp_path: Path) -> None:
    made = Paper(labels=("FF", "BP"), datasets=("mnist",), fail=("FF",), stages=1, errors={"FF": 0.1, "BP": 0.0133})
    assert not any(place.startswith("MNIST, Error [%], FF") for place, _ in rows_of(read(made.write(tmp_path))))


def test_other_rules_and_networks_do_not_match(tmp_path: Path) -> None:
    made = Synthetic(labels=("bp", "ff"), datasets=("mnist",), network="784-123x4")
    assert rows_of(read(made.write(tmp_path))) == {}


# --- what needs no run ----------------------------------------------------------------------------------------------------


def test_bytes_of_training_steps_are_those_of_the_reference() -> None:
    """Float32, batch 100, Adam, counted there by hand: 221 and 104 MB with four layers, 351 and 136 with six."""
    for name, depth, autograd, biofo in (("MNIST", 4, 221, 104), ("MNIST", 6, 351, 136), ("CHB-MIT", 6, 358, 138)):
        task = doubts.TASKS[name]
        assert doubts.step_bytes("bp-autograd", task, depth) / 1e6 == pytest.approx(autograd, rel=0.02)
        assert doubts.step_bytes("biofo", task, depth) / 1e6 == pytest.approx(biofo, rel=0.005)


def test_macs_of_the_evaluation_layer_by_layer() -> None:
    for name, task in doubts.TASKS.items():
        total = 0
        for _ in range(task.classes):
            for depth in (1, 2, 3, 4):
                sizes = [task.inputs, *[2000] * depth]
                total += sum(a * b for a, b in pairwise(sizes))
        assert doubts.evaluation_macs(task) == total, name


def test_frozen_layers_hold_weights_and_biases() -> None:
    task = doubts.TASKS["MNIST"]
    frozen = 4 * (784 * 2000 + 2000 + 2000 * 2000 + 2000)
    assert doubts.step_bytes("biofo", task, 3) - doubts.active_bytes(task, 3) == frozen
    assert doubts.active_bytes(task, 1) == doubts.step_bytes("biofo", task, 1)


def test_the_demo_is_time_times_five_watts() -> None:
    found = next(item for item in doubts.doubts() if item.table == "lightff-demo")
    saved = (19.667e-3 - 9.484e-3) / 3600 * 5 * 1e6
    assert saved == pytest.approx(14.143, abs=5e-4)
    assert "= 14.143 µWh" in found.sentence
    assert found.verdict == REPRODUCED


def test_statements_are_about_tables_that_exist_and_have_a_verdict() -> None:
    names = {found.name for found in tables()}
    for item in doubts.doubts():
        assert item.table in names
        assert item.verdict in (REPRODUCED, DIFFERS, NOT_COMPARABLE, CANNOT)


def test_memory_is_below_three_for_every_depth_against_both_bps(report: ReportInput) -> None:
    (made,) = [
        block for block in reproduction(report) if isinstance(block, Table) and "Bytes of a training" in block.caption
    ]
    assert [row[0] for row in made.rows] == [str(depth) for depth in range(1, 7)]
    numbers = [[cell.number for cell in row if isinstance(cell, Value)] for row in made.rows]
    assert all(1 <= row[1] < 3 and 1 <= row[2] < 3 for row in numbers if row[1] and row[2])
    # maps of 2000 at any depth: BP keeps L and needs the signal, Bio-FO three, each with its small errors
    assert [round(row[5] or 0, 2) for row in numbers] == pytest.approx([1, 1, 4 / 3, 5 / 3, 2, 7 / 3], abs=0.01)


def test_parts_of_headers_do_not_matter(tmp_path: Path) -> None:
    """A trace alone, without its measurements, still has exact counts beside the published ones."""
    made = Paper(labels=("FF", "BP"), datasets=("mnist",), stages=1, errors={"FF": 0.0151, "BP": 0.0133},
                 predicted={("FF", "mnist"): 135_680_000})  # fmt: skip
    folder = made.write(tmp_path)
    whole = read(folder)
    rows = [m for m in Beside(whole).matches(table("lightff")) if m.figure.quantity == "macs"]
    assert [(m.verdict.word, m.own.exact) for m in rows] == [(REPRODUCED, True)]
    assert any(header.part == Part.TRACE for header in whole.headers)
    assert TASKS["mnist"].classes == rows[0].figure.labels
