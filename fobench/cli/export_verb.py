"""`fobench export`: write the long frame of finished results as one CSV or Parquet file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """File formats of an export."""

    CSV = "csv"
    PARQUET = "parquet"


def verb(
    target: Annotated[str, typer.Argument(help="A suite's name, its YAML file, or a results folder.")],
    output: Annotated[Path, typer.Option(help="File to write.")],
    format: Annotated[Format | None, typer.Option(help="Default: by the ending of the file.")] = None,
    results: Annotated[Path, typer.Option(help="Folder that holds the results of all suites.")] = Path("results"),
) -> None:
    """Write every row of finished cells, one line per reading, as CSV or Parquet."""
    from fobench.report.export import export
    from fobench.report.target import results_folder

    rows = export(results_folder(target, results), output, format or output.suffix.removeprefix("."))
    print(f"{output}: {rows:,} rows")
