"""How long a cell will last: as long as the finished ones of the same learner and data set did."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from fobench.contracts import Cell, Part, Status
from fobench.store import Entry


def seconds_of_cells(entries: Iterable[Entry]) -> Callable[[Cell], float] | None:
    """Return what says how long a cell lasts (s): the mean of its label and data set, else of all; None if nothing is known.

    A finished cell lasted from its worker's start to the start of its last window.
    """
    known: dict[tuple[str, str], list[float]] = defaultdict(list)
    for entry in entries:
        if entry.header.part == Part.MEASURE and entry.status == Status.DONE and entry.lines:
            cell = entry.header.cell
            (last,) = replace(entry, lines=entry.lines[-1:]).rows()
            known[cell.label, cell.dataset.name].append(last["started_s"])
    if not known:
        return None
    means = {key: statistics.fmean(values) for key, values in known.items()}
    overall = statistics.fmean(means.values())
    return lambda cell: means.get((cell.label, cell.dataset.name), overall)
