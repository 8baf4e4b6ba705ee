"""The flow of a run: cell after cell, a trace where there is none, then the measurement; a failed cell stops nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fobench.contracts import Cell, Json, Part, Phase, Status, Suite
from fobench.harness.job import Job
from fobench.harness.launcher import launch
from fobench.harness.states import Finder, State, counts, sources_of
from fobench.harness.temperature import cool_down, temperatures
from fobench.store import Entry, ResultStore, StoreError

UNQUIET = 0.05
"""Mean share of foreign CPU time in a cell's windows from which its times and energies are called unstable."""


@dataclass(frozen=True)
class Order:
    """What a user asked of a run; `real` names the data sets whose files the preflight found."""

    suite: Suite
    results: Path
    machine: str
    data: Path
    require_real: bool = False
    retry_failed: bool = False
    rerun_stale: bool = False
    real: tuple[str, ...] = ()

    @property
    def store(self) -> ResultStore:
        """Return the store that this run writes to."""
        return ResultStore(self.results, self.suite.name, self.machine)

    @property
    def states(self) -> frozenset[State]:
        """Return which cells this run will measure."""
        asked = {State.FAILED: self.retry_failed, State.STALE: self.rerun_stale, State.PENDING: True}
        return frozenset(state for state, wanted in asked.items() if wanted)


@dataclass(frozen=True)
class Outcome:
    """How one cell ended, after how many seconds; on which machine, where there are several."""

    cell: Cell
    status: Status
    reason: str
    seconds: float
    machine: str = ""


def run(order: Order, cells: list[Cell]) -> Iterator[Outcome]:
    """Measure the cells one after the other and yield how each ended."""
    failed_traces: dict[str, Entry] = {}
    before = temperatures()
    for number, cell in enumerate(cells):
        if number:
            cool_down(cells[number - 1].plan, before)
        start = time.monotonic()
        entry = failed_traces.get(cell.trace_id) or _traced(order, cell)
        if entry.status == Status.DONE:
            entry = launch(_job(order, cell, Part.MEASURE), order.store.folder)
        elif entry.header.part == Part.TRACE:
            failed_traces[cell.trace_id] = entry
        yield Outcome(cell, entry.status, entry.reason, time.monotonic() - start)


def _job(order: Order, cell: Cell, part: Part) -> Job:
    base = str(Path(order.suite.base).resolve())
    return Job(part, cell, order.suite.name, order.machine, base, str(order.data.resolve()), order.require_real)


def _traced(order: Order, cell: Cell) -> Entry:
    """Return the cell's trace, taking it if there is none that is done and of the present source and data."""
    try:
        entry = order.store.find(cell, Part.TRACE)
    except StoreError:
        entry = None
    if entry is not None and counts(entry, sources_of(order.suite), cell.dataset.name in order.real):
        return entry
    return launch(_job(order, cell, Part.TRACE), order.store.folder)


def doubt(entry: Entry) -> str:
    """Say why a cell's times and energies deserve doubt, or nothing."""
    rows = [row for row in entry.rows() if row["phase"] in (Phase.TRAIN, Phase.INFER)]
    shares = [row["value"] for row in rows if row["quantity"] == "foreign_cpu" and not row["invalid"]]
    mean = sum(shares) / len(shares) if shares else 0.0
    lost = {row["window"]: row["invalid"] for row in rows if row["phase"] == Phase.TRAIN and _spoilt(row)}
    if lost and entry.header.cell.plan.training == "full":
        return f"{len(lost)} windows of the training are invalid, first: {next(iter(lost.values()))}"
    return f"other programs used {mean:.0%} of the CPU while it was measured" if mean > UNQUIET else ""


def _spoilt(row: Mapping[str, Json]) -> bool:
    """Say whether a guard has refused the window of a row; a meter that failed in it is not its fault."""
    return bool(row["invalid"]) and row["quantity"] != "fault"


def unstable(suite: Suite, store: Finder) -> list[tuple[Cell, str]]:
    """Return the cells that are done and deserve doubt, each with the reason."""
    entries = [(cell, store.find(cell)) for cell in suite.cells]
    doubts = [(cell, doubt(entry)) for cell, entry in entries if entry is not None and entry.status == Status.DONE]
    return [(cell, reason) for cell, reason in doubts if reason]
