"""`fobench collect`: results that were carried over by hand into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fobench.cli.options import Results
from fobench.cli.outcomes import say


def verb(
    folders: Annotated[list[Path], typer.Argument(help="Results folders of other machines.", show_default=False)],
    results: Results = Path("results"),
) -> None:
    """Merge results of machines without a network; conflicting cells are refused by name, and then nothing is merged."""
    from fobench.cluster.collect import collect

    found = collect(folders, results)
    machines = sorted({path.parent.name for path in found.taken})
    whose = f" of {', '.join(machines)}" if machines else ""
    say(f"collected {len(found.taken)} files{whose}; {found.known} were there already")
    for suite in sorted({entry.header.suite for entry in found.taken.values()}):
        say(f"next: fobench report {suite} --results {results}")
