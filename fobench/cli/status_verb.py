"""`fobench status`: which cells of a suite are done, pending, failed or stale, here or on the machines of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fobench.cli.newcomer import Against, Learner, Settings, suite_of
from fobench.cli.options import Machine, Results, SuiteFile
from fobench.cli.outcomes import counted, say

if TYPE_CHECKING:
    from fobench.contracts import Suite
    from fobench.harness.states import Standing


def verb(
    suite: SuiteFile,
    results: Results = Path("results"),
    machine: Machine = None,
    learner: Learner = None,
    against: Against = None,
    given: Settings = None,
) -> None:
    """Show where every cell of a suite stands: on the machine that is named, on this one, or, if it has measured none, on any."""
    from fobench.harness.states import State

    loaded = suite_of(suite, learner, against, given)
    standing, where = _standings(loaded, results, machine)
    say(f"{loaded.name}{where}: {counted([item.state for item in standing])}")
    for item in standing:
        if item.state != State.DONE:
            reason = f": {item.reason}" if item.reason else ""
            say(f"  {item.state:8} {item.cell.label} on {item.cell.dataset.name}, seed {item.cell.seed}{reason}")


def _standings(suite: Suite, results: Path, machine: str | None) -> tuple[list[Standing], str]:
    """Return where cells stand, and the words that say on which machines."""
    from fobench.cluster.shelves import Shelves
    from fobench.harness.machine import default_name
    from fobench.harness.runner import Order
    from fobench.harness.states import standings
    from fobench.store import ResultStore

    name = machine or default_name()
    others = sorted(path.parent.name for path in (results / suite.name).glob("*/machine.json"))
    if machine is None and others and name not in others:
        return Shelves(Order(suite, results, "", Path())).standings(), f" on {', '.join(others)}"
    return standings(suite, ResultStore(results, suite.name, name)), ""
