"""Markdown with pipe tables and PNGs in `figures/` beside it."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path

from fobench.report.document import Block, Cell, Column, Document, Figure, Heading, Note, Prose, Table

SUPERSCRIPTS = str.maketrans({"m": "ᵐ", "e": "ᵉ", "a": "ᵃ"})


def write(document: Document, folder: Path) -> Path:
    """Write `report.md` and its figures; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for block in document.blocks:
        if isinstance(block, Figure):
            path = folder / "figures" / f"{block.name}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(block.png)
    target = folder / "report.md"
    target.write_text(text(document), encoding="utf-8")
    return target


def text(document: Document) -> str:
    """Return the document as Markdown."""
    parts = [
        f"# {_escaped(document.title)}",
        _escaped(document.subtitle),
        *(_block(block) for block in document.blocks),
    ]
    return "\n\n".join(parts) + "\n"


@singledispatch
def _block(block: Block) -> str:
    raise TypeError(f"no Markdown for {type(block).__name__}")


@_block.register
def _heading(block: Heading) -> str:
    return f"{'#' * (block.level + 1)} {_escaped(block.text)}"


@_block.register
def _prose(block: Prose) -> str:
    return _escaped(block.text)


@_block.register
def _note(block: Note) -> str:
    return f"> {_escaped(block.text)}"


@_block.register
def _figure(block: Figure) -> str:
    return f"![{_escaped(block.caption)}](figures/{block.name}.png)\n\n*{_escaped(block.caption)}*"


@_block.register
def _table(block: Table) -> str:
    lines = [
        _line([_header(column) for column in block.columns]),
        _line(["---:" if column.number else ":---" for column in block.columns]),
        *(_line([_cell(cell) for cell in row]) for row in block.rows),
    ]
    notes = "\n".join(f"- {_escaped(note)}" for note in block.notes)
    return "\n\n".join(part for part in (f"**{_escaped(block.caption)}**", "\n".join(lines), notes) if part)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _header(column: Column) -> str:
    return _escaped(
        f"{column.group}: {column.header}" if column.group and column.header else column.group or column.header
    )


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return _escaped(cell)
    shown = f"**{cell.text}**" if cell.bold else cell.text
    return shown + cell.mark.translate(SUPERSCRIPTS)


def _escaped(plain: str) -> str:
    """Escape what Markdown would take for markup, and line breaks."""
    for sign in "\\`*_<>|#":
        plain = plain.replace(sign, f"\\{sign}")
    return " ".join(plain.split())
