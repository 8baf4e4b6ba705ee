"""`fobench published`: the papers' figures that the report compares with, with what was counted and what is doubtful."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fobench.report.published import Published


def verb(
    name: Annotated[
        str | None, typer.Argument(help="A published table [default: list them all].", show_default=False)
    ] = None,
) -> None:
    """List the published tables, or print one: every figure, what was counted, source and doubts."""
    from fobench.report import published

    print("\n".join(_list(published.tables()) if name is None else _lines(published.table(name))))


def _list(tables: tuple[Published, ...]) -> Iterator[str]:
    from fobench.cli.text import table

    rows = [["table", "figures", "what", "suites"]]
    rows += [[found.name, str(len(found.figures)), found.title, " ".join(found.suites)] for found in tables]
    yield from table(rows, left=(0, 2, 3))


def _lines(found: Published) -> Iterator[str]:
    from fobench.cli.text import table
    from fobench.report.doubts import doubts

    yield f"{found.title}. Source: {found.source}"
    rows = [["row", "column", "value", "unit", "learner", "hidden layers", "data set", "epochs"]]
    for figure in found.figures:
        column = ": ".join(part for part in (figure.group, figure.column) if part)
        epochs = str(figure.epochs) if figure.epochs else "not stated"
        told = [figure.target, figure.network or "not stated", figure.dataset or "not stated", epochs]
        rows.append([figure.row, column, figure.printed, figure.unit, *told])
    yield from table(rows, left=(0, 1, 3, 4, 5, 6))
    for title, texts in (
        ("counted", [figure.counted for figure in found.figures]),
        ("doubts", [figure.doubts for figure in found.figures if figure.doubts]),
    ):
        yield from (f"{title}: {text}" for text in dict.fromkeys(texts))
    yield from (f"checked, {item.verdict}: {item.sentence}" for item in doubts() if item.table == found.name)
