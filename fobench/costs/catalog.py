"""From a rule's name and a learner's fields to its program."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from fobench import plugins
from fobench.contracts import Task
from fobench.costs.program import CostError, Program
from fobench.costs.setting import Setting

SHARED = [field.name for field in dataclasses.fields(Setting)]


def program_of(rule: str, options: Any, task: Task, **more: Any) -> Program:
    """Return the program of `rule` for `task`; `options` is a learner, or a mapping with at least `network`.

    Of a learner the fields that bear on costs are taken; in a mapping, and in `more` (a greedy rule's `stage`), an option that
    the rule does not have is an error.
    """
    function: Any = plugins.load(rule, "costs")
    parameters = inspect.signature(function).parameters
    own = [name for name in parameters if name not in ("task", "setting")]
    if not isinstance(options, Mapping):
        fields = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
        options = {name: value for name, value in fields.items() if name in (*own, *SHARED)}
    options = {**options, **more}
    for name in options:
        if name not in (*own, *SHARED):
            raise CostError(f"{rule} has no option {name!r}; {plugins.nearest(name, [*own, *SHARED])}")
    if "network" not in options:
        raise CostError(f"{rule} needs a network: a name, a list of widths or a list of layer records")
    shared = {name: value for name, value in options.items() if name in SHARED}
    setting = dataclasses.replace(parameters["setting"].default, **shared)
    program: Program = function(**{name: options[name] for name in options if name in own}, task=task, setting=setting)
    return program
