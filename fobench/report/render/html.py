"""One HTML file: tables that sort, figures inside it, no request to any network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import singledispatch
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from fobench.report.document import Block, Cell, Column, Document, Figure, Heading, Note, Prose, Table


def write(document: Document, folder: Path) -> Path:
    """Write `report.html`; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "report.html"
    target.write_text(text(document), encoding="utf-8")
    return target


def text(document: Document) -> str:
    """Return the document as one page; style and script stand in it."""
    title = escape(document.title)
    body = "\n".join(_block(block) for block in document.blocks)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<style>\n{_part("report.css")}</style>\n</head>\n<body>\n'
        f"<header><h1>{title}</h1><p>{escape(document.subtitle)}</p></header>\n{_contents(document)}\n"
        f"<main>\n{body}\n</main>\n<script>\n{_part('report.js')}</script>\n</body>\n</html>\n"
    )


def _part(name: str) -> str:
    return files("fobench.report.render").joinpath(name).read_text(encoding="utf-8")


def anchor(heading: Heading) -> str:
    """Return the name that links to a heading use."""
    return "-".join("".join(sign if sign.isalnum() else " " for sign in heading.text.lower()).split())


def _contents(document: Document) -> str:
    headings = [block for block in document.blocks if isinstance(block, Heading) and block.level == 1]
    links = "".join(f'<li><a href="#{anchor(heading)}">{escape(heading.text)}</a></li>' for heading in headings)
    return f'<nav aria-label="Sections"><ol>{links}</ol></nav>'


@singledispatch
def _block(block: Block) -> str:
    raise TypeError(f"no HTML for {type(block).__name__}")


@_block.register
def _heading(block: Heading) -> str:
    level = block.level + 1
    return f'<h{level} id="{anchor(block)}">{escape(block.text)}</h{level}>'


@_block.register
def _prose(block: Prose) -> str:
    return f"<p>{escape(block.text)}</p>"


@_block.register
def _note(block: Note) -> str:
    return f'<p class="note">{escape(block.text)}</p>'


@_block.register
def _figure(block: Figure) -> str:
    data = base64.b64encode(block.png).decode("ascii")
    caption = escape(block.caption)
    return (
        f'<figure style="max-width:{block.width:.0%}"><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


@_block.register
def _table(block: Table) -> str:
    rows = "\n".join(f"<tr>{''.join(_cells(block.columns, row))}</tr>" for row in block.rows)
    notes = "".join(f"<li>{escape(note)}</li>" for note in block.notes)
    return (
        f'<figure class="table"><figcaption>{escape(block.caption)}</figcaption>\n<div class="scroll"><table>\n'
        f"<thead>{_head(block.columns)}</thead>\n<tbody>\n{rows}\n</tbody></table></div>"
        f"{f'<ul>{notes}</ul>' if notes else ''}</figure>"
    )


def _head(columns: tuple[Column, ...]) -> str:
    names = "".join(
        f'<th scope="col"{_kind(column)}><button type="button">{escape(column.header) or "&nbsp;"}</button></th>'
        for column in columns
    )
    if not any(column.group for column in columns):
        return f"<tr>{names}</tr>"
    runs = [(name, len(list(run))) for name, run in groupby(column.group for column in columns)]
    groups = "".join(
        f'<th scope="colgroup" colspan="{size}" class="group">{escape(name)}</th>'
        if name
        else f'<td colspan="{size}"></td>'
        for name, size in runs
    )
    return f"<tr>{groups}</tr><tr>{names}</tr>"


def _kind(column: Column) -> str:
    return ' class="number"' if column.number else ""


def _cells(columns: tuple[Column, ...], row: tuple[Cell, ...]) -> Iterator[str]:
    for place, (column, cell) in enumerate(zip(columns, row, strict=True)):
        tag = "th scope=row" if place == 0 else "td"
        yield f"<{tag}{_kind(column)}{_order(cell)}>{_shown(cell)}</{tag.split()[0]}>"


def _order(cell: Cell) -> str:
    """Return what the column sorts by, where it is not the text itself."""
    return "" if isinstance(cell, str) or cell.number is None else f" data-n={json.dumps(str(cell.number))}"


def _shown(cell: Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    words = f"<b>{escape(cell.text)}</b>" if cell.bold else escape(cell.text)
    return words + (f"<sup>{escape(cell.mark)}</sup>" if cell.mark else "")
