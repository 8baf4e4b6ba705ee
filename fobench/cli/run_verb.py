"""`fobench run`: measure what a suite still lacks, cell after cell, and say how it went."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from fobench.cli.check_verb import inspect
from fobench.cli.cluster_run import Cluster, Wishes, foretell
from fobench.cli.cluster_run import measure as measure_on_cluster
from fobench.cli.newcomer import Against, Learner, Settings, suite_of
from fobench.cli.options import TLS, ClusterTarget, Data, Machine, RequireReal, Results, SuiteFile
from fobench.cli.outcomes import advise, counted, say, shown
from fobench.contracts import FobenchError

if TYPE_CHECKING:
    from fobench.harness.runner import Order

RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")]
RerunStale = Annotated[bool, typer.Option("--rerun-stale", help="Run cells again whose source or data changed.")]
RerunUnstable = Annotated[bool, typer.Option("--rerun-unstable", help="Run cells again that something disturbed.")]
Report = Annotated[bool, typer.Option("--report", help="Write the report at the end.")]
MoveBlocks = Annotated[
    bool, typer.Option("--move-blocks", help="Measure blocks anew that were begun on machines that are gone.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Plan a run on many machines, measure nothing.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Of a dry run: so many imagined machines.", show_default=False)
]
CellSeconds = Annotated[
    float | None,
    typer.Option(
        "--cell-seconds", min=0.001, max=604_800, help="Of a dry run: how long a cell lasts.", show_default=False
    ),
]


def verb(
    suite: SuiteFile,
    results: Results = Path("results"),
    machine: Machine = None,
    data: Data = None,
    require_real: RequireReal = False,
    retry_failed: RetryFailed = False,
    rerun_stale: RerunStale = False,
    rerun_unstable: RerunUnstable = False,
    report: Report = False,
    learner: Learner = None,
    against: Against = None,
    given: Settings = None,
    cluster: ClusterTarget = None,
    tls: TLS = None,
    move_blocks: MoveBlocks = False,
    dry_run: DryRun = False,
    workers: Workers = None,
    cell_seconds: CellSeconds = None,
) -> None:
    """Run the cells of a suite that are not done yet; interrupt it at any time, the next run resumes.

    With --learner, a new learner takes the suite's data, recipe and seeds, block by block beside --against. With --cluster,
    every machine of a cluster measures one cell at a time, and a block stays on its machine.
    """
    from fobench.datasets.roots import data_root
    from fobench.harness.machine import default_name
    from fobench.harness.runner import Order

    wishes = Wishes(rerun_unstable, move_blocks, dry_run, workers, cell_seconds)
    where = Cluster(cluster, tls, data)
    _refuse_nonsense(where, wishes, machine, report)
    loaded, name = suite_of(suite, learner, against, given), machine or default_name()
    order = Order(loaded, results, name, data_root(data), require_real, retry_failed, rerun_stale)
    unfinished = _carried_out(order, where, wishes)
    if not dry_run:
        _report(order, None if cluster else name, report)
    if unfinished:
        raise typer.Exit(1)


def _carried_out(order: Order, where: Cluster, wishes: Wishes) -> bool:
    """Do what was asked, here, on a cluster or on paper, and say whether something is left to be done in the end."""
    if where.target:
        return measure_on_cluster(order, where, wishes)
    if wishes.dry_run:
        foretell(order, wishes)
        return False
    return _measure(order, where.data, wishes.rerun_unstable)


def _refuse_nonsense(where: Cluster, wishes: Wishes, machine: str | None, report: bool) -> None:
    """Refuse options that cannot be meant together; raises FobenchError for the first."""
    cluster, dry_run = where.target, wishes.dry_run
    nonsense = {
        "--machine names this machine; those of a cluster name themselves (dask worker --name NAME)": cluster
        and machine,
        "--workers imagines machines for --dry-run without --cluster": wishes.workers and (cluster or not dry_run),
        "--cell-seconds is for --dry-run; a run finds out how long its cells last": wishes.cell_seconds and not dry_run,
        "--report is not for --dry-run, which measures nothing": report and dry_run,
        "--move-blocks and --tls are for --cluster": not cluster and (wishes.move_blocks or where.tls),
    }
    for sentence, case in nonsense.items():
        if case:
            raise FobenchError(sentence)


def _measure(order: Order, data: str | None, rerun_unstable: bool) -> bool:
    """Run what is wanted here, print line by line, and say whether any cell of the suite is failed in the end."""
    from fobench.harness.machine import record
    from fobench.harness.runner import run, unstable
    from fobench.harness.states import State, standings
    from fobench.store import note_newcomer

    order = replace(order, real=tuple(inspect(order.suite, data, order.require_real)))
    record(order.store.folder, order.machine)
    if order.suite.newcomer:
        note_newcomer(order.store.folder.parent, order.suite.newcomer)
    standing = standings(order.suite, order.store, order.real)
    say(f"{order.suite.name} on {order.machine}: {counted([item.state for item in standing])}")
    disturbed = {cell.id for cell, _ in unstable(order.suite, order.store)} if rerun_unstable else set()
    cells = [item.cell for item in standing if item.state in order.states or item.cell.id in disturbed]
    outcomes = list(shown(run(order, cells), len(cells)))
    advise(
        outcomes,
        lambda outcome: order.store.path(outcome.cell).with_suffix(".log"),
        unstable(order.suite, order.store),
    )
    after = [item.state for item in standings(order.suite, order.store, order.real)]
    if State.STALE in after:
        say(f"{after.count(State.STALE)} cells are stale: --rerun-stale measures them again")
    return State.FAILED in after


def _report(order: Order, machine: str | None, wanted: bool) -> None:
    """Write the report, or say how to: on one machine's results, or on those of all machines of the suite."""
    if not wanted:
        whose = f" --machine {quote(machine)}" if machine else ""
        say(f"next: fobench report {order.suite.name} --results {quote(str(order.results))}{whose}")
        return
    from fobench.report.build import build

    for path in build(order.store.folder if machine else order.results / order.suite.name, Path("reports")):
        say(f"wrote {path}")
