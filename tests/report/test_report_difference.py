"""What differs between two reports, on documents made by hand and on two synthetic results."""

from __future__ import annotations

from pathlib import Path

from synthetic_results import Synthetic

from fobench.report.build import build, document
from fobench.report.difference import difference
from fobench.report.document import Column, Document, Heading, Note, Prose, Table, Value
from fobench.report.inputs import read


def table(*rows: tuple[str, float], unit: str = "kB", caption: str = "Memory.") -> Table:
    columns = (Column("Learner", number=False), Column(f"peak [{unit}]", "digits"))
    return Table(caption, columns, tuple((name, Value(f"{value:g}", "ᵃ", number=value)) for name, value in rows))


def made(*blocks: object) -> Document:
    return Document("title", "line", (Heading("Memory"), *blocks))  # type: ignore[arg-type]


def rows_of(changes: Document) -> list[list[str]]:
    return [
        [cell.text if isinstance(cell, Value) else cell for cell in row]
        for block in changes.blocks
        if isinstance(block, Table)
        for row in block.rows
    ]


def test_changed_gone_and_new_values_are_listed_and_equal_ones_are_not() -> None:
    before = made(table(("BP", 200.0), ("FF", 5.0), ("gone", 1.0)))
    after = made(table(("BP", 150.0), ("FF", 5.0), ("new", 2.0)))
    assert rows_of(difference(before, after)) == [
        ["BP", "digits peak", "200 kB", "150 kB", "-25.00"],
        ["gone", "digits peak", "1 kB", "–", "–"],
        ["new", "digits peak", "–", "2 kB", "–"],
    ]


def test_a_column_in_another_unit_is_the_same_column_without_a_percentage() -> None:
    found = difference(made(table(("BP", 200.0))), made(table(("BP", 0.2), unit="MB")))
    assert rows_of(found) == [["BP", "digits peak", "200 kB", "0.2 MB", "–"]]


def test_a_table_under_another_caption_is_found_by_its_columns_and_rows_of_one_name_are_told_apart() -> None:
    before = made(table(("BP", 1.0), ("BP", 3.0), caption="After 1 epoch."))
    after = made(table(("BP", 1.0), ("BP", 6.0), caption="After 2 epochs."))
    assert rows_of(difference(before, after)) == [["BP (2)", "digits peak", "3 kB", "6 kB", "+100.00"]]


def test_sentences_that_stand_in_one_report_only_are_quoted() -> None:
    found = difference(made(Prose("same"), Note("old")), made(Prose("same"), Note("new")))
    assert [block.text for block in found.blocks if isinstance(block, Prose)] == ["Before: old", "After: new"]


def test_equal_reports_say_so() -> None:
    one = made(table(("BP", 1.0)), Prose("same"))
    assert [block.text for block in difference(one, one).blocks if isinstance(block, Note)] == [
        "Nothing differs but figures."
    ]


def test_a_learner_that_failed_since_shows_in_every_face(tmp_path: Path) -> None:
    before = Synthetic().write(tmp_path / "a")
    after = Synthetic(fail=("ff",)).write(tmp_path / "b")
    found = difference(document(read(before)), document(read(after)))
    assert any(row[0].startswith("ff") and row[3] == "–" for row in rows_of(found))
    assert not any(row[0].startswith("bp ") and row[1].endswith("contractions") for row in rows_of(found))
    paths = build(after, tmp_path / "out", formats=("md", "html", "pdf"), before=before)
    assert [path.parent.name for path in paths] == ["synthetic-changes"] * 3
    assert "What changed" in paths[0].read_text()
