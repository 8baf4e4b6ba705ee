"""Fakes and checks for those who write learners, meters or suites of their own.

A whole run with `FakeMeter` needs no sensor: `target: fobench.testing:FakeMeter` in the suite's meters. `check_learner` says
whether a learner keeps the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fobench.contracts import Learner, Task
from fobench.testing.budget import Budget, ConformanceError
from fobench.testing.fakes import (
    FakeGPU,
    FakeMeter,
    FakeNVML,
    FakeNVMLError,
    HwmonTree,
    NVMLError_GpuIsLost,
    NVMLError_LibraryNotFound,
    NVMLError_NotSupported,
    PowercapTree,
    SimulatedHost,
    SimulatedMeter,
    pyrapl_reads,
)

__all__ = [
    "Budget", "ConformanceError", "FakeGPU", "FakeMeter", "FakeNVML", "FakeNVMLError", "HwmonTree", "NVMLError_GpuIsLost",
    "NVMLError_LibraryNotFound", "NVMLError_NotSupported", "PowercapTree", "SimulatedHost", "SimulatedMeter",
    "check_learner", "pyrapl_reads",
]  # fmt: skip


def check_learner(
    make: Callable[..., Learner],
    task: Task,
    options: Mapping[str, Any] | None = None,
    *,
    budget: Budget = Budget(),  # noqa: B008 (frozen)
    rule: str | None = None,
) -> list[str]:
    """Put a learner through its contract on `task`; `make` is its class, or a function, called with `options`.

    Raises ConformanceError with one sentence per failed check. Returns one sentence per check that could not be made, and
    why; an empty list if all were. `rule` names the entry point in `fobench.costs` whose closed form the counted contractions
    are held to; by default the name under which the class itself is installed.
    """
    from fobench.testing.conformance import examine
    from fobench.testing.subject import Subject

    return examine(Subject(make, task, dict(options or {}), budget, rule))
