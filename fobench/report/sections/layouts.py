"""The papers' tables as they are printed, with this suite's values in them: the layout is the rows and columns of the data."""

from __future__ import annotations

from collections.abc import Iterable

from fobench.contracts import Provenance
from fobench.report import numbers
from fobench.report.document import Block, Cell, Column, Heading, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.provenance import MARKS, MEANING, ORIGIN_MARKS, ORIGIN_MEANING
from fobench.report.published import REPRODUCED, Figure, Published, tables
from fobench.report.reproduce import Beside, Match
from fobench.report.tables import MISSING, WIDTH, value

Place = tuple[str, str]
"""Group and column of a printed table."""


def published_layouts(report: ReportInput) -> list[Block]:
    """Return the tables whose settings this suite has, in their printed layout; nothing for other suites."""
    named = [table for table in tables() if report.suite in table.suites]
    if not named:
        return []
    beside = Beside(report)
    made = [part for table in named for part in laid_out(beside, table)]
    return [Heading("The published tables"), *made] if made else []


def laid_out(beside: Beside, table: Published) -> list[Table]:
    """Return one published table, in parts where it is wider than a page: own values, below them the published ones.

    Groups of columns that this suite has no value of are left out.
    """
    own: dict[int, Match] = {}
    for match in beside.matches(table):
        own.setdefault(id(match.figure), match)
    if not own:
        return []
    groups = {figure.group for figure in table.figures if id(figure) in own}
    places = list(dict.fromkeys((figure.group, figure.column) for figure in table.figures if figure.group in groups))
    parts = _fitting(places, table, own)
    captions = [f"{table.title}{' (continued)' * bool(number)}." for number in range(len(parts))]
    return [_part(table, caption, part, own) for caption, part in zip(captions, parts, strict=True)]


def _fitting(places: list[Place], table: Published, own: dict[int, Match]) -> list[list[Place]]:
    """Deal the columns into tables that fit on a page: group by group, column by column where a group alone does not."""
    widths = {place: _width(place, table, own) for place in places}
    page = WIDTH - max(len(_published_name(figure.row)) for figure in table.figures) - 2
    groups = [[place for place in places if place[0] == name] for name in dict.fromkeys(name for name, _ in places)]
    parts: list[list[Place]] = []
    room = 0
    for group in groups:
        whole = sum(widths[place] for place in group)
        for columns in [group] if whole <= page else [[place] for place in group]:
            width = sum(widths[place] for place in columns)
            if not parts or room < width:
                parts.append([])
                room = page
            parts[-1] += columns
            room -= width
    return parts


def _width(place: Place, table: Published, own: dict[int, Match]) -> int:
    figures = [figure for figure in table.figures if (figure.group, figure.column) == place]
    words = [len(_own(own[id(figure)]).text) + 1 for figure in figures if id(figure) in own]
    return max(len(place[1]), *words, *(len(figure.printed) + 2 for figure in figures)) + 2


def _part(table: Published, caption: str, places: list[Place], own: dict[int, Match]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in dict.fromkeys(figure.row for figure in table.figures):
        by_place = {(figure.group, figure.column): figure for figure in table.figures if figure.row == name}
        figures = [by_place.get(place) for place in places]
        if any(figures):
            rows.append((name, *(_own(own[id(f)]) if f and id(f) in own else MISSING for f in figures)))
            rows.append((_published_name(name), *(_printed(f) if f else "" for f in figures)))
    columns = (Column("", number=False), *(Column(column, group) for group, column in places))
    return Table(caption, columns, tuple(rows), _notes(table, own.values()))


def _own(match: Match) -> Value:
    """Return this suite's number, bold where it reproduces the published one."""
    shown = value(match.own, numbers.Scale(1, match.figure.unit), match.verdict.word == REPRODUCED)
    origin = next((mark for mark in ORIGIN_MARKS.values() if mark and match.dataset.endswith(mark)), "")
    return Value(shown.text, shown.mark + origin, shown.bold, shown.number)


def _printed(figure: Figure) -> Value:
    return Value(f"({figure.printed})", number=figure.value)


def _published_name(row: str) -> str:
    return f"{row} (published)"


def _notes(table: Published, found: Iterable[Match]) -> tuple[str, ...]:
    marks = {mark for match in found for mark in _own(match).mark}
    meanings = [f"{MARKS[part]} = {MEANING[part]}" for part in Provenance if MARKS[part] in marks]
    origins = [text for origin, text in ORIGIN_MEANING.items() if ORIGIN_MARKS[origin] in marks]
    return (
        f"(…) = as published: {table.source}",
        f"bold = reproduced by the rule of the section on reproduction; {MISSING} = this suite has no value",
        "; ".join(meanings),
        *origins,
    )
