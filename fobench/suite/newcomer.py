"""A new learner beside the baselines of a suite: the cells of a run of its own, block by block."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from fobench import plugins
from fobench.contracts import Cell, FobenchError, Json, Newcomer, Reference, Suite
from fobench.networks import expand
from fobench.suite.check import default_label


class NewcomerError(FobenchError):
    """A new learner that cannot be put beside this suite's."""


def beside(suite: Suite, target: str, arguments: Mapping[str, Json], against: Sequence[str]) -> Suite:
    """Return the suite of the newcomer and the learners `against`, for every data set, recipe and seed that these have.

    `against` names labels or plug-ins of the suite; empty means bp. Network and recipe are those of the first of them on the
    data set, unless `arguments` has a network. The suite's name is its own, so that its results are another run's.
    """
    label = default_label(target)
    arms = _arms(suite, against or ["bp"])
    if label in arms:
        raise NewcomerError(
            f"{target} is called {label!r}, as a learner of {suite.name} is that it is put beside; rename its class"
        )
    name = f"{suite.name}-{_dashed(label)}"
    blocks: dict[tuple[int, str], list[Cell]] = {}
    for cell in suite.cells:
        if cell.label in arms:
            blocks.setdefault((cell.seed, cell.dataset.name), []).append(cell)
    cells = [
        cell for block in blocks.values() for cell in _shuffled(name, [_like(block[0], target, arguments), *block])
    ]
    source = f"{suite.source or suite.name} with {target}"
    return replace(suite, name=name, cells=tuple(cells), source=source, newcomer=Newcomer(label, arms, suite.name))


def _arms(suite: Suite, against: Iterable[str]) -> tuple[str, ...]:
    """Return the labels that are meant, in the order given; a label is preferred to a plug-in's name."""
    targets = {cell.label: cell.learner.target for cell in sorted(suite.cells, key=lambda cell: cell.label)}
    chosen: dict[str, None] = {}
    for name in against:
        found = [name] if name in targets else [label for label, target in targets.items() if target == name]
        if not found:
            known = list(dict.fromkeys([*targets, *targets.values()]))
            raise NewcomerError(
                f"{suite.name} has no learner {name!r} to stand against; {plugins.nearest(name, known)}"
            )
        chosen |= dict.fromkeys(found)
    return tuple(chosen)


def _like(cell: Cell, target: str, arguments: Mapping[str, Json]) -> Cell:
    """Return the newcomer's cell in place of a baseline's: same data, seed, recipe, plan and network."""
    network = {name: value for name, value in cell.learner.arguments.items() if name == "network"}
    given = {**network, **arguments}
    if "network" in given:
        given["network"] = expand(given["network"])
    return replace(cell, learner=Reference(target, given, default_label(target)))


def _shuffled(name: str, block: list[Cell]) -> list[Cell]:
    """Return a block in seeded random order."""
    random.Random(f"{name}/{block[0].seed}/{block[0].dataset.name}").shuffle(block)
    return block


def _dashed(label: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in label)
