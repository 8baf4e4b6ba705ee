"""Folders that were carried over by hand, from machines without a network: verified and put into one results folder.

Nothing is overwritten. What is there already, to the byte, is passed over; what contradicts it is refused by name, and then
nothing at all is taken.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fobench.cluster.delivery import RESULTS, place
from fobench.contracts import IDENTITY, FobenchError, Json, Part, kind_of
from fobench.harness.job import ENDING
from fobench.store import NEWCOMER, Entry, StoreError, read

MACHINE = "machine.json"


@dataclass
class Collection:
    """What some folders hold: results and notes to take, by their place in the results folder; how many are there already."""

    taken: dict[Path, Entry] = field(default_factory=dict)
    notes: dict[Path, Path] = field(default_factory=dict)
    known: int = 0
    conflicts: list[str] = field(default_factory=list)


def collect(folders: Iterable[Path], results: Path) -> Collection:
    """Take in the finished files of some folders; raises FobenchError with every conflict, and then takes nothing."""
    found = Collection()
    present = {path: read(path) for path in _files(results)}
    for folder in folders:
        sources = list(_files(folder))
        if not sources:
            found.conflicts.append(
                f"{folder} holds no result files; expected results/, results/SUITE or results/SUITE/MACHINE"
            )
        for source in sources:
            _consider(found, source, results, present)
    _refuse_twins(found, {**present, **found.taken}, results)
    if found.conflicts:
        listed = "\n".join(f"  {text}" for text in dict.fromkeys(found.conflicts))
        raise FobenchError(f"nothing was collected:\n{listed}")
    _take(found)
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob(f"*{RESULTS}")) if path.is_file())


def _consider(found: Collection, source: Path, results: Path, present: dict[Path, Entry]) -> None:
    """Note what is to be done with one file."""
    try:
        entry = read(source)
        entry.rows()
    except StoreError as error:
        found.conflicts.append(str(error))
        return
    header = entry.header
    for what, name in (("suite", header.suite), ("machine", header.machine)):
        if "/" in name or name in ("", ".", ".."):
            found.conflicts.append(f"{source} is of {what} {name!r}, which names no folder; leave it out")
            return
    stem = header.cell.trace_stem if header.part == Part.TRACE else header.cell.stem
    target = results / header.suite / header.machine / (stem + RESULTS)
    other = found.taken[target].path if target in found.taken else target if target in present else None
    if other is None:
        found.taken[target] = entry
        _consider_machine(found, source.parent / MACHINE, target.parent / MACHINE)
        _consider_newcomer(found, source.parent.parent / NEWCOMER, target.parent.parent / NEWCOMER)
    elif other.read_bytes() == source.read_bytes():
        found.known += 1
    else:
        found.conflicts.append(
            f"{_named(entry)} is in {source} and, with other results, in {other}; delete one of the two"
        )


def _consider_machine(found: Collection, source: Path, target: Path) -> None:
    """Note that a machine's facts come along; another machine of the same name is a conflict."""
    before = _noted(found, source, target)
    if before is None:
        return
    old, new = (_facts(path) for path in (before, source))
    changed = [fact for fact in IDENTITY if old.get(fact) != new.get(fact)]
    if changed:
        found.conflicts.append(
            f"{source} and {before} are two machines of one name: {changed[0]} {new.get(changed[0])!r} and "
            f"{old.get(changed[0])!r}; rename the folder and the machine in its files, or measure again with --machine"
        )


def _consider_newcomer(found: Collection, source: Path, target: Path) -> None:
    """Note that the word of a suite's new learner comes along; another new learner is a conflict."""
    before = _noted(found, source, target)
    if before is not None and before.read_bytes() != source.read_bytes():
        found.conflicts.append(f"{source} and {before} name different new learners; use another folder with --results")


def _noted(found: Collection, source: Path, target: Path) -> Path | None:
    """Note a file that comes along, if there is one; return what has its place already, if anything has."""
    if not source.exists():
        return None
    if not target.exists() and target not in found.notes:
        found.notes[target] = source
        return None
    return found.notes.get(target, target)


def _refuse_twins(found: Collection, entries: dict[Path, Entry], results: Path) -> None:
    """Note measured cells that two machines of one kind have: they would count twice."""
    holders: dict[tuple[str, str, str], Path] = {}
    kinds: dict[Path, str] = {}
    for target, entry in sorted(entries.items()):
        if entry.header.part == Part.TRACE:
            continue
        if target.parent not in kinds:
            kinds[target.parent] = _kind(found, target.parent)
        other = holders.setdefault((entry.header.suite, entry.header.id, kinds[target.parent]), target)
        if other is not target and not found.taken.keys().isdisjoint((other, target)):
            found.conflicts.append(
                f"{_named(entry)} was measured on {other.parent.name} and on {target.parent.name}, machines of one type; "
                "it counts once: leave one of them out"
            )


def _kind(found: Collection, folder: Path) -> str:
    path = found.notes.get(folder / MACHINE, folder / MACHINE)
    return kind_of(_facts(path)) if path.exists() else folder.name


def _facts(path: Path) -> dict[str, Json]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError("no JSON object")
    except (OSError, ValueError) as error:
        raise FobenchError(f"{path} does not describe a machine ({error}); copy it again") from error
    return facts


def _named(entry: Entry) -> str:
    cell = entry.header.cell
    seed = "trace" if entry.header.part == Part.TRACE else f"seed {cell.seed}"
    return f"{cell.label} on {cell.dataset.name}, {seed} ({entry.header.id})"


def _take(found: Collection) -> None:
    for target, entry in found.taken.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        place(entry.path.read_bytes().decode(), target, (entry.header.part, entry.header.cell))
        for ending in (ENDING, ".log"):
            beside = entry.path.with_name(entry.path.name.removesuffix(RESULTS) + ending)
            if beside.exists():
                shutil.copyfile(beside, target.with_name(target.name.removesuffix(RESULTS) + ending))
    for target, source in found.notes.items():
        shutil.copyfile(source, target)
