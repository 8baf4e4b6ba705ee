"""What sections read: the rows and headers of one suite on one machine, each label and data set in one variant only."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

import pandas as pd

from fobench.contracts import FobenchError, Header, Newcomer, Part, Status
from fobench.report import derive
from fobench.report.provenance import ORIGIN_MARKS
from fobench.store import Entry, ResultStore, kinds_of_machines, last_line, newcomer_of

OTHER_RUN = " (other run)"
"""Ends the label of a learner that was not measured in the same blocks as the newcomer."""


class ReportError(FobenchError):
    """Results that no report can be made of, or that must not be put into one."""


@dataclass(frozen=True)
class ReportInput:
    """Rows and files of one suite on one machine, or on machines of one kind that measured it block by block.

    `frame` has the columns of `ResultStore.frame()` and `device`; its data sets carry the mark of their origin, as in
    `names` (by `Cell.trace_id`). `left_out` counts files of older settings, `problems` describes broken ones. Beside a
    newcomer stand the finished cells of the suite that it was put beside, under labels that end in `OTHER_RUN`.
    """

    suite: str
    machines: tuple[str, ...]
    folder: Path
    frame: pd.DataFrame
    entries: tuple[Entry, ...]
    names: Mapping[str, str]
    problems: tuple[str, ...] = ()
    left_out: int = 0
    newcomer: Newcomer | None = None

    @property
    def machine(self) -> str:
        """The machine's name, or what machines of one kind are called together."""
        if len(self.machines) == 1:
            return self.machines[0]
        return f"{', '.join(self.machines)} ({len(self.machines)} of one type)"

    @cached_property
    def derived(self) -> pd.DataFrame:
        """The derived values of all cells, see `derive.derive`."""
        return derive.derive(self.frame)

    @cached_property
    def headers(self) -> list[Header]:
        """Headers of the files that are done."""
        return [entry.header for entry in self.entries if entry.status == Status.DONE]

    @cached_property
    def failed(self) -> list[Entry]:
        """Files of cells that did not end well."""
        return [entry for entry in self.entries if entry.status != Status.DONE]

    @cached_property
    def labels(self) -> list[str]:
        """Labels of all learners, failed ones included."""
        return sorted({entry.header.cell.label for entry in self.entries})

    @cached_property
    def datasets(self) -> list[str]:
        """Names of all data sets."""
        return sorted({self.dataset(entry.header) for entry in self.entries})

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds of the blocks in which at least one cell is done."""
        return sorted({header.cell.seed for header in self.headers if header.part == Part.MEASURE})

    @cached_property
    def networks(self) -> dict[tuple[str, str], str]:
        """Short name of the network by label and data set."""
        return {(h.cell.label, self.dataset(h)): h.network for h in self.headers if h.network}

    @cached_property
    def parameters(self) -> dict[tuple[str, str], int]:
        """Number of trained parameters by label and data set."""
        return {(h.cell.label, self.dataset(h)): h.parameters for h in self.headers if h.parameters is not None}

    @cached_property
    def twins(self) -> dict[str, list[tuple[str, str]]]:
        """The A/A arms by data set: pairs of labels whose learner, arguments and recipe are the same, within this run."""
        here = [h for h in self.headers if h.part == Part.MEASURE and not self.is_elsewhere(h.cell.label)]
        arms: dict[tuple[str, str], set[str]] = {}
        for (dataset, label), cell in {(self.dataset(h), h.cell.label): h.cell for h in here}.items():
            plain = cell.as_json()
            same = [plain["learner"]["target"], plain["learner"]["arguments"], plain["recipe"]]
            arms.setdefault((dataset, json.dumps(same, sort_keys=True)), set()).add(label)
        found: dict[str, list[tuple[str, str]]] = {}
        for (dataset, _), labels in arms.items():
            found.setdefault(dataset, []).extend(combinations(sorted(labels), 2))
        return found

    @cached_property
    def threads(self) -> dict[tuple[str, str], int]:
        """Number of threads by label and data set."""
        return {(h.cell.label, self.dataset(h)): h.cell.recipe.threads for h in self.headers}

    def is_elsewhere(self, label: str) -> bool:
        """Say whether a label's cells are of another run."""
        return self.newcomer is not None and label.endswith(OTHER_RUN)

    def dataset(self, header: Header) -> str:
        """Return a data set's name with the mark of its origin."""
        return self.names[header.cell.trace_id]


def read(folder: Path, machine: str | None = None) -> ReportInput:
    """Read a results folder; raises ReportError if it is empty or holds several suites or types of machine to choose from."""
    found = read_kinds(folder, machine)
    if len(found) > 1:
        names = ", ".join(report.machine for report in found)
        raise ReportError(
            f"found results of {len(found)} machines: {names}; values of different machines are never averaged: "
            "use --machine NAME"
        )
    return found[0]


def read_kinds(folder: Path, machine: str | None = None) -> list[ReportInput]:
    """Read a results folder, machines of one kind together; raises ReportError if it is empty or holds several suites."""
    store = ResultStore(folder)
    entries = store.entries()
    if not entries:
        broken = f" ({len(store.problems)} broken files, the first: {store.problems[0]})" if store.problems else ""
        raise ReportError(f"no finished results in {folder}{broken}; run the suite first: fobench run SUITE.yaml")
    suite = _only("suites", {entry.header.suite for entry in entries}, "give the folder of one suite")
    groups = _groups(entries, folder, machine)
    newcomer = newcomer_of(folder) or newcomer_of(folder.parent)
    names = [name for group in groups for name in group]
    store.join(_elsewhere(newcomer, folder, suite, names) if newcomer else ())
    frame = store.frame()
    return [_group(store, frame, folder, group, newcomer) for group in groups]


