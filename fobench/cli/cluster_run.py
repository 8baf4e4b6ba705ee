"""`fobench run --cluster`: the same as on one machine, with blocks on many; and the dry run that plans it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fobench.cli.outcomes import advise, counted, duration, say, shown
from fobench.contracts import FobenchError, Status

if TYPE_CHECKING:
    from fobench.cluster.placement import Block, Forecast, Machine
    from fobench.cluster.run import Run
    from fobench.cluster.shelves import Shelves
    from fobench.cluster.survey import Seen
    from fobench.contracts import Suite
    from fobench.harness.runner import Order


@dataclass(frozen=True)
class Cluster:
    """What the command line says of where to measure: a cluster's address or file, its certificate, and the data folder."""

    target: str | None
    tls: Path | None = None
    data: str | None = None


@dataclass(frozen=True)
class Wishes:
    """What else a run was asked for; `workers` are the imagined machines of a dry run without a cluster."""

    rerun_unstable: bool = False
    move_blocks: bool = False
    dry_run: bool = False
    workers: int | None = None
    cell_seconds: float | None = None


def need_engine() -> None:
    """Refuse to go on without dask.distributed, which only clusters need."""
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        raise FobenchError("a cluster needs dask.distributed, which is not installed: pip install 'fobench[cluster]'")


def measure(order: Order, cluster: Cluster, wishes: Wishes) -> bool:
    """Run what is wanted on a cluster and say whether any cell of the suite is failed, or had to wait, in the end."""
    need_engine()
    from fobench.cluster.submitter import submitting
    from fobench.store import note_newcomer

    with submitting(order.results / order.suite.name), _looked(order, cluster) as run:
        blocks = _blocks(run, wishes)
        if wishes.dry_run:
            _foretell(run.shelves(), blocks, [item.machine for item in run.seen], wishes.cell_seconds)
            return False
        if order.suite.newcomer:
            note_newcomer(run.shelves().folder, order.suite.newcomer)
        return _work(run, blocks)


@contextmanager
def asked(suite: Suite, cluster: Cluster, require_real: bool = False) -> Iterator[Run]:
    """Connect to a cluster for something that writes no results, and ask every machine what it has."""
    from fobench.harness.runner import Order

    need_engine()
    with _looked(Order(suite, Path("results"), "", Path(), require_real), cluster) as run:
        yield run


@contextmanager
def _looked(order: Order, cluster: Cluster) -> Iterator[Run]:
    """Connect, ask every machine what it has and print it; problems end the program before anything runs."""
    from fobench.cluster.engine import connect
    from fobench.cluster.host import Question
    from fobench.cluster.run import Run
    from fobench.cluster.security import certificate
    from fobench.harness.preflight import distinct

    question = Question(tuple(distinct(order.suite.cells)), order.suite.base, cluster.data, order.require_real)
    with connect(str(cluster.target), certificate(cluster.tls), say) as engine:
        run = Run(engine, order, question, say)
        findings = run.look()
        for seen in run.seen:
            say(_described(seen))
        for note in findings.notes:
            say(f"note: {note}")
        if findings.problems:
            listed = "\n".join(f"  {problem}" for problem in findings.problems)
            raise FobenchError(f"{order.suite.source or order.suite.name} cannot run on these machines:\n{listed}")
        yield run


def _described(seen: Seen) -> str:
    versions = seen.look.facts["versions"]
    known = ", ".join(f"{name} {versions[name]}" for name in ("fobench", "python", "torch") if name in versions)
    return f"machine {seen.look.machine}: {seen.machine.kind}; {known}; clock {seen.ahead_s:+.1f} s"


def foretell(order: Order, wishes: Wishes) -> None:
    """Plan a run on machines that are only imagined."""
    from fobench.cluster.placement import Machine
    from fobench.cluster.shelves import Shelves

    machines = [Machine(f"worker-{number}", "imagined") for number in range(wishes.workers or 1)]
    shelves = Shelves(order)
    blocks = [replace(block, home=None) for block in shelves.blocks()]
    _foretell(shelves, blocks, machines, wishes.cell_seconds)


def _blocks(run: Run, wishes: Wishes) -> list[Block]:
    """Return what is to be measured, and say where the suite stands."""
    shelves = run.shelves()
    say(f"{run.order.suite.name}: {counted([item.state for item in shelves.standings()])}")
    here = {item.look.machine for item in run.seen}
    gone = [block for block in shelves.blocks() if block.cells and block.home not in (None, *here)]
    for block in gone if wishes.move_blocks and not wishes.dry_run else []:
        count = shelves.set_aside(block)
        say(f"block {block.seed} begins again elsewhere: {count} files of {block.home} are set aside (.abandoned)")
    again = {cell.id for cell, _ in shelves.unstable()} if wishes.rerun_unstable else set()
    return shelves.blocks(again)


def _work(run: Run, blocks: list[Block]) -> bool:
    from fobench.harness.states import State

    total = sum(len(block.cells) for block in blocks)
    outcomes = list(shown(run.outcomes(blocks), total))
    shelves = run.shelves()
    advise(outcomes, lambda outcome: shelves.folder / outcome.machine / f"{outcome.cell.stem}.log", shelves.unstable())
    waiting = run.placement.waiting
    for block in waiting:
        say(_waits(block))
    states = [item.state for item in shelves.standings()]
    if State.STALE in states:
        say(f"{states.count(State.STALE)} cells are stale: --rerun-stale measures them again")
    return bool(waiting) or State.FAILED in states or any(outcome.status != Status.DONE for outcome in outcomes)


def _waits(block: Block) -> str:
    cells = f"block {block.seed} waits with {len(block.cells)} cells"
    if block.home is None:
        return f"{cells}: no machine of its type is connected"
    return (
        f"{cells} for {block.home}, where it was begun: connect that machine and run again, or measure the whole block "
        "elsewhere with --move-blocks"
    )


def _foretell(shelves: Shelves, blocks: list[Block], machines: list[Machine], cell_seconds: float | None) -> None:
    from fobench.cluster.estimate import seconds_of_cells
    from fobench.cluster.placement import forecast

    known = None if cell_seconds else seconds_of_cells(shelves.entries())
    foretold = forecast(blocks, machines, known or (lambda cell: cell_seconds or 1.0))
    for name, cells in sorted(foretold.cells.items()):
        say(f"  {name}: {cells} cells" + (f", {duration(foretold.seconds[name])}" if known or cell_seconds else ""))
    for block in foretold.stranded:
        say(_waits(block))
    say(_finish(foretold, bool(known), cell_seconds))


def _finish(foretold: Forecast, known: bool, cell_seconds: float | None) -> str:
    from datetime import datetime, timedelta

    total = sum(foretold.cells.values())
    if not known and not cell_seconds:
        most = max(foretold.cells.values(), default=0)
        return (
            f"{total} cells, at most {most} on one machine; no cell of this suite was measured yet: give --cell-seconds "
            "to see when it would finish"
        )
    end = datetime.now().astimezone() + timedelta(seconds=foretold.finish_s)
    basis = f"{cell_seconds:g} s a cell" if cell_seconds else "cells as long as the finished ones, traces not counted"
    return f"{total} cells in {duration(foretold.finish_s)}, finished {end:%Y-%m-%d %H:%M} ({basis})"
