"""What two reports say differently: table by table, row by row, value by value; figures are not compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fobench.report.document import Block, Cell, Column, Document, Heading, Note, Prose, Table, Value
from fobench.report.tables import MISSING

UNIT = re.compile(r"\s*\[[^]]*\]$")
COLUMNS = (
    Column("Row", number=False), Column("Column", number=False), Column("Before"), Column("After"), Column("Change [%]"),
)  # fmt: skip

Row = tuple[Cell, ...]


@dataclass
class _Section:
    """The blocks under one heading of the first level."""

    title: str
    tables: list[Table] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def difference(before: Document, after: Document) -> Document:
    """Return a report on what differs between two; its title is that of `after`."""
    old, new = ({section.title: section for section in _sections(document)} for document in (before, after))
    blocks: list[Block] = []
    for title in dict.fromkeys([*new, *old]):
        found = _changes(old.get(title, _Section(title)), new.get(title, _Section(title)))
        blocks += [Heading(title), *found] if found else []
    subtitle = f"before: {before.subtitle}; after: {after.subtitle}"
    return Document(f"What changed. {after.title}", subtitle, tuple(blocks) or (Note("Nothing differs but figures."),))


def _sections(document: Document) -> Iterator[_Section]:
    section = _Section("")
    for block in document.blocks:
        if isinstance(block, Heading) and block.level == 1:
            yield section
            section = _Section(block.text)
        elif isinstance(block, Table):
            section.tables.append(block)
        elif isinstance(block, Prose | Note):
            section.texts.append(block.text)
    yield section


def _changes(before: _Section, after: _Section) -> list[Block]:
    """Return the tables of changed values, and the paragraphs that stand in one report only."""
    blocks: list[Block] = []
    for old, new in _matched(before.tables, after.tables):
        if rows := tuple(_changed_rows(old, new)):
            blocks.append(Table((new or old or Table("", (), ())).caption, COLUMNS, rows))
    gone = [text for text in before.texts if text not in after.texts]
    come = [text for text in after.texts if text not in before.texts]
    return [*blocks, *(Prose(f"Before: {text}") for text in gone), *(Prose(f"After: {text}") for text in come)]


def _matched(before: Sequence[Table], after: Sequence[Table]) -> Iterator[tuple[Table | None, Table | None]]:
    """Pair tables by caption, the others of equal columns in their order; a table without a partner stands alone."""
    rest = list(before)
    for new in after:
        same = [old for old in rest if old.caption == new.caption] or [
            old for old in rest if _names(old) == _names(new)
        ]
        if same:
            rest.remove(same[0])
        yield (same[0] if same else None, new)
    yield from ((old, None) for old in rest)


def _changed_rows(before: Table | None, after: Table | None) -> Iterator[Row]:
    old, new = _values(before), _values(after)
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key), new.get(key)
        if was != now:
            yield (*key, _shown(was), _shown(now), _percent(was, now))


@dataclass(frozen=True)
class _Place:
    """A value with the unit of its column."""

    cell: Cell
    unit: str

    @property
    def number(self) -> float | None:
        return self.cell.number if isinstance(self.cell, Value) else None


def _values(table: Table | None) -> dict[tuple[str, str], _Place]:
    """Return what stands in each row and column; rows are named by their words, those of one name are numbered."""
    found: dict[tuple[str, str], _Place] = {}
    seen: dict[str, int] = {}
    for row in table.rows if table else ():
        assert table is not None
        name = " ".join(_text(cell) for cell, column in zip(row, table.columns, strict=True) if not column.number)
        seen[name] = seen.get(name, 0) + 1
        named = name if seen[name] == 1 else f"{name} ({seen[name]})"
        for cell, column, header in zip(row, table.columns, _names(table), strict=True):
            if column.number:
                unit = UNIT.search(column.header)
                found[named, header] = _Place(cell, unit[0].strip(" []") if unit else "")
    return found


def _names(table: Table) -> list[str]:
    """Return the columns' names, without the unit that their values happened to be shown in."""
    return [" ".join(part for part in (column.group, UNIT.sub("", column.header)) if part) for column in table.columns]


def _text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Value) else cell


def _shown(place: _Place | None) -> Cell:
    if place is None:
        return MISSING
    mark = place.cell.mark if isinstance(place.cell, Value) else ""
    return Value(f"{_text(place.cell)} {place.unit}".strip(), mark, number=place.number)


def _percent(was: _Place | None, now: _Place | None) -> Cell:
    """Return the growth in per cent, where both are numbers of one unit and the first is not 0."""
    if was is None or now is None or was.unit != now.unit or not was.number or now.number is None:
        return MISSING
    percent = 100 * (now.number / was.number - 1)
    return Value(f"{percent:+.2f}", number=percent)
