"""`fobench status`: which cells of a suite are done, pending, failed or stale on this machine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console

from fobench.cli.newcomer import Against, Learner, Settings, suite_of
from fobench.cli.options import Machine, Results, SuiteFile


def verb(
    suite: SuiteFile,
    results: Results = Path("results"),
    machine: Machine = None,
    learner: Learner = None,
    against: Against = None,
    given: Settings = None,
) -> None:
    """Show where every cell of a suite stands."""
    from fobench.harness.machine import default_name
    from fobench.harness.states import State, standings
    from fobench.store import ResultStore

    loaded = suite_of(suite, learner, against, given)
    standing = standings(loaded, ResultStore(results, loaded.name, machine or default_name()))
    counts = Counter(item.state for item in standing)
    console = Console(highlight=False)
    console.print(f"{loaded.name}: " + ", ".join(f"{counts[state]} {state}" for state in State))
    for item in standing:
        if item.state != State.DONE:
            reason = f": {item.reason}" if item.reason else ""
            line = f"  {item.state:8} {item.cell.label} on {item.cell.dataset.name}, seed {item.cell.seed}{reason}"
            console.print(line, soft_wrap=True, markup=False)