def _group(
    store: ResultStore, frame: pd.DataFrame, folder: Path, machines: tuple[str, ...], newcomer: Newcomer | None
) -> ReportInput:
    """Take the newest files of machines of one kind."""
    here = [entry for entry in store.entries() if entry.header.machine in machines]
    kept = tuple(_newest(here))
    if all(entry.status != Status.DONE for entry in kept):
        raise ReportError(
            f"none of the {len(kept)} result files in {folder} is done, the first {ending(kept[0])!r}; "
            "mend the cause and run the suite with --retry-failed"
        )
    _refuse_twins(kept)
    names = _names(kept)
    rows = _prepared(frame, kept, names)
    left_out = len(here) - len(kept) - _traced_again(here, kept)
    return ReportInput(
        here[0].header.suite, machines, folder, rows, kept, names, tuple(store.problems), left_out, newcomer
    )


def _traced_again(entries: Iterable[Entry], kept: Collection[Entry]) -> int:
    """Count the traces that other machines have of what is traced in the report already: nothing of them is missed there."""
    traced = {entry.header.id for entry in kept if entry.header.part == Part.TRACE}
    return sum(entry.header.id in traced for entry in entries) - len(traced)


def _groups(entries: list[Entry], folder: Path, asked: str | None) -> list[tuple[str, ...]]:
    """Put machines of one kind together; one that was asked for stands alone."""
    names = sorted({entry.header.machine for entry in entries})
    if asked and asked not in names:
        raise ReportError(f"no results of machine {asked!r} in {folder}; there are those of {', '.join(names)}")
    kinds = kinds_of_machines(folder)
    groups: dict[str, list[str]] = {}
    for name in [asked] if asked else names:
        groups.setdefault(kinds.get(name, name), []).append(name)
    return [tuple(group) for group in groups.values()]


def _refuse_twins(entries: Iterable[Entry]) -> None:
    """Refuse a cell that two machines of one kind have measured: it would count twice."""
    holders: dict[str, Entry] = {}
    for entry in entries:
        other = holders.setdefault(entry.header.id, entry)
        if other is not entry:
            cell = entry.header.cell
            raise ReportError(
                f"{cell.label} on {cell.dataset.name}, seed {cell.seed}, was measured on {other.header.machine} and on "
                f"{entry.header.machine}, machines of one type; it counts once: use --machine NAME"
            )


def _elsewhere(newcomer: Newcomer, folder: Path, suite: str, machines: Collection[str]) -> Iterator[Entry]:
    """Return the finished cells, on these machines, of the suite that a newcomer was put beside, as of another run."""
    root = folder.parent if folder.name == suite else folder.parent.parent
    for entry in ResultStore(root, newcomer.suite).entries():
        cell = entry.header.cell
        learner = replace(cell.learner, label=cell.label + OTHER_RUN)
        header = replace(entry.header, cell=replace(cell, learner=learner), suite=suite)
        if entry.status == Status.DONE and header.machine in machines:
            yield replace(entry, header=header)


def ending(entry: Entry) -> str:
    """Return how a cell ended: its status and the last line of its reason."""
    reason = last_line(entry.reason)
    return f"{entry.status}: {reason}" if reason else str(entry.status)


def _only(what: str, names: set[str], remedy: str) -> str:
    if len(names) > 1:
        raise ReportError(f"found results of {len(names)} {what}: {', '.join(sorted(names))}; {remedy}")
    return next(iter(names))


def _newest(entries: Iterable[Entry]) -> list[Entry]:
    """Keep the newest settings and origin of each label and data set: older ones are never averaged with them."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.header.cell.label, entry.header.cell.dataset.name), []).append(entry)
    return [entry for group in groups.values() for entry in _newest_of(group)]


def _newest_of(group: list[Entry]) -> list[Entry]:
    by_age = sorted(group, key=lambda entry: entry.header.started_utc)
    variant = by_age[-1].header.cell.trace_id
    same = [entry for entry in by_age if entry.header.cell.trace_id == variant]
    origins = [entry.header.origin for entry in same if entry.header.part == Part.MEASURE and entry.header.origin]
    traces = sorted((e for e in same if e.header.part == Part.TRACE), key=lambda entry: entry.status == Status.DONE)
    measured = [entry for entry in same if entry.header.part == Part.MEASURE]
    return [*traces[-1:], *(entry for entry in measured if entry.header.origin in (None, *origins[-1:]))]


def _names(entries: Iterable[Entry]) -> dict[str, str]:
    """Name each variant's data set with the mark of its origin, as the measuring process found it."""
    names: dict[str, str] = {}
    for header in sorted((entry.header for entry in entries), key=lambda header: header.part != Part.TRACE):
        mark = ORIGIN_MARKS[header.origin] if header.origin else ""
        if header.origin or header.cell.trace_id not in names:
            names[header.cell.trace_id] = header.cell.dataset.name + mark
    return names


def _prepared(frame: pd.DataFrame, entries: Iterable[Entry], names: Mapping[str, str]) -> pd.DataFrame:
    """Keep the rows of the chosen files, name data sets with their mark and add the device."""
    headers = {entry.header.id: entry.header for entry in entries if entry.status == Status.DONE}
    holders = frame.cell.map({cell: header.machine for cell, header in headers.items()})
    frame = frame[holders.astype(object) == frame.machine.astype(object)]
    datasets = {cell: names[header.cell.trace_id] for cell, header in headers.items()}
    devices = {cell: header.cell.recipe.device for cell, header in headers.items()}
    return frame.assign(
        dataset=frame.cell.map(datasets).astype("category"), device=frame.cell.map(devices).astype("category")
    )
