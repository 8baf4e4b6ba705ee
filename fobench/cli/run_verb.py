"""`fobench run`: measure what a suite still lacks, cell after cell, and say how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from fobench.cli.check_verb import inspect
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
    from fobench.cli import cluster_run
    from fobench.datasets.roots import data_root
    from fobench.harness.machine import default_name
    from fobench.harness.runner import Order

    _refuse(
        {
            "--machine names this machine; those of a cluster name themselves (dask worker --name NAME)": cluster
            and machine,
            "--workers imagines machines for --dry-run without --cluster": workers and (cluster or not dry_run),
            "--cell-seconds is for --dry-run; a run finds out how long its cells last": cell_seconds and not dry_run,
            "--report is not for --dry-run, which measures nothing": report and dry_run,
            "--move-blocks and --tls are for --cluster": not cluster and (move_blocks or tls),
        }
    )
    loaded, name = suite_of(suite, learner, against, given), machine or default_name()
    order = Order(loaded, results, name, data_root(data), require_real, retry_failed, rerun_stale)
    if dry_run and cluster is None:
        cluster_run.foretell(order, workers or 1, cell_seconds)
        return
    if cluster is None:
        unfinished = _measure(order, data, rerun_unstable)
    else:
        wishes = cluster_run.Wishes(rerun_unstable, move_blocks, dry_run, cell_seconds)
        unfinished = cluster_run.measure(order, cluster_run.Cluster(cluster, tls, data), wishes)
    if not dry_run:
        _report(order, None if cluster else name, report)
    if unfinished:
        raise typer.Exit(1)


def _refuse(nonsense: Mapping[str, object]) -> None:
    """Raise FobenchError with the first sentence whose case is true."""
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
