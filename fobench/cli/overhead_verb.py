"""`fobench overhead`: what do the instruments themselves cost here?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fobench.cli.check_verb import inspect
from fobench.cli.options import Data, RequireReal, SuiteFile
from fobench.contracts import Cell, FobenchError, Part, Suite

if TYPE_CHECKING:
    from fobench.harness.job import Job
    from fobench.harness.overhead import Pair

console = Console(highlight=False)


def verb(
    suite: SuiteFile,
    label: Annotated[
        str | None, typer.Option("--label", help="Which learner [default: the suite's first cell].")
    ] = None,
    pairs: Annotated[int, typer.Option("--pairs", min=2, help="How often each side is measured.")] = 5,
    data: Data = None,
    require_real: RequireReal = False,
) -> None:
    """Measure one cell with all meters and with the clock alone, in turns, and print the difference in time per sample."""
    from fobench.harness.overhead import judge

    job = _job(suite, label, data, require_real)
    console.print(f"{job.cell.label} on {job.cell.dataset.name}, {pairs} pairs:", markup=False)
    verdict = judge(_measured(job, pairs))
    console.print(
        f"the instruments cost {verdict.cost:+.2%} of the time per sample, ±{verdict.half_width:.2%} (95 %): {verdict.text}",
        soft_wrap=True,
    )


def _measured(job: Job, count: int) -> list[Pair]:
    """Measure the pairs in a folder that goes away with them, and print each."""
    from fobench.harness.overhead import pairs

    found = []
    with tempfile.TemporaryDirectory(prefix="fobench-overhead-") as folder:
        for pair in pairs(job, Path(folder), count):
            found.append(pair)
            with_all, alone = pair.all_s * 1e6, pair.clock_s * 1e6
            console.print(f"  all meters {with_all:.4g} µs, clock alone {alone:.4g} µs a sample", soft_wrap=True)
    return found


def _job(path: Path, label: str | None, data: str | None, require_real: bool) -> Job:
    from fobench.datasets.roots import data_root
    from fobench.harness.job import Job
    from fobench.harness.machine import default_name
    from fobench.suite import load_suite

    suite = load_suite(path)
    inspect(suite, data, require_real)
    cell = _cell(suite, label)
    base = str(Path(suite.base).resolve())
    return Job(Part.MEASURE, cell, suite.name, default_name(), base, str(data_root(data).resolve()), require_real)


def _cell(suite: Suite, label: str | None) -> Cell:
    """Return the first cell of a label, or of the suite."""
    from fobench.plugins import nearest

    found = [cell for cell in suite.cells if label in (None, cell.label)]
    if not found:
        labels = sorted({cell.label for cell in suite.cells})
        raise FobenchError(f"{suite.name} has no learner {label!r}; {nearest(str(label), labels)}")
    return found[0]
