"""What the results folder holds of a suite that several machines have measured: homes of blocks, standings, traces."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fobench.cluster.placement import Block, Machine
from fobench.contracts import Cell, Part
from fobench.harness.runner import Order, unstable
from fobench.harness.states import Sources, Standing, counts, sources_of, standing
from fobench.store import Entry, ResultStore, StoreError, kinds_of_machines, read

SET_ASIDE = ".abandoned"
"""Ends the names of result files that no longer count: their block was begun again elsewhere."""


@dataclass
class Shelves:
    """The machine folders of a suite; `machines` adds those that are connected and may have no folder yet."""

    order: Order
    machines: tuple[Machine, ...] = ()
    _shelves: dict[str | None, Shelf] = field(default_factory=dict, init=False, repr=False)

    @property
    def folder(self) -> Path:
        """The suite's folder."""
        return self.order.results / self.order.suite.name

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Kind of every machine that is connected or has a folder here; one without facts is a kind of its own."""
        bare = {name: name for names in self.index.values() for name in names}
        return bare | kinds_of_machines(self.folder) | {machine.name: machine.kind for machine in self.machines}

    @cached_property
    def index(self) -> dict[str, list[str]]:
        """Machines that have a file, by file name."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self.folder.glob("*/*.jsonl")):
            found[path.name].append(path.parent.name)
        return found

    @cached_property
    def sources(self) -> Sources:
        """Hashes of the suite's plug-ins as they are now."""
        return sources_of(self.order.suite)

    def blocks(self, again: Collection[str] = ()) -> list[Block]:
        """Return what the order wants of every block, once or, with `machines: each`, once for every kind.

        `again` are ids of cells that are wanted though they are done.
        """
        wanted = []
        for seed, cells in _by_seed(self.order.suite.cells).items():
            for kind in self._kinds_of_blocks():
                shelf = self.shelf(kind)
                wanting = [item.cell for item in shelf.standings(cells) if self._wants(item, again)]
                wanted.append(Block(seed, tuple(wanting), shelf.home(cells), kind))
        return wanted

    def _wants(self, item: Standing, again: Collection[str]) -> bool:
        return item.state in self.order.states or item.cell.id in again

    def standings(self) -> list[Standing]:
        """Return where every cell stands, for every kind of machine that is to measure it."""
        shelves = [self.shelf(kind) for kind in self._kinds_of_blocks()]
        return [item for shelf in shelves for item in shelf.standings(self.order.suite.cells)]

    def entries(self) -> list[Entry]:
        """Return the finished files of all machines; broken ones are left out."""
        return ResultStore(self.order.results, self.order.suite.name).entries()

    def unstable(self) -> list[tuple[Cell, str]]:
        """Return the cells that are done and deserve doubt, each with the reason."""
        shelves = [self.shelf(kind) for kind in self._kinds_of_blocks()]
        return [item for shelf in shelves for item in unstable(self.order.suite, shelf)]

    def shelf(self, kind: str | None) -> Shelf:
        """Return the folders of one kind of machine, or of all."""
        if kind not in self._shelves:
            names = tuple(name for name in self.kinds if kind in (None, self.kinds[name]))
            self._shelves[kind] = Shelf(self.folder, self.index, names, self.order, self.sources)
        return self._shelves[kind]

    def _kinds_of_blocks(self) -> list[str | None]:
        """Return the kinds that blocks are bound to: none, one, or every connected one, as the suite's `machines` says."""
        asked, connected = self.order.suite.machines, Counter(machine.kind for machine in self.machines)
        if asked == "each" and connected:
            return [*sorted(connected)]
        if asked == "same" and connected:
            return [self._chosen(connected)]
        return [None]

    def _chosen(self, connected: Counter[str]) -> str:
        """Return the kind on which most of the suite is measured already, else the one with most machines."""
        measured = (self.index.get(f"{cell.stem}.jsonl", []) for cell in self.order.suite.cells)
        begun = Counter(self.kinds[name] for names in measured for name in names)
        return max(sorted(connected), key=lambda kind: (begun[kind], connected[kind]))

    def set_aside(self, block: Block) -> int:
        """Rename the measurements of a block that was begun on a machine that is gone; return how many files."""
        seeds = _by_seed(self.order.suite.cells)
        names = {f"{cell.stem}.jsonl" for cell in seeds[block.seed]}
        paths = [path for path in (self.folder / str(block.home)).glob("*.jsonl") if path.name in names]
        for path in paths:
            path.rename(path.with_name(path.name + SET_ASIDE))
        self.__dict__.pop("index", None)
        self._shelves.clear()
        return len(paths)


@dataclass(frozen=True)
class Shelf:
    """The folders of some machines, read as one; `traces` are those that were looked for, which many cells share."""

    folder: Path
    index: Mapping[str, list[str]]
    machines: tuple[str, ...]
    order: Order
    sources: Sources
    traces: dict[str, Entry | None] = field(default_factory=dict)

    def find(self, cell: Cell, part: Part = Part.MEASURE) -> Entry | None:
        """Return the finished file of a part of a cell, if one of the machines has it; of several traces one that counts."""
        if part == Part.TRACE and (trace := self.traced(cell)):
            return trace
        paths = self._paths(cell.trace_stem if part == Part.TRACE else cell.stem)
        return read(paths[0]) if paths else None

    def _paths(self, stem: str) -> list[Path]:
        name = f"{stem}.jsonl"
        return [self.folder / machine / name for machine in self.index.get(name, ()) if machine in self.machines]

    def standings(self, cells: Iterable[Cell]) -> list[Standing]:
        """Return where cells stand on these machines."""
        return [standing(cell, self, self.sources, cell.dataset.name in self.order.real) for cell in cells]

    def home(self, cells: Iterable[Cell]) -> str | None:
        """Return the machine that has measured most of a block's cells, if one has."""
        holders = Counter(
            machine
            for cell in cells
            for machine in self.index.get(f"{cell.stem}.jsonl", ())
            if machine in self.machines
        )
        return max(sorted(holders), key=lambda machine: holders[machine], default=None)

    def traced(self, cell: Cell) -> Entry | None:
        """Return a trace of the cell that is done, of the present source and of the data at hand, if a machine has one."""
        if cell.trace_id not in self.traces:
            self.traces[cell.trace_id] = self._traced(cell)
        return self.traces[cell.trace_id]

    def _traced(self, cell: Cell) -> Entry | None:
        for path in self._paths(cell.trace_stem):
            with suppress(StoreError):
                entry = read(path)
                if counts(entry, self.sources, cell.dataset.name in self.order.real):
                    return entry
        return None


def _by_seed(cells: Iterable[Cell]) -> dict[int, list[Cell]]:
    found: dict[int, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.seed, []).append(cell)
    return found
