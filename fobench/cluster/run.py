"""The flow of a run on many machines: for every type of machine the traces, then on every machine block after block.

One measured cell at a time per machine, and the next one only after the results of the last have arrived: no data moves
while a window is open. What is lost with a worker is the cell that it was measuring; its block waits for the machine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Future

from fobench.cluster.delivery import deliver
from fobench.cluster.engine import METER, Engine, EngineError, Event, GoneError, LostError
from fobench.cluster.host import Question
from fobench.cluster.placement import Block, Machine, Placement
from fobench.cluster.shelves import Shelves
from fobench.cluster.survey import Seen, survey
from fobench.contracts import Cell, FobenchError, Header, Part, Status
from fobench.harness.job import Job
from fobench.harness.machine import record
from fobench.harness.preflight import Findings
from fobench.harness.runner import Order, Outcome
from fobench.store import ResultStore, seal

MOST_LOSSES = 3
"""Workers that may be lost over one cell; then the cell is taken to be what ends them."""

RETURN_S = 60.0
"""How long a run with nothing else to do waits for a lost worker, which its nanny starts again."""


@dataclass
class Desk:
    """A machine at work: its worker's address, its block, and the future of the cell that it measures, since when."""

    machine: Machine
    address: str
    block: Block | None = None
    future: Future[Any] | None = None
    since: float = 0.0


