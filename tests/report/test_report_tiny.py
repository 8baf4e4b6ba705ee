"""The section on MLCommons-Tiny: the published totals beside the recomputed ones, counts beside the model, reasons, findings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthetic_results import Synthetic

from fobench.contracts import Cell, Header, Part, Reference
from fobench.networks import describe, named_networks, named_tasks
from fobench.report.document import Note, Table, Value
from fobench.report.inputs import ReportInput, read
from fobench.report.sections.tiny import tiny

LABELS = ("bp", "drtp", "ff", "mempepita", "pepita")


class Tiny(Synthetic):
    """Results of the rules on two of the four networks, whose data sets are called like them."""

    def cell(self, label: str, dataset: str, seed: int) -> Cell:
        cell = super().cell(label, dataset, seed)
        arguments = {"network": named_networks()[dataset], "activation": "relu"}
        return replace(cell, learner=Reference(label, arguments))

    def header(self, part: Part, cell: Cell) -> Header:
        name = cell.dataset.target
        return replace(super().header(part, cell), network=describe(name, named_tasks()[name]))


def results(tmp_path: Path, **fields: object) -> ReportInput:
    made = Tiny(labels=LABELS, datasets=("autoencoder", "resnet8"), seeds=(0,), stages=1, **fields)  # type: ignore[arg-type]
    return read(made.write(tmp_path))


def tables(report: ReportInput) -> list[Table]:
    return [block for block in tiny(report) if isinstance(block, Table)]


def texts(table: Table) -> dict[str, list[str]]:
    return {str(row[0]): [cell.text if isinstance(cell, Value) else cell for cell in row[1:]] for row in table.rows}


def test_other_suites_have_no_such_section(report: ReportInput) -> None:
    assert tiny(report) == []


def test_published_recomputed_and_the_difference(tmp_path: Path) -> None:
    autoencoder, resnet = tables(results(tmp_path))[:2]
    assert autoencoder.caption.startswith("autoencoder")
    assert texts(resnet)["bp"][:3] == ["37,099,592", "37,099,592", "0"]
    assert texts(resnet)["bp"][4:7] == ["191,485", "195,580", "+4,095"]
    assert texts(autoencoder)["mempepita"][:3] == ["1,467,008", "1,467,008", "0"]
    assert any("resnet-third-add" in note for note in resnet.notes)
    assert all(cell.mark == "a" for row in resnet.rows for cell in row[1:] if isinstance(cell, Value))


def test_counts_stand_beside_the_model(tmp_path: Path) -> None:
    """The synthetic counts are what they are; the model's MACs of BP are the closed form 3M - m_1."""
    beside = tables(results(tmp_path))[2]
    row = next(row for row in beside.rows if row[:2] == ("autoencoder", "bp"))
    forward, first = 264_192, 640 * 128
    assert row[3] == Value(f"{3 * forward - first:,}", "a", number=3 * forward - first)
    assert isinstance(row[2], Value) and row[2].number == 20_000 / 2
    assert {str(row[0]) for row in beside.rows} == {"autoencoder", "resnet8"}


def test_a_rule_that_refuses_has_its_reason(tmp_path: Path) -> None:
    whole = results(tmp_path, fail=("drtp",))
    notes = [block.text for block in tiny(whole) if isinstance(block, Note)]
    assert any(note.startswith("drtp on resnet8: not measured, failed: ValueError: diverged") for note in notes)
    entries = tuple(
        e for e in whole.entries if (e.header.cell.label, e.header.cell.dataset.name) != ("drtp", "autoencoder")
    )
    without = replace(whole, entries=entries)
    notes = [block.text for block in tiny(without) if isinstance(block, Note)]
    assert any("drtp on autoencoder: not measured, because drtp needs class labels" in note for note in notes)


def test_findings_stand_with_their_commands(tmp_path: Path) -> None:
    rows = tables(results(tmp_path))[-1].rows
    assert len(rows) == 11
    assert all(str(row[2]).startswith("fobench cost ") for row in rows)
