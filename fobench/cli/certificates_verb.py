"""`fobench certificates`: what the machines of a cluster know each other by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fobench.cli.cluster_run import need_engine
from fobench.cli.outcomes import say


def verb(
    folder: Annotated[Path, typer.Argument(help="New folder, to be copied to every machine.", show_default=False)],
) -> None:
    """Make the certificate and key by which scheduler, workers and submitter of a cluster know each other, for a year."""
    need_engine()
    from fobench.cluster.security import make

    made = make(folder)
    say(f"wrote {made.folder}: valid for a year; whoever has key.pem can run code on every machine of the cluster")
    say("copy the folder to the same place on every machine, readable for you alone (scp -pr), then:")
    say(f"  dask scheduler --protocol tls {made.options}")
    say(f"  dask worker tls://SCHEDULER:8786 {made.options} --resources meter=1 --name NAME --death-timeout 60")
    say(f"  fobench run SUITE.yaml --cluster tls://SCHEDULER:8786 --tls {made.folder}")
