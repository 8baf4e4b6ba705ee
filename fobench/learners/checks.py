"""What a rule demands of its task, network and hyperparameters, checked before any tensor exists."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from fobench import networks
from fobench.contracts import FobenchError, Task

Value = TypeVar("Value")


class LearnerError(FobenchError):
    """A hyperparameter, network or task that a learning rule cannot work with."""


def choice(default: Any, valid: Iterable[Any]) -> Any:
    """Return a dataclass field whose value must be one of `valid`."""
    return dataclasses.field(default=default, metadata={"check": lambda name, value: chosen(name, value, valid)})


def between(default: float, low: float, high: float) -> Any:
    """Return a dataclass field whose value must be a number in [low, high]."""

    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise LearnerError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}")

    return dataclasses.field(default=default, metadata={"check": check})


def epochs(*default: int) -> Any:
    """Return a dataclass field for a list of epochs, counted from 0."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, list | tuple) or any(type(epoch) is not int or epoch < 0 for epoch in value):
            raise LearnerError(f"{name} is {value!r}; expected a list of epochs from 0, such as {list(default)}")

    return dataclasses.field(default_factory=lambda: list(default), metadata={"check": check})


def chosen(what: str, value: Any, valid: Iterable[Any]) -> None:
    """Raise LearnerError with the nearest valid name unless `value` is one of `valid`."""
    names = list(valid)
    if any(value == name and isinstance(value, bool) == isinstance(name, bool) for name in names):
        return
    near = difflib.get_close_matches(str(value), [str(name) for name in names], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(map(str, names))}"
    raise LearnerError(f"unknown {what} {value!r}; {hint}")


def lookup(what: str, name: Any, table: Mapping[str, Value]) -> Value:
    """Return the entry of `table`; an unknown name raises LearnerError with the nearest valid one."""
    chosen(what, name, table)
    return table[name]


def hidden(learner: Any, task: Task) -> None:
    """Raise for a rule without output layer whose network is empty: a demand for `require`."""
    if not any(layer.has_weights for layer in networks.layers(learner.network, task)):
        raise LearnerError(
            f"{type(learner).__name__} trains hidden layers only, and its network has none; give it widths"
        )


def classification(learner: Any, task: Task) -> None:
    """Raise for a task that a rule with class labels cannot learn: a demand for `require`."""
    if task.kind != "classification":
        raise LearnerError(
            f"{type(learner).__name__} learns from class labels, a {task.kind} task has none; take another data set"
        )


def require(learner: Any, task: Task, demand: Callable[[Task], None] | None = None) -> None:
    """Raise for the first field, layer or property of the task that a rule cannot work with."""
    for item in dataclasses.fields(learner):
        if "check" in item.metadata:
            item.metadata["check"](item.name, getattr(learner, item.name))
    if task.kind == "classification" and task.classes < 2:
        raise LearnerError(
            f"{type(learner).__name__} learns two or more classes, found {task.classes}; take another data set"
        )
    networks.layers(learner.network, task)
    if demand is not None:
        demand(task)


def refusal(learner: Any, task: Task, demand: Callable[[Task], None] | None = None) -> str | None:
    """Return what `require` would raise, as a sentence, or None."""
    try:
        require(learner, task, demand)
    except FobenchError as error:
        return str(error)
    return None
