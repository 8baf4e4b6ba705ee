"""From a valid suite file to its cells, in running order."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fobench.contracts import Cell, Json, Plan, Recipe, Reference, Suite
from fobench.networks import expand
from fobench.suite.check import check, default_label
from fobench.suite.document import SuiteError, read
from fobench.suite.schema import Entry, LearnerEntry, SuiteModel, validate


def load_suite(path: Path) -> Suite:
    """Read a suite file and expand it into cells; raises SuiteError with all its problems at once."""
    document = read(path)
    model = validate(document)
    check(document, path.parent)
    if model is None or document.problems:
        raise SuiteError(path, document.problems)
    return Suite(
        name=model.suite,
        cells=tuple(_cells(model)),
        base=str(path.parent),
        description=model.description,
        source=str(path),
        machines=model.machines,
    )


def _cells(model: SuiteModel) -> list[Cell]:
    """Expand block after block; within each, data set after data set, learners in seeded random order."""
    plan = _plan(model.plan)
    datasets = [Reference(entry.target, _arguments(entry), _label(entry)) for entry in model.datasets]
    arms = {
        dataset.label: [
            _arm(learner, dataset.label, model.recipe)
            for learner in model.learners
            if learner.only is None or dataset.label in learner.only
        ]
        for dataset in datasets
    }
    cells: list[Cell] = []
    for seed in range(model.seed, model.seed + model.blocks):
        for dataset in datasets:
            order = list(arms[dataset.label])
            random.Random(f"{model.suite}/{seed}/{dataset.label}").shuffle(order)
            cells += [Cell(learner, dataset, recipe, plan, seed) for learner, recipe in order]
    return cells


def _arm(entry: LearnerEntry, dataset: str, recipe: BaseModel) -> tuple[Reference, Recipe]:
    """Return a learner and its recipe on one data set: the suite's, overridden by the learner's, then by per_dataset."""
    override = entry.per_dataset.get(dataset)
    arguments = {**_arguments(entry), **(override.model_extra or {} if override else {})}
    if "network" in arguments:
        arguments["network"] = expand(arguments["network"])
    values = recipe.model_dump()
    for layer in (entry.recipe, override.recipe if override else None):
        values |= layer.model_dump(exclude_unset=True) if layer else {}
    return Reference(entry.target, arguments, _label(entry)), Recipe(**values)


def _plan(model: BaseModel) -> Plan:
    given: dict[str, Any] = {name: getattr(model, name) for name in type(model).model_fields}
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    values["meters"] = tuple(Reference(entry.target, _arguments(entry), _label(entry)) for entry in given["meters"])
    return Plan(**values)


def _arguments(entry: Entry) -> dict[str, Json]:
    return dict(entry.model_extra or {})


def _label(entry: Entry) -> str:
    return entry.label or default_label(entry.target)
