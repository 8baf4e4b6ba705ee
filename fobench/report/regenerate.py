"""The last page: which command writes which figure again."""

from __future__ import annotations

from collections.abc import Sequence

from fobench.report.document import Block, Column, Figure, Heading, Note, Prose, Table


def regeneration(blocks: Sequence[Block], command: str) -> list[Block]:
    """Return the list of all figures, each with its file, and the one command that writes them."""
    figures = [block for block in blocks if isinstance(block, Figure)]
    text = (
        "Results are read, no hardware is touched. The command below writes this report's text and, beside it, each figure as a "
        "file of its own."
    )
    rows = tuple(
        (str(number), f"figures/{figure.name}.png", _first(figure.caption)) for number, figure in enumerate(figures, 1)
    )
    columns = (Column("Figure"), Column("File", number=False), Column("Shows", number=False))
    table = [Table("Every figure and its file.", columns, rows)] if rows else []
    return [Heading("How to regenerate the figures"), Prose(text), Note(command), *table]


def _first(caption: str) -> str:
    """Return the first sentence of a caption."""
    return caption.partition(". ")[0].rstrip(".")
