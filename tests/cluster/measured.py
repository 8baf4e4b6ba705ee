"""Result files as several machines leave them: cells of a built-in learner, finished files, facts of machines."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from fobench import plugins
from fobench.contracts import (
    Cell,
    Context,
    Header,
    Origin,
    Part,
    Phase,
    Plan,
    Provenance,
    Reading,
    Recipe,
    Reference,
    Status,
    Suite,
)
from fobench.harness.machine import record
from fobench.harness.runner import Order
from fobench.store import ResultStore

SUITE = "rack"
VERSIONS = {"python": "3.11.2", "fobench": "0.1.0", "torch": "2.13.0"}
BOARD: dict[str, Any] = {
    "cpu": "Cortex-A78", "architecture": "aarch64", "cores": 6, "memory_gib": 8, "gpus": [], "governor": "performance",
    "versions": VERSIONS,
}  # fmt: skip
STATION: dict[str, Any] = {**BOARD, "cpu": "Xeon", "architecture": "x86_64", "cores": 16, "memory_gib": 64}


def a_cell(label: str = "BP", seed: int = 0, epochs: int = 1) -> Cell:
    return Cell(
        Reference("bp", {"network": []}, label), Reference("digits", {}, "digits"), Recipe(epochs=epochs), Plan(), seed
    )


def an_order(results: Path, *cells: Cell, machines: str = "any", **changes: Any) -> Order:
    order = Order(Suite(SUITE, cells, machines=machines), results, "", Path("data"))
    return replace(order, **changes)


@cache
def sources() -> dict[str, str]:
    return {"learner": plugins.source_hash("bp", "learners"), "dataset": plugins.source_hash("digits", "datasets")}


def leave(
    results: Path,
    machine: str,
    cell: Cell,
    part: Part = Part.MEASURE,
    status: Status = Status.DONE,
    seconds: float = 1.0,
    **changes: Any,
) -> Path:
    """Write one finished file of a machine: a training window that began `seconds` after the worker did."""
    store = ResultStore(results, SUITE, machine)
    header = Header(part, cell, SUITE, machine, network="64-10", origin=Origin.REAL, sources=sources())
    with store.writer(cell, part) as writer:
        writer.header(replace(header, **changes))
        if part == Part.MEASURE:
            where = Context(Phase.TRAIN, "clock", window=0, samples=100, batch_size=10, started_s=seconds)
            writer.rows(where, [Reading("duration", 0.5, Provenance.MEASURED)])
        writer.footer(status, "" if status == Status.DONE else "why")
    return store.path(cell, part)


def describe(results: Path, machine: str, facts: dict[str, Any] = BOARD) -> Path:
    """Write a machine's facts."""
    folder = results / SUITE / machine
    record(folder, machine, facts)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder by their path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