class Run:
    """One run: desks by worker address, blocks that wait, traces under way. `say` is told what a person should know."""

    def __init__(self, engine: Engine, order: Order, question: Question, say: Callable[[str], None]) -> None:
        self.engine, self.order, self.question, self.say = engine, order, question, say
        self.seen: list[Seen] = []
        self.desks: dict[str, Desk] = {}
        self.placement = Placement([])
        self.owed: dict[str, list[Job]] = {}
        self.tracing: dict[Future[Any], tuple[str, Job]] = {}
        self.untraced: dict[tuple[str, str], str] = {}
        self.losses: Counter[str] = Counter()

    def look(self) -> Findings:
        """Ask all workers that are there; a run goes on only if there are no problems."""
        workers = self.engine.workers()
        wrong = [address for address, meters in workers.items() if meters != 1]
        if wrong:
            raise FobenchError(
                f"{', '.join(wrong)} must have one meter, found {workers[wrong[0]]:g}; start workers with --resources {METER}=1"
            )
        self.seen = self.engine.ask(self.question, list(workers))
        for address in workers.keys() - {item.address for item in self.seen}:
            self.say(f"{address} was lost while it was asked")
        if not self.seen:
            raise EngineError("all workers were lost while they were asked; see to them and run again")
        found = survey(self.seen)
        self.order = replace(self.order, real=tuple(found.real))
        return found

    def shelves(self) -> Shelves:
        """Return what the results folder holds, for the machines that are connected."""
        return Shelves(self.order, tuple(item.machine for item in self.seen))

    def outcomes(self, blocks: list[Block]) -> Iterator[Outcome]:
        """Measure blocks and yield how each cell ended, and on which machine; ends when nothing more can be done here."""
        for item in self.seen:
            self._join(item)
        self.placement = Placement(blocks)
        self.owed = self._owed(blocks)
        try:
            for kind in self.owed:
                self._trace(kind)
                yield from self._advance(kind)
            while self.tracing or self._measuring() or self._lost_machine_may_return():
                event = self.engine.next_event(None if self.tracing or self._measuring() else RETURN_S)
                if event is None:
                    break
                yield from self._heard(event)
        finally:
            self._abandon()

    def _measuring(self) -> list[Desk]:
        return [desk for desk in self.desks.values() if desk.future is not None]

    def _lost_machine_may_return(self) -> bool:
        here = {desk.machine.name for desk in self.desks.values()}
        lost = [item.machine for item in self.seen if item.look.machine not in here]
        return any(block.fits(machine) for block in self.placement.waiting for machine in lost)

    def _join(self, item: Seen) -> None:
        name = item.look.machine
        record(self.order.results / self.order.suite.name / name, name, item.look.facts)
        self.desks[item.address] = Desk(item.machine, item.address)

    def _owed(self, blocks: list[Block]) -> dict[str, list[Job]]:
        """Return the traces that are missing, by type of machine: one for every learner, data set and recipe."""
        shelves, owed = self.shelves(), {}
        for kind in sorted({desk.machine.kind for desk in self.desks.values()}):
            shelf = shelves.shelf(kind)
            cells = {cell.trace_id: cell for block in blocks if block.kind in (None, kind) for cell in block.cells}
            owed[kind] = [self._job(cell, Part.TRACE) for cell in cells.values() if shelf.traced(cell) is None]
        return owed

    def _job(self, cell: Cell, part: Part) -> Job:
        base = str(Path(self.question.base).resolve())
        return Job(part, cell, self.order.suite.name, "", base, self.question.data or "", self.order.require_real)

    def _trace(self, kind: str) -> None:
        """Send the traces that a type of machine owes to those of its machines that are here now."""
        for future in [future for future, (owing, _) in self.tracing.items() if owing == kind]:
            self.engine.drop(future)
            del self.tracing[future]
        addresses = [desk.address for desk in self.desks.values() if desk.machine.kind == kind]
        for job in self.owed[kind] if addresses else []:
            self.tracing[self.engine.trace(job, addresses)] = (kind, job)

    def _heard(self, event: Event) -> Iterator[Outcome]:
        desk = self.desks.get(event.worker)
        if event.future in self.tracing:
            yield from self._traced(event.future)
        elif event.future is not None:
            for measuring in self._measuring():
                if measuring.future is event.future:
                    yield from self._measured(measuring)
        elif event.gone and desk is not None:
            yield from self._lost(desk)
        elif not event.gone and desk is None:
            yield from self._arrived(event.worker)

    def _traced(self, future: Future[Any]) -> Iterator[Outcome]:
        kind, job = self.tracing.pop(future)
        addresses = [desk.address for desk in self.desks.values() if desk.machine.kind == kind]
        try:
            entry = deliver(self.engine.parcel(future, addresses), job, self.order.results)
            if entry.status != Status.DONE:
                self.untraced[kind, job.cell.trace_id] = entry.reason
        except LostError:  # owed still: it is sent again when a machine is back
            return
        except GoneError:
            raise
        except FobenchError as error:
            self.untraced[kind, job.cell.trace_id] = f"not traced: {error}"
        self.owed[kind].remove(job)
        yield from self._advance(kind)

    def _measured(self, desk: Desk) -> Iterator[Outcome]:
        """Take in what a cell has left and give the machine its next one."""
        assert desk.block is not None and desk.future is not None
        cell, seconds = desk.block.cells[0], time.monotonic() - desk.since
        try:
            parcel = self.engine.parcel(desk.future, [desk.address])
            entry = deliver(parcel, self._job(cell, Part.MEASURE), self.order.results)
            status, reason = entry.status, entry.reason
        except LostError:  # the event that says so comes next
            return
        except GoneError:
            raise
        except FobenchError as error:  # a full disk there, a damaged delivery: this cell's trouble, and of the next run
            status, reason = Status.FAILED, f"{desk.machine.name} delivered nothing: {error}"
        desk.block, desk.future = desk.block.after(desk.machine), None
        yield Outcome(cell, status, reason, seconds, desk.machine.name)
        yield from self._advance(desk.machine.kind)

    def _advance(self, kind: str) -> Iterator[Outcome]:
        """Send every idle machine of a type, once its traces are there, the next cell of its block, or of its next block."""
        idle = [desk for desk in self.desks.values() if desk.machine.kind == kind and desk.future is None]
        for desk in [] if self.owed[kind] else idle:
            while desk.future is None and self._has_block(desk):
                assert desk.block is not None
                cell = desk.block.cells[0]
                reason = self.untraced.get((kind, cell.trace_id))
                if reason is None:
                    desk.since = time.monotonic()
                    desk.future = self.engine.measure(self._job(cell, Part.MEASURE), desk.address)
                else:
                    desk.block = replace(desk.block, cells=desk.block.cells[1:])
                    yield Outcome(cell, Status.FAILED, reason, 0.0, desk.machine.name)

    def _has_block(self, desk: Desk) -> bool:
        if desk.block is None or not desk.block.cells:
            desk.block = self.placement.take(desk.machine)
        return desk.block is not None

    def _lost(self, desk: Desk) -> Iterator[Outcome]:
        """Put the block of a lost machine back; a cell that has cost several workers is failed."""
        del self.desks[desk.address]
        if desk.future is not None and desk.block is not None:
            self.engine.drop(desk.future)
            cell = desk.block.cells[0]
            self.losses[cell.id] += 1
            if self.losses[cell.id] == MOST_LOSSES:
                yield self._given_up(desk, cell)
        self.say(f"{desk.machine.name} is lost; its cell begins again when it is back")
        if desk.block is not None:
            self.placement.give_back(desk.block)
        if self.owed[desk.machine.kind]:
            self._trace(desk.machine.kind)

    def _given_up(self, desk: Desk, cell: Cell) -> Outcome:
        assert desk.block is not None
        machine, reason = desk.machine.name, f"{MOST_LOSSES} workers were lost while they measured it"
        versions = next(item.look.facts["versions"] for item in self.seen if item.look.machine == machine)
        header = Header(Part.MEASURE, cell, self.order.suite.name, machine, versions=versions)
        store = ResultStore(self.order.results, self.order.suite.name, machine)
        seal(store.path(cell), header, Status.KILLED, reason)
        desk.block = desk.block.after(desk.machine)
        return Outcome(cell, Status.KILLED, reason, time.monotonic() - desk.since, machine)

    def _arrived(self, address: str) -> Iterator[Outcome]:
        """Let a machine take part that comes, or comes back, while the run goes on; one that does not fit stays out."""
        if self.engine.workers().get(address) != 1:
            return
        answers = self.engine.ask(self.question, [address])
        if not answers:
            return
        (item,) = answers
        here = [seen for seen in self.seen if seen.address in self.desks]
        problems = survey([*here, item]).problems
        if item.machine.kind not in self.owed:
            problems.append("a new type of machine comes too late for its traces; it can take part in the next run")
        if problems:
            self.say(f"{item.look.machine} came and stays out: {'; '.join(problems)}")
            return
        self.seen = [seen for seen in self.seen if seen.look.machine != item.look.machine] + [item]
        self._join(item)
        self.say(f"{item.look.machine} is here")
        if self.owed[item.machine.kind]:
            self._trace(item.machine.kind)
        yield from self._advance(item.machine.kind)

    def _abandon(self) -> None:
        """Stop what is still running on the machines, if the run ends before it."""
        measuring = self._measuring()
        if measuring or self.tracing:
            self.engine.stop([desk.address for desk in measuring] or list(self.desks))
