"""The tables of a document by themselves: LaTeX with booktabs, ready to paste, and CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from io import StringIO
from itertools import groupby
from pathlib import Path

from fobench.report.document import Cell, Column, Document, Heading, Table


def write_latex(document: Document, folder: Path) -> Path:
    """Write one `latex/NN-section.tex` per table; return the folder. They need the packages booktabs and graphicx."""
    return _write(document, folder / "latex", "tex", latex)


def write_csv(document: Document, folder: Path) -> Path:
    """Write one `csv/NN-section.csv` per table; return the folder."""
    return _write(document, folder / "csv", "csv", comma_separated)


def _write(document: Document, folder: Path, ending: str, rendered: Callable[[Table], str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"*.{ending}"):
        leftover.unlink()
    for name, table in named_tables(document):
        (folder / f"{name}.{ending}").write_text(rendered(table), encoding="utf-8", newline="")
    return folder


def named_tables(document: Document) -> Iterator[tuple[str, Table]]:
    """Yield each table with its number and the section it stands in: `03-energy`."""
    section, number = "report", 0
    for block in document.blocks:
        if isinstance(block, Heading) and block.level == 1:
            section = "-".join(re.findall(r"[a-z0-9]+", block.text.lower()))
        elif isinstance(block, Table):
            number += 1
            yield f"{number:02d}-{section}", block


# --- LaTeX --------------------------------------------------------------------------------------------------------------

SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "×": r"$\times$", "µ": r"\textmu{}", "°": r"$^\circ$", "≥": r"$\ge$", "≤": r"$\le$", "−": r"$-$",
    "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}", "²": r"$^2$", "₂": r"$_2$", "–": "--", "…": r"\ldots{}",
    "≈": r"$\approx$", "·": r"$\cdot$", "→": r"$\to$",
}  # fmt: skip
"""What LaTeX does not take as it stands."""


def latex(table: Table) -> str:
    """Return a `table` environment; one that is too wide shrinks to the line."""
    columns = "".join("r" if column.number else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(table.caption)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *_groups(table.columns),
        " & ".join(_tex(column.header) for column in table.columns) + r" \\",
        r"\midrule",
        *(" & ".join(_tex_cell(cell) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
    ]
    if table.notes:
        lines.append(rf"\par\smallskip\raggedright\footnotesize {'; '.join(_tex(note) for note in table.notes)}.")
    return "\n".join([*lines, r"\end{table}", ""])


def _groups(columns: tuple[Column, ...]) -> list[str]:
    if not any(column.group for column in columns):
        return []
    names, rules, start = [], [], 1
    for name, run in groupby(column.group for column in columns):
        size = len(list(run))
        names.append(rf"\multicolumn{{{size}}}{{c}}{{{_tex(name)}}}")
        if name:
            rules.append(rf"\cmidrule(lr){{{start}-{start + size - 1}}}")
        start += size
    return [" & ".join(names) + r" \\", "".join(rules)]


def _tex_cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return _tex(cell)
    words = rf"\textbf{{{_tex(cell.text)}}}" if cell.bold else _tex(cell.text)
    return words + (rf"\textsuperscript{{{_tex(cell.mark)}}}" if cell.mark else "")


def _tex(plain: str) -> str:
    words = "".join(SIGNS.get(sign, sign) for sign in plain)
    return f"{{{words}}}" if words.startswith("[") else words  # after a line break, a bracket would be an option


# --- CSV ----------------------------------------------------------------------------------------------------------------


def comma_separated(table: Table) -> str:
    """Return the table as shown; a column with marks is followed by one that holds them."""
    marked = [any(not isinstance(cell, str) and cell.mark for cell in column) for column in _columns(table)]
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([name for column, mark in zip(table.columns, marked, strict=True) for name in _names(column, mark)])
    for row in table.rows:
        writer.writerow([part for cell, mark in zip(row, marked, strict=True) for part in _parts(cell, mark)])
    return stream.getvalue()


def _columns(table: Table) -> list[tuple[Cell, ...]]:
    return list(zip(*table.rows, strict=True)) if table.rows else [() for _ in table.columns]


def _names(column: Column, marked: bool) -> list[str]:
    name = f"{column.group}: {column.header}" if column.group and column.header else column.group or column.header
    return [name, f"{name} (mark)"] if marked else [name]


def _parts(cell: Cell, marked: bool) -> list[str]:
    words, mark = (cell, "") if isinstance(cell, str) else (cell.text, cell.mark)
    return [words, mark] if marked else [words]
