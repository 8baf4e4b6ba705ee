"""`fobench run`: measure what a suite still lacks, cell after cell, and say how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fobench.cli.check_verb import inspect
from fobench.cli.newcomer import Against, Learner, Settings, suite_of
from fobench.cli.options import Data, Machine, RequireReal, Results, SuiteFile

if TYPE_CHECKING:
    from fobench.harness.runner import Order, Outcome

console = Console(highlight=False)


def verb(
    suite: SuiteFile,
    results: Results = Path("results"),
    machine: Machine = None,
    data: Data = None,
    require_real: RequireReal = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    rerun_stale: Annotated[
        bool, typer.Option("--rerun-stale", help="Run cells again whose source or data changed.")
    ] = False,
    rerun_unstable: Annotated[
        bool, typer.Option("--rerun-unstable", help="Run cells again that something disturbed.")
    ] = False,
    report: Annotated[bool, typer.Option("--report", help="Write the report at the end.")] = False,
    learner: Learner = None,
    against: Against = None,
    given: Settings = None,
) -> None:
    """Run the cells of a suite that are not done yet; interrupt it at any time, the next run resumes.

    With --learner, a new learner takes the suite's data, recipe and seeds, block by block beside --against.
    """
    from fobench.datasets.roots import data_root
    from fobench.harness.machine import default_name, record
    from fobench.harness.runner import Order
    from fobench.store import note_newcomer

    loaded = suite_of(suite, learner, against, given)
    real = inspect(loaded, data, require_real)
    order = Order(
        loaded,
        results,
        machine or default_name(),
        data_root(data),
        require_real,
        retry_failed,
        rerun_stale,
        tuple(real),
    )
    record(order.store.folder, order.machine)
    if loaded.newcomer:
        note_newcomer(results / loaded.name, loaded.newcomer)
    failed = _work(order, rerun_unstable)
    _report(order, report)
    if failed:
        raise typer.Exit(1)


def _work(order: Order, rerun_unstable: bool) -> bool:
    """Run what is wanted, print line by line, and say whether any cell of the suite is failed in the end."""
    from fobench.harness.runner import run, unstable
    from fobench.harness.states import State, standings

    standing = standings(order.suite, order.store, order.real)
    counts = Counter(item.state for item in standing)
    console.print(f"{order.suite.name} on {order.machine}: " + ", ".join(f"{counts[state]} {state}" for state in State))
    disturbed = {cell.id for cell, _ in unstable(order)} if rerun_unstable else set()
    cells = [item.cell for item in standing if item.state in order.states or item.cell.id in disturbed]
    outcomes = list(_shown(run(order, cells), len(cells)))
    _advise(outcomes, order)
    after = [item.state for item in standings(order.suite, order.store, order.real)]
    if State.STALE in after:
        console.print(f"{after.count(State.STALE)} cells are stale: --rerun-stale measures them again")
    return State.FAILED in after


def _shown(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """Print one line per cell, between windows only: nothing runs in this process while a worker measures."""
    from fobench.store import last_line

    spent = 0.0
    for done, outcome in enumerate(outcomes, start=1):
        spent += outcome.seconds
        left = _duration(spent / done * (total - done))
        cell = outcome.cell
        reason = f": {last_line(outcome.reason)}" if outcome.reason else ""
        line = f"[{done}/{total}] {cell.label} on {cell.dataset.name}, seed {cell.seed}: {outcome.status}{reason}"
        timing = f" ({outcome.seconds:.0f} s" + (f", about {left} left)" if done < total else ")")
        console.print(line + timing, soft_wrap=True, markup=False)
        yield outcome


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _advise(outcomes: list[Outcome], order: Order) -> None:
    """Sum up; say of failed cells where their output is, and of unstable ones what to do."""
    from fobench.contracts import Status
    from fobench.harness.runner import unstable

    counts = Counter(outcome.status for outcome in outcomes)
    if outcomes:
        console.print("finished: " + ", ".join(f"{number} {status}" for status, number in counts.items()))
    for outcome in outcomes:
        if outcome.status != Status.DONE:
            log = order.store.path(outcome.cell).with_suffix(".log")
            console.print(f"failed: see {log}; --retry-failed tries again", soft_wrap=True, markup=False)
    doubtful = unstable(order)
    for cell, reason in doubtful:
        line = f"unstable: {cell.label} on {cell.dataset.name}, seed {cell.seed}: {reason}"
        console.print(line, soft_wrap=True, markup=False)
    if doubtful:
        console.print(f"{len(doubtful)} cells are unstable: remove the cause, --rerun-unstable measures them again")


def _report(order: Order, wanted: bool) -> None:
    if not wanted:
        console.print(
            f"next: fobench report {order.suite.name} --results {quote(str(order.results))} --machine {quote(order.machine)}",
            soft_wrap=True,
            markup=False,
        )
        return
    from fobench.report.build import build

    for path in build(order.store.folder, Path("reports")):
        console.print(f"wrote {path}", soft_wrap=True)
