"""Synthetic results of the suites that repeat published tables: their real cells, with values that are made up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from synthetic_results import Synthetic

from fobench.contracts import Cell, Header, Part, Suite, Task
from fobench.networks import describe
from fobench.suite import load_suite

SUITES = Path(__file__).parents[2] / "suites" / "paper"
TASKS = {
    "mnist": Task("classification", (1, 28, 28), 10),
    "cifar10": Task("classification", (3, 32, 32), 10),
    "cifar100": Task("classification", (3, 32, 32), 100),
    "chb-mit": Task("classification", (1024,), 2),
    "mit-bih": Task("classification", (169,), 5),
    "mini-imagenet": Task("classification", (3, 84, 84), 100),
}
SIZES = {"train": 60_000, "test": 10_000}


def suite_of(name: str) -> Suite:
    """Return the suite that a published table names."""
    return load_suite(SUITES / f"{name.removeprefix('paper-')}.yaml")


def header_of(cell: Cell, name: str = "paper") -> Header:
    """Return the header that a run of this cell on real data would have."""
    network = describe(cell.learner.arguments["network"], TASKS[cell.dataset.target])
    return Header(Part.MEASURE, cell, name, "alpha", network=network, samples=SIZES)


@dataclass(frozen=True)
class Paper(Synthetic):
    """Results of the cells of one paper suite: `errors` by label, a prediction's MACs by label and data set."""

    suite: str = "paper-lightff"
    errors: dict[str, float] = field(default_factory=dict)
    predicted: dict[tuple[str, str], int] = field(default_factory=dict)

    @cached_property
    def cells(self) -> dict[tuple[str, str], Cell]:
        return {(cell.label, cell.dataset.name): cell for cell in suite_of(self.suite).cells}

    def cell(self, label: str, dataset: str, seed: int) -> Cell:
        return replace(self.cells[label, dataset], seed=seed)

    def header(self, part: Part, cell: Cell) -> Header:
        return replace(super().header(part, cell), network=header_of(cell).network, samples=SIZES)

    def error(self, label: str, seed: int) -> float:
        return self.errors[label] + 1e-4 * seed

    def macs(self, label: str, dataset: str, stage: int) -> int:
        return 4 * self.predicted.get((label, dataset), 1000)
