"""`fobench data`: which data sets are here, where they lie, and the only command that uses the network."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fobench.contracts import FobenchError, Reference
from fobench.datasets.roots import data_root

verb = typer.Typer(no_args_is_help=True, help="List data sets, fetch one, or print where they lie.")

Root = Annotated[
    str | None, typer.Option("--data", help="Folder of the data sets; else FOBENCH_DATA, else the user cache.")
]


@verb.command("list")
def list_data_sets(data: Root = None) -> None:
    """List every data set with its state under the root."""
    from fobench import plugins

    root = data_root(data)
    table = Table("data set", "state", title=f"data sets under {root}", title_justify="left")
    for name in plugins.installed("datasets"):
        try:
            sentence = _create(name, {}).missing(root)
        except FobenchError as error:
            sentence = str(error)
        table.add_row(name, (sentence or "ready").removeprefix(f"{name}: "))
    Console().print(table)


@verb.command()
def fetch(
    name: str,
    data: Root = None,
    patients: Annotated[str | None, typer.Option(help="Of chb-mit: only these, as 1,3,5.")] = None,
    server: Annotated[str | None, typer.Option("--from", help="Address of another server with the same files.")] = None,
) -> None:
    """Download a data set with checksums; run it again to resume."""
    root = data_root(data)
    data_set = _create(name, {} if patients is None else {"patients": _numbers(patients)})
    _fetch(data_set, name, root, server)
    print(data_set.missing(root) or f"{name}: ready under {root}")


@verb.command("path")
def print_path(data: Root = None) -> None:
    """Print the folder of the data sets."""
    print(data_root(data))


def _create(name: str, arguments: dict[str, Any]) -> Any:
    from fobench import plugins

    return plugins.create(Reference(name, arguments), "datasets")


def _fetch(data_set: Any, name: str, root: Path, server: str | None) -> None:
    if server is None:
        data_set.fetch(root)
    elif "base_url" in inspect.signature(data_set.fetch).parameters:
        data_set.fetch(root, base_url=server)
    else:
        raise FobenchError(f"{name} does not come from a server, so --from {server} means nothing for it; leave it out")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise FobenchError(f"--patients {text}: expected numbers with commas between them, as 1,3,5") from error
