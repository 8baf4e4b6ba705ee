"""Which block lives on which machine, and when all will be done: pure bookkeeping, the same for a run and for a dry run.

A block is measured on one machine from its first cell to its last, because its comparisons are within a machine. The engine
says which machines there are; a machine that is free takes the next block that it may have.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from fobench.contracts import Cell


@dataclass(frozen=True, order=True)
class Machine:
    """A machine by name; `kind` is the same for machines that form one group of the report."""

    name: str
    kind: str


@dataclass(frozen=True)
class Block:
    """What is left of a block, in running order.

    `home` is the machine on which it was begun, if it was; `kind` the only kind of machine that may take it, if there is one.
    """

    seed: int
    cells: tuple[Cell, ...]
    home: str | None = None
    kind: str | None = None

    def fits(self, machine: Machine) -> bool:
        """Say whether a machine may take this block."""
        return self.home in (None, machine.name) and self.kind in (None, machine.kind)

    def after(self, machine: Machine) -> Block:
        """Return the block without its first cell, which has been measured on a machine."""
        return replace(self, cells=self.cells[1:], home=machine.name)


class Placement:
    """The blocks that no machine has at present, in running order."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self.waiting = [block for block in blocks if block.cells]

    def take(self, machine: Machine) -> Block | None:
        """Hand a block to a machine: the one that was begun there, else the first that it may have."""
        fitting = (number for number, block in enumerate(self.waiting) if block.fits(machine))
        number = min(fitting, key=lambda number: (self.waiting[number].home is None, number), default=None)
        return None if number is None else self.waiting.pop(number)

    def give_back(self, block: Block) -> None:
        """Take back what a lost machine has left of a block."""
        if block.cells:
            self.waiting.append(block)
            self.waiting.sort(key=lambda block: (block.seed, block.kind or ""))


@dataclass(frozen=True)
class Forecast:
    """Seconds from now at which each machine has measured its last cell, its number of cells, and what nobody can take."""

    seconds: dict[str, float]
    cells: dict[str, int]
    stranded: tuple[Block, ...]

    @property
    def finish_s(self) -> float:
        """Seconds until the last cell is measured."""
        return max(self.seconds.values(), default=0.0)


def forecast(blocks: Iterable[Block], machines: list[Machine], seconds: Callable[[Cell], float]) -> Forecast:
    """Play a run through: every machine takes blocks as in earnest, and a cell lasts as long as `seconds` says."""
    placement = Placement(blocks)
    ends = {machine.name: 0.0 for machine in machines}
    cells = dict.fromkeys(ends, 0)
    free = [(0.0, number) for number in range(len(machines))]
    while free:
        now, number = heapq.heappop(free)
        block = placement.take(machines[number])
        if block is not None:
            name = machines[number].name
            ends[name] = now + sum(map(seconds, block.cells))
            cells[name] += len(block.cells)
            heapq.heappush(free, (ends[name], number))
    return Forecast(ends, cells, tuple(placement.waiting))
