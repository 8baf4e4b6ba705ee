"""`fobench list`: what is installed, which suites there are, and the cells of one suite; imports no plug-in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fobench import plugins
from fobench.contracts import FobenchError, Suite

SUITES = Path("suites")


def verb(
    suite: Annotated[
        Path | None, typer.Argument(help="Suite file: list its cells instead of what is installed.", show_default=False)
    ] = None,
) -> None:
    """List learners, data sets, meters, tracers, networks, devices and suites, or the cells of one suite."""
    console = Console(highlight=False)
    if suite is None:
        for title, rows in _everything():
            _print(console, title, rows)
    else:
        from fobench.suite import load_suite

        _print_cells(console, load_suite(suite))


def _everything() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    from fobench.costs.devices import built_in, device
    from fobench.networks import named_networks

    for group in ("learners", "datasets", "meters", "tracers"):
        yield group, [(name, _first_line(point.module)) for name, point in plugins.installed(group).items()]
    yield "networks", [(name, _kinds(records)) for name, records in named_networks().items()]
    yield "devices", [(name, device(name).core or "") for name in built_in()]
    yield f"suites in {SUITES}/", [(str(file), _suite_line(file)) for file in sorted(SUITES.rglob("*.yaml"))]


def _first_line(module: str) -> str:
    """Return the first sentence of a module's docstring, read off its file."""
    file = plugins.file_of(module)
    if file is None:
        return f"(its module {module} is not there)"
    try:
        text = ast.get_docstring(ast.parse(file.read_bytes())) or ""
    except (SyntaxError, ValueError) as error:
        return f"(its file cannot be read: {error})"
    return " ".join(text.partition("\n\n")[0].split())


def _kinds(records: list[dict[str, object]]) -> str:
    return " - ".join(str(record["kind"]) for record in records)


def _suite_line(file: Path) -> str:
    from fobench.suite import load_suite

    try:
        suite = load_suite(file)
    except FobenchError as error:
        return str(error).partition("\n")[0]
    return f"{len(suite.cells)} cells. {suite.description}"


def _print(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    console.print(title, style="bold")
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows or [("none", "")]:
        table.add_row(*map(escape, row))
    console.print(table)


def _print_cells(console: Console, suite: Suite) -> None:
    console.print(f"{suite.name}: {len(suite.cells)} cells. {suite.description}", markup=False)
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for title in ("label", "learner", "network", "dataset", "epochs", "samples", "seed", "cell"):
        number = title in ("epochs", "samples", "seed")
        table.add_column(
            title, overflow="fold", no_wrap=number or title == "cell", justify="right" if number else "left"
        )
    for cell in suite.cells:
        samples = cell.recipe.train_samples or "all"
        names = (cell.label, cell.learner.target, _widths(cell.learner.arguments.get("network")), cell.dataset.name)
        table.add_row(*map(escape, names), str(cell.recipe.epochs), str(samples), str(cell.seed), cell.id)
    console.print(table)


def _widths(network: object) -> str:
    """Return a network's layers in short: `2000x4`, `conv-pool-flatten`."""
    if not isinstance(network, list):
        return ""
    runs = [
        (name, len(list(run))) for name, run in groupby(str(record.get("units", record["kind"])) for record in network)
    ]
    return "-".join(f"{name}x{count}" if count > 1 else name for name, count in runs)
