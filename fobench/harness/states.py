"""Which cells of a suite are done, pending, failed or stale; read off the result files and the source code alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Protocol

from fobench import plugins
from fobench.contracts import Cell, Origin, Part, Status, Suite
from fobench.store import Entry, StoreError, last_line

Sources = Callable[[str, str], str]
"""What returns the source hash of a target in a group of plug-ins."""


class State(StrEnum):
    """Where a cell stands; `stale` is done by code that has changed since."""

    DONE = "done"
    PENDING = "pending"
    FAILED = "failed"
    STALE = "stale"


@dataclass(frozen=True)
class Standing:
    """A cell, where it stands, and why if it failed or is stale."""

    cell: Cell
    state: State
    reason: str = ""


class Finder(Protocol):
    """Where finished result files are looked for: a store, or several machines' folders read as one."""

    def find(self, cell: Cell, part: Part = ...) -> Entry | None:
        """Return the finished file of one part of a cell, if there is one."""


def standings(suite: Suite, store: Finder, real: Collection[str] = ()) -> list[Standing]:
    """Return where every cell of a suite stands, in running order.

    `real` names the data sets whose files are at hand: a result that a surrogate gave is then stale.
    """
    sources = sources_of(suite)
    return [standing(cell, store, sources, cell.dataset.name in real) for cell in suite.cells]


def sources_of(suite: Suite) -> Sources:
    """Return what hashes the plug-ins of a suite, each once: thousands of cells share few of them."""
    return cache(partial(plugins.source_hash, base=Path(suite.base)))


def standing(cell: Cell, store: Finder, sources: Sources, real: bool) -> Standing:
    """Return where one cell stands; `real` says that the files of its data set are at hand."""
    found = []
    for part in Part:
        try:
            found.append(store.find(cell, part))
        except StoreError as error:
            return Standing(cell, State.PENDING, str(error))
    for entry in found:
        if entry is not None and entry.status != Status.DONE:
            return Standing(cell, State.FAILED, f"{entry.status}: {last_line(entry.reason)}")
    finished = [entry for entry in found if entry is not None]
    if len(finished) < len(found):
        return Standing(cell, State.PENDING)
    reason = _stale_reason(finished, sources, real)
    return Standing(cell, State.STALE, reason) if reason else Standing(cell, State.DONE)


def counts(entry: Entry, sources: Sources, real: bool) -> bool:
    """Say whether a file is done, of the present source and of the data at hand."""
    return entry.status == Status.DONE and not _stale_reason([entry], sources, real)


def _stale_reason(entries: list[Entry], sources: Sources, real: bool) -> str:
    if real and any(entry.header.origin == Origin.SURROGATE for entry in entries):
        return f"measured on a surrogate; the files of {entries[0].header.cell.dataset.name} are at hand now"
    changed = _changed_source(entries, sources)
    return f"the source of {changed} has changed" if changed else ""


def _changed_source(entries: list[Entry], sources: Sources) -> str:
    """Name what has changed since the entries were written: `learner BP`, `dataset digits`, or nothing."""
    for entry in entries:
        cell = entry.header.cell
        for kind, reference in (("learner", cell.learner), ("dataset", cell.dataset)):
            if entry.header.sources.get(kind) != sources(reference.target, f"{kind}s"):
                return f"{kind} {reference.name}"
    return ""
