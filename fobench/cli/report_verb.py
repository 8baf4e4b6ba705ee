"""`fobench report`: write the report of finished results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verb(
    target: Annotated[str, typer.Argument(help="A suite's name, its YAML file, or a results folder.")],
    results: Annotated[Path, typer.Option(help="Folder that holds the results of all suites.")] = Path("results"),
    output: Annotated[Path, typer.Option(help="Folder to write reports to, one folder per suite.")] = Path("reports"),
    machine: Annotated[str | None, typer.Option(help="Whose results, where several machines have some.")] = None,
    format: Annotated[str, typer.Option(help="Comma-separated: md, pdf.")] = "md,pdf",
) -> None:
    """Write reports/SUITE/report.md and report.pdf from finished results."""
    from fobench.report.build import build
    from fobench.report.target import results_folder

    formats = [name.strip() for name in format.split(",") if name.strip()]
    for path in build(results_folder(target, results), output, machine, formats):
        print(path)
