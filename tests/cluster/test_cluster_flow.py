"""The flow of a run with an engine of paper: what is sent where, and what comes of everything that can be lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from measured import BOARD, STATION, a_cell, an_order, leave

from fobench.cluster.delivery import RESULTS, Parcel, checksum
from fobench.cluster.engine import EngineError, Event, GoneError, LostError
from fobench.cluster.host import Look, Question
from fobench.cluster.placement import Block
from fobench.cluster.run import MOST_LOSSES, Run
from fobench.cluster.survey import Seen
from fobench.contracts import FobenchError, Part, Status
from fobench.harness.job import Job
from fobench.harness.preflight import Findings
from fobench.harness.runner import Outcome
from fobench.store import ResultStore


@dataclass(eq=False)
class Task:
    """A future of paper."""

    job: Job
    addresses: list[str]
    dropped: bool = False


@dataclass
class Paper:
    """An engine that does what `script` says after each task that was sent: by default it finishes the oldest."""

    folder: Path
    facts: dict[str, dict[str, Any]]
    script: deque[Callable[[Paper], None]] = field(default_factory=deque)
    sent: list[Task] = field(default_factory=list)
    events: deque[Event] = field(default_factory=deque)
    ends: dict[str, Status] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    meters: float = 1.0
    broken: str = ""
    stopped: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def workers(self) -> dict[str, float]:
        return dict.fromkeys(self.facts, self.meters)

    def ask(self, question: Question, addresses: list[str]) -> list[Seen]:
        return [
            Seen(address, Look(address[-1], self.facts[address], _here(), address, 0.0, Findings()), 0.0)
            for address in addresses
        ]

    def measure(self, job: Job, address: str) -> Task:
        assert not [task for task in self.open_tasks() if address in task.addresses], "more than one thing at a time"
        self.sent.append(Task(job, [address]))
        return self.sent[-1]

    def trace(self, job: Job, addresses: list[str]) -> Task:
        self.sent.append(Task(job, addresses))
        return self.sent[-1]

    def open_tasks(self) -> list[Task]:
        return [task for task in self.sent if not task.dropped]

    def next_event(self, patience_s: float | None = None) -> Event | None:
        if self.script:
            self.script.popleft()(self)
        elif not self.events and self.open_tasks():
            finish(self)
        return self.events.popleft() if self.events else None

    def parcel(self, task: Task, addresses: list[str]) -> Parcel:
        task.dropped = True
        if set(addresses) & self.lost:
            raise LostError("gone")
        machine = task.addresses[0][-1]
        if task.job.cell.label == self.broken and task.job.part == Part.MEASURE:
            raise EngineError("no space left on device")
        status = self.ends.get(f"{task.job.cell.label} {task.job.part}", Status.DONE)
        path = leave(self.folder / "there", machine, task.job.cell, task.job.part, status)
        return Parcel(machine, task.job.stem, {RESULTS: path.read_text()}, checksum(path.read_text()))

    def drop(self, task: Task) -> None:
        task.dropped = True

    def stop(self, addresses: list[str]) -> None:
        self.stopped += addresses


def finish(engine: Paper) -> None:
    engine.events.append(Event(future=engine.open_tasks()[0]))  # type: ignore[arg-type]


def lose(address: str) -> Callable[[Paper], None]:
    return lambda engine: engine.events.append(Event(worker=address, gone=True))


def come(address: str) -> Callable[[Paper], None]:
    return lambda engine: engine.events.append(Event(worker=address))


def _here() -> str:
    from fobench.cluster.host import code_checksum

    return code_checksum()


CELLS = tuple(a_cell(label, seed) for seed in (0, 1) for label in ("BP", "FF"))


@pytest.fixture
def make(tmp_path: Path):
    """Return what makes a run on machines `a`, `b`, ... with an engine of paper."""

    def made(
        *script: Callable[[Paper], None], facts: dict[str, Any] | None = None, machines: str = "any", **paper: Any
    ):
        engine = Paper(tmp_path, facts or {"tcp://a": BOARD, "tcp://b": BOARD}, deque(script), **paper)
        order = an_order(tmp_path / "results", *CELLS, machines=machines)
        return Run(engine, order, Question(CELLS[:1], ".", None, False), engine.said.append)  # type: ignore[arg-type]

    return made


def measured(run: Run) -> list[Outcome]:
    assert run.look().problems == []
    return list(run.outcomes(run.shelves().blocks()))


def homes(outcomes: list[Outcome]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.cell.seed, set()).add(outcome.machine)
    return found


def test_traces_come_first_once_and_every_block_has_one_machine(make) -> None:
    run = make()
    outcomes = measured(run)
    parts = [task.job.part for task in run.engine.sent]
    assert parts == [Part.TRACE] * 2 + [Part.MEASURE] * 4
    assert [task.addresses for task in run.engine.sent[:2]] == [["tcp://a", "tcp://b"]] * 2
    assert {outcome.cell.id for outcome in outcomes} == {cell.id for cell in CELLS}
    assert homes(outcomes) == {0: {"a"}, 1: {"b"}}
    assert run.engine.stopped == []


def test_a_type_of_machine_has_traces_of_its_own(make) -> None:
    run = make(facts={"tcp://a": BOARD, "tcp://b": STATION})
    measured(run)
    traces = [(task.job.cell.label, task.addresses) for task in run.engine.sent if task.job.part == Part.TRACE]
    assert sorted(traces) == [("BP", ["tcp://a"]), ("BP", ["tcp://b"]), ("FF", ["tcp://a"]), ("FF", ["tcp://b"])]


def test_on_each_type_the_whole_suite_is_measured(make) -> None:
    run = make(facts={"tcp://a": BOARD, "tcp://b": STATION}, machines="each")
    outcomes = measured(run)
    assert homes(outcomes) == {0: {"a", "b"}, 1: {"a", "b"}} and len(outcomes) == 8


def test_on_one_type_the_other_machines_rest(make) -> None:
    run = make(facts={"tcp://a": BOARD, "tcp://b": STATION, "tcp://c": STATION}, machines="same")
    assert {outcome.machine for outcome in measured(run)} == {"b", "c"}


def test_a_cell_whose_trace_failed_is_failed_and_never_measured(make) -> None:
    run = make(ends={"FF trace": Status.FAILED})
    outcomes = measured(run)
    ends = {(outcome.cell.label, outcome.status) for outcome in outcomes}
    assert ends == {("BP", Status.DONE), ("FF", Status.FAILED)} and len(outcomes) == 4
    assert all(task.job.cell.label == "BP" for task in run.engine.sent if task.job.part == Part.MEASURE)


def test_a_cell_that_a_machine_cannot_deliver_fails_alone_and_stays_pending(make, tmp_path: Path) -> None:
    run = make(broken="FF")
    outcomes = measured(run)
    ends = sorted((outcome.cell.label, outcome.status) for outcome in outcomes)
    assert ends == [("BP", Status.DONE)] * 2 + [("FF", Status.FAILED)] * 2
    assert all("no space left" in outcome.reason for outcome in outcomes if outcome.cell.label == "FF")
    assert [item.cell.label for item in run.shelves().standings() if item.state == "pending"] == ["FF", "FF"]


def test_a_lost_machine_takes_its_block_up_where_it_was(make) -> None:
    # two traces; a and b measure; a ends its first cell and is lost in its second; it comes back
    run = make(finish, finish, finish, lose("tcp://a"), finish, finish, come("tcp://a"))
    outcomes = measured(run)
    assert homes(outcomes) == {0: {"a"}, 1: {"b"}}
    assert len(outcomes) == 4 and {outcome.status for outcome in outcomes} == {Status.DONE}
    assert run.engine.said == ["a is lost; its cell begins again when it is back", "a is here"]


def test_the_block_of_a_machine_that_never_comes_back_waits(make) -> None:
    run = make(finish, finish, finish, lose("tcp://a"))
    outcomes = measured(run)
    assert len(outcomes) == 3 and homes(outcomes) == {0: {"a"}, 1: {"b"}}
    assert run.placement.waiting == [Block(0, (CELLS[1],), "a")]


def test_a_block_without_a_finished_cell_goes_to_whoever_is_free(make) -> None:
    run = make(finish, finish, lose("tcp://a"))
    assert homes(measured(run)) == {0: {"b"}, 1: {"b"}}


def test_a_machine_that_is_lost_with_finished_results_measures_them_again(make) -> None:
    def lost_at_delivery(engine: Paper) -> None:
        finish(engine)
        engine.lost.add("tcp://a")

    def noticed(engine: Paper) -> None:
        lose("tcp://a")(engine)
        engine.lost.clear()

    run = make(finish, finish, lost_at_delivery, noticed)
    outcomes = measured(run)
    assert len(outcomes) == 4 and len({outcome.cell.id for outcome in outcomes}) == 4


def test_traces_are_sent_again_to_those_who_are_left(make) -> None:
    run = make(lose("tcp://a"))
    outcomes = measured(run)
    traces = [task.addresses for task in run.engine.sent if task.job.part == Part.TRACE]
    assert traces == [["tcp://a", "tcp://b"]] * 2 + [["tcp://b"]] * 2
    assert homes(outcomes) == {0: {"b"}, 1: {"b"}}


def test_a_cell_that_ends_its_worker_again_and_again_is_killed_on_record(make, tmp_path: Path) -> None:
    deaths = [step for _ in range(MOST_LOSSES) for step in (lose("tcp://a"), come("tcp://a"))]
    run = make(finish, finish, *deaths, facts={"tcp://a": BOARD})
    outcomes = measured(run)
    assert [outcome.status for outcome in outcomes] == [Status.KILLED] + [Status.DONE] * 3
    entry = ResultStore(tmp_path / "results", "rack", "a").find(CELLS[0])
    assert entry is not None and entry.status == Status.KILLED and "3 workers were lost" in entry.reason
    assert entry.header.versions == BOARD["versions"]


def test_a_machine_that_comes_late_takes_what_waits_and_a_misfit_stays_out(make) -> None:
    other = {**BOARD, "versions": {**BOARD["versions"], "torch": "2.6.0"}}

    def arrive(engine: Paper) -> None:
        engine.facts |= {"tcp://b": BOARD, "tcp://c": other, "tcp://d": STATION}
        for address in ("tcp://b", "tcp://c", "tcp://d"):
            come(address)(engine)

    run = make(finish, finish, arrive, facts={"tcp://a": BOARD})
    assert homes(measured(run)) == {0: {"a"}, 1: {"b"}}
    assert run.engine.said[0] == "b is here"
    assert run.engine.said[1].startswith("c came and stays out: torch differs: ")
    assert run.engine.said[2].startswith("d came and stays out: a new type of machine comes too late")


def test_a_worker_without_exactly_one_meter_is_refused(make) -> None:
    run = make(meters=0)
    with pytest.raises(FobenchError, match="must have one meter, found 0; start workers with --resources meter=1"):
        run.look()


def test_a_run_that_is_broken_off_stops_the_cells_that_it_began(make) -> None:
    run = make(finish, finish)
    assert run.look().problems == []
    outcomes = run.outcomes(run.shelves().blocks())
    next(outcomes)
    outcomes.close()
    assert run.engine.stopped == ["tcp://b"]


def test_a_scheduler_that_is_gone_ends_the_run_and_keeps_what_is_there(make, tmp_path: Path) -> None:
    def gone(engine: Paper) -> None:
        raise GoneError

    run = make(finish, finish, finish, gone)
    run.look()
    outcomes = run.outcomes(run.shelves().blocks())
    first = next(outcomes)
    with pytest.raises(GoneError):
        next(outcomes)
    assert ResultStore(tmp_path / "results", "rack", "a").find(first.cell) is not None
