"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SuiteFile = Annotated[Path, typer.Argument(help="Suite file, for example suites/quickstart.yaml.", show_default=False)]
Data = Annotated[
    str | None,
    typer.Option("--data", help="Folder of the data sets [default: FOBENCH_DATA, else the cache].", show_default=False),
]
Results = Annotated[Path, typer.Option("--results", help="Folder that results are written to and read from.")]
Machine = Annotated[
    str | None, typer.Option("--machine", help="Name of this machine [default: its host name].", show_default=False)
]
RequireReal = Annotated[
    bool, typer.Option("--require-real", help="Refuse to let a surrogate stand in for missing data.")
]
ClusterTarget = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Measure on many machines: tls://HOST:PORT of a dask scheduler, or a cluster file (YAML).",
        show_default=False,
    ),
]
TLS = Annotated[
    Path | None,
    typer.Option("--tls", help="Folder of the cluster's certificate [default: FOBENCH_TLS].", show_default=False),
]
