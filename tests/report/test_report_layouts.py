"""Published tables in their own layout: own values above, the published ones in brackets below."""

from __future__ import annotations

from pathlib import Path

import pytest
from paper_results import Paper, suite_of

from fobench.report.document import Column, Heading, Table, Value
from fobench.report.inputs import ReportInput, read
from fobench.report.published import table
from fobench.report.sections.layouts import published_layouts
from fobench.report.tables import MISSING, WIDTH

LABELS = ("FF", "LightFF multi-pass", "BP")
ERRORS = {"FF": 0.0151, "LightFF multi-pass": 0.03, "BP": 0.0133}
MACS = {("FF", "mnist"): 135_680_000, ("LightFF multi-pass", "mnist"): 27_136_000}


def laid_out(report: ReportInput) -> list[Table]:
    return [block for block in published_layouts(report) if isinstance(block, Table)]


def row(made: Table, name: str) -> list[str]:
    (found,) = [line for line in made.rows if line[0] == name]
    return [cell.text if isinstance(cell, Value) else cell for cell in found[1:]]


def test_other_suites_have_no_such_section(report: ReportInput) -> None:
    assert published_layouts(report) == []


def test_the_table_of_lightff(tmp_path: Path) -> None:
    made = Paper(labels=LABELS, datasets=("mnist",), seeds=(0,), stages=1, errors=ERRORS, predicted=MACS)
    report = read(made.write(tmp_path))
    assert isinstance(published_layouts(report)[0], Heading)
    parts = laid_out(report)
    columns = [column for part in parts for column in part.columns[1:]]
    assert [(column.group, column.header) for column in columns] == [
        *(("Error [%]", name) for name in ("FF", "LightFF", "BP", "LightBP")),
        *((group, name) for group in ("MACs [2^20]", "Time [ms]") for name in ("FF", "LightFF", "ratio")),
    ]
    own = [text for part in parts for text in row(part, "MNIST")]
    printed = [text for part in parts for text in row(part, "MNIST (published)")]
    assert own[:7] == ["1.510", "3.000", "1.330", MISSING, "12.9395", "2.58789", "5"]
    assert printed == [
        *("(1.51)", "(1.51)", "(1.33)", "(5.21)", "(12.94)", "(2.95)", "(4.4)", "(22.81)", "(3.39)", "(6.7)"),
    ]
    cells = [cell for part in parts for line in part.rows for cell in line if isinstance(cell, Value)]
    assert {cell.text for cell in cells if cell.bold} == {"1.510", "1.330", "12.9395"}
    assert any("bold = reproduced" in note for note in parts[0].notes)


@pytest.mark.parametrize(
    "suite", ["paper-lightff", "paper-biofo-energy", "paper-pepita", "paper-drtp", "paper-biofo-depth"]
)
def test_no_part_is_wider_than_a_page(tmp_path: Path, suite: str) -> None:
    cells = suite_of(suite).cells
    labels = tuple(dict.fromkeys(cell.label for cell in cells))
    made = Paper(suite=suite, labels=labels, datasets=tuple(dict.fromkeys(cell.dataset.name for cell in cells))[:2],
                 seeds=(0, 1), stages=1, windows=1, errors=dict.fromkeys(labels, 0.05))  # fmt: skip
    parts = laid_out(read(made.write(tmp_path)))
    assert parts
    for part in parts:
        texts = [[cell.text + cell.mark if isinstance(cell, Value) else cell for cell in line] for line in part.rows]
        widths = [max(len(line[place]) for line in texts) for place in range(len(part.columns))]
        assert sum(widths) <= WIDTH


def test_groups_without_own_values_are_left_out(tmp_path: Path) -> None:
    """The suite has BioTorch's MNIST column only, and Nokland's training errors are of no suite."""
    labels = ("BP LeNet", "BP 1x800 tanh")
    made = Paper(suite="paper-feedback-alignment", labels=labels, datasets=("mnist",), seeds=(0,), stages=1,
                 errors=dict.fromkeys(labels, 0.0091))  # fmt: skip
    nokland, biotorch = laid_out(read(made.write(tmp_path)))
    assert nokland.columns[1:] == tuple(Column(name, "Test error [%]") for name in ("BP", "FA", "DFA"))
    assert biotorch.columns[1:] == (Column("LeNet", "MNIST"),)
    assert row(biotorch, "BP") == ["0.9100"]
    assert row(biotorch, "FA (published)") == ["(1.7)"]
    assert len(biotorch.rows) == 2 * len({figure.row for figure in table("biotorch").figures})


def test_surrogate_data_keep_their_mark(tmp_path: Path) -> None:
    from fobench.contracts import Origin

    made = Paper(labels=("FF",), datasets=("mnist",), seeds=(0,), stages=1, errors=ERRORS, origin=Origin.SURROGATE)
    part = laid_out(read(made.write(tmp_path)))[0]
    (found,) = [line for line in part.rows if line[0] == "MNIST"]
    assert found[1] == Value("1.510", "m°", number=pytest.approx(1.51))
    assert any("surrogate" in note for note in part.notes)
