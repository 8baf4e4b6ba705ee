"""The closed lists: phases, provenances, origins, roles, quantities with their units; and the one kind of error."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

SCHEMA_VERSION = 1
"""Version of the cell specification and of the result files; part of every cell's id."""

Json = Any
"""A value that JSON can hold: None, bool, int, float, str, list or dict with str keys."""


ENGINE_VARIABLE = "FOBENCH_ENGINE"
"""Environment variable with the process ids of a cluster's engine on this host, for the meter that tells its CPU share."""


class Phase(StrEnum):
    """What a window was open for; a closed list."""

    IDLE = "idle"
    OVERHEAD = "overhead"
    SETUP = "setup"
    TRAIN = "train"
    CALIBRATE = "calibrate"
    INFER = "infer"


class Provenance(StrEnum):
    """How a value came to be: read off a sensor, a measurement times an assumption, or exact from shapes."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    ANALYTICAL = "analytical"


class Origin(StrEnum):
    """Of data: every file of the published list, genuine files but not all, or a seeded generator."""

    REAL = "real"
    EXTRACT = "extract"
    SURROGATE = "surrogate"


class Role(StrEnum):
    """What a product of a learning step is for; a closed list."""

    FORWARD = "forward"
    SECOND_PASS = "second_pass"
    INPUT_GRADIENT = "input_gradient"
    WEIGHT_UPDATE = "weight_update"
    PROJECTION = "projection"
    HEAD = "head"


UNITS: Mapping[str, str] = {
    "energy": "J",
    "duration": "s",
    "power": "W",
    "memory": "B",
    "memory_peak": "B",
    "memory_live": "B",
    "macs": "MAC",
    "elementwise": "op",
    "uncovered": "call",
    "error": "1",
    "auc": "1",
    "depth": "layer",
    "foreign_cpu": "1",
    "engine_cpu": "1",
    "fault": "1",
    "temperature": "degC",
    "budget": "sample",
    "angle": "deg",
    "weight": "1",
    "goodness": "1",
}
"""Every quantity, bound to its one unit.

`memory` is a state (channel `persistent`), `memory_peak` a maximum over a step, `memory_live` one point of a time line;
`uncovered` counts calls of an operation that a counter has no formula for; `foreign_cpu` is the share of the host's CPU
time that was used outside the worker's process tree, `engine_cpu` what a cluster's engine used of that; `fault` is 1
for a meter that failed in a window, with the reason in `invalid`, so that no sum over windows can miss it in silence;
`budget` is how many samples a stage of the whole training has, where only some of them were measured; `angle` lies
between a feedback matrix and the weights that it stands for; `weight` is a statistic of one layer's weights and
`goodness` a quartile over samples or a threshold, as the channel says.
"""


class FobenchError(Exception):
    """A failure that the user can mend: what was found, what was expected, what to do."""


class Status(StrEnum):
    """How a cell ended; only `done` counts as done."""

    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"
    TIMEOUT = "timeout"


class Part(StrEnum):
    """Which of a cell's two processes wrote a file."""

    TRACE = "trace"
    MEASURE = "measure"


FIXED_SYMBOLS = frozenset("FBSr")
"""First letters of the `state()` symbols that no learning rule trains: feedback, masks, running means."""


def is_trained(symbol: str) -> bool:
    """Say whether a `state()` symbol names a trained parameter: `W1`, `b2`, `V1` are, `F`, `B2`, `S1`, `r1` are not."""
    return symbol[:1] not in FIXED_SYMBOLS


Callee = TypeVar("Callee", bound=Callable[..., Any])

_roles: dict[Any, Role] = {}


def role(name: Role) -> Callable[[Callee], Callee]:
    """Mark a function: products made inside it (and in what it calls) are for `name`; the outermost mark counts.

    The mark costs nothing at run time. It lets the MAC ledger read roles off the call stack while the learner knows
    nothing of the ledger.
    """

    def mark(function: Callee) -> Callee:
        _roles[inspect.unwrap(function).__code__] = Role(name)
        return function

    return mark


def role_of(code: Any) -> Role | None:
    """Return the role that the function with this code object was marked with."""
    return _roles.get(code)
