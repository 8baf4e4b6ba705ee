"""Everything that can go wrong before a joule is spent: imports, arguments, shapes, data files, meters. Runs in a child.

`python -m fobench.harness.preflight` reads a request from standard input and prints a `Findings` as JSON; the parent never
imports torch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fobench import networks, plugins
from fobench.contracts import Cell, FobenchError, Json, Reference, Selective, Suite, Task
from fobench.harness.launcher import ALLOCATOR_VARIABLES
from fobench.store import last_line


@dataclass
class Findings:
    """`problems` stop a run; `notes` are worth knowing; `real` names the data sets that have their files."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    real: list[str] = field(default_factory=list)


def preflight(suite: Suite, data: Path, require_real: bool) -> Findings:
    """Inspect a suite in a child process and return all findings together."""
    return inspect_apart(distinct(suite.cells), suite.base, data, require_real)


def inspect_apart(cells: Iterable[Cell], base: str, data: Path, require_real: bool) -> Findings:
    """Inspect cells in a child process, since the one that asks may not import torch; raises FobenchError if it dies."""
    request = {
        "cells": [cell.as_json() for cell in cells],
        "base": base,
        "data": str(data),
        "require_real": require_real,
    }
    tracing = dict.fromkeys(ALLOCATOR_VARIABLES, "65536")  # or a tracer that needs them would be called absent
    child = subprocess.run(
        [sys.executable, "-m", "fobench.harness.preflight"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **tracing},
    )
    if child.returncode != 0:
        raise FobenchError(f"the preflight could not run: {last_line(child.stderr) or f'exit code {child.returncode}'}")
    return Findings(**json.loads(child.stdout))


def distinct(cells: Iterable[Cell]) -> list[Cell]:
    """Return one cell of each learner, dataset and recipe; seeds make no difference here."""
    return list({cell.trace_id: cell for cell in cells}.values())


def inspect(cells: list[Cell], base: Path, data: Path, require_real: bool) -> Findings:
    """Import every target, bind every argument, fit every network, look for every file, probe every meter."""
    findings = Findings()
    tasks = {
        cell.dataset.name: _inspect_dataset(cell.dataset, base, data, require_real, findings)
        for cell in reversed(cells)
    }
    for cell in cells:
        task = tasks[cell.dataset.name]
        problem = task and _problem_of_learner(cell.learner, task, base)
        if problem:
            findings.problems.append(f"learner {cell.label} on {cell.dataset.name}: {problem}")
    for meter in _unique(meter for cell in cells for meter in cell.plan.meters):
        _inspect_instrument(meter, "meters", base, findings)
    for tracer in _unique(Reference(name) for cell in cells for name in cell.plan.tracers):
        _inspect_instrument(tracer, "tracers", base, findings)
    findings.problems = list(dict.fromkeys(findings.problems))
    findings.notes = list(dict.fromkeys(findings.notes))
    return findings


def _unique(references: Iterable[Reference]) -> list[Reference]:
    return list({json.dumps(asdict(reference), sort_keys=True): reference for reference in references}.values())


def _inspect_dataset(
    reference: Reference, base: Path, data: Path, require_real: bool, findings: Findings
) -> Task | None:
    try:
        dataset = plugins.create(reference, "datasets", base)
        task: Task = dataset.task
        reason = dataset.missing(data)
    except Exception as error:
        findings.problems.append(f"dataset {reference.name}: {_told(error)}")
        return None
    if reason and require_real:
        findings.problems.append(f"dataset {reference.name}: {reason}")
    elif reason:
        findings.notes.append(f"dataset {reference.name}: a surrogate stands in; {reason}")
    else:
        findings.real.append(reference.name)
    return task


def _problem_of_learner(reference: Reference, task: Task, base: Path) -> str | None:
    try:
        learner = plugins.create(reference, "learners", base)
        networks.layers(learner.network, task)
        return learner.refuses(task) if isinstance(learner, Selective) else None
    except Exception as error:
        return _told(error)


def _inspect_instrument(reference: Reference, group: str, base: Path, findings: Findings) -> None:
    kind = group.rstrip("s")
    try:
        reason = plugins.create(reference, group, base).unavailable()
    except Exception as error:
        findings.problems.append(f"{kind} {reference.name}: {_told(error)}")
        return
    if reason:
        findings.notes.append(f"{kind} {reference.name} is absent: {reason}")


def _told(error: Exception) -> str:
    """Say what a plug-in raised; its kind too where it is not one of fobench's own."""
    return str(error) if isinstance(error, FobenchError) else f"{type(error).__name__}: {error}"


def main() -> None:
    """Answer the request on standard input."""
    request: dict[str, Json] = json.load(sys.stdin)
    cells = [Cell.from_json(cell) for cell in request["cells"]]
    with redirect_stdout(sys.stderr):  # plug-ins may print; standard output is the answer's alone
        findings = inspect(cells, Path(request["base"]), Path(request["data"]), request["require_real"])
    json.dump(asdict(findings), sys.stdout)


if __name__ == "__main__":
    main()
