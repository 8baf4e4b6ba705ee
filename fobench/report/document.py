"""What a report is made of: blocks that say what is shown, and no word of markup."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """The title of a section (level 1) or of a part of one (level 2)."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Prose:
    """One paragraph."""

    text: str


@dataclass(frozen=True)
class Note:
    """One remark that qualifies what stands around it: why something is missing, or what must not be concluded."""

    text: str


@dataclass(frozen=True)
class Value:
    """A number in a table: its text, the mark of its provenance, and whether it is among the best.

    `number` is the value in the unit of its column, for renderers that sort or plot.
    """

    text: str
    mark: str = ""
    bold: bool = False
    number: float | None = None


Cell = str | Value
"""What stands in one place of a table."""


@dataclass(frozen=True)
class Column:
    """One column: `group` is printed once above neighbours that share it, `number` says that it holds values."""

    header: str
    group: str = ""
    number: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns; `notes` explain its marks."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A picture as PNG; `name` becomes its file name, `width` is its share of the text's width."""

    name: str
    caption: str
    png: bytes
    width: float = 1.0


Block = Heading | Prose | Note | Table | Figure
"""What a section returns a list of."""


@dataclass(frozen=True)
class Document:
    """A title, a line below it, and the blocks of all sections."""

    title: str
    subtitle: str
    blocks: tuple[Block, ...]
