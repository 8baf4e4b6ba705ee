"""`fobench overhead`: what do the instruments themselves cost here?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fobench.cli.check_verb import inspect
from fobench.cli.cluster_run import Cluster, asked
from fobench.cli.options import TLS, ClusterTarget, Data, RequireReal, SuiteFile
from fobench.cli.outcomes import say
from fobench.contracts import Cell, FobenchError, Part, Suite

if TYPE_CHECKING:
    from fobench.harness.job import Job
    from fobench.harness.overhead import Pair


def verb(
    suite: SuiteFile,
    label: Annotated[
        str | None, typer.Option("--label", help="Which learner [default: the suite's first cell].")
    ] = None,
    pairs: Annotated[int, typer.Option("--pairs", min=2, help="How often each side is measured.")] = 5,
    data: Data = None,
    require_real: RequireReal = False,
    cluster: ClusterTarget = None,
    tls: TLS = None,
) -> None:
    """Measure one cell with all meters and with the clock alone, in turns, and print the difference in time per sample.

    With --cluster, measure it on every machine with the cluster's engine and without it.
    """
    if cluster is not None:
        _compare_engine(suite, label, Cluster(cluster, tls, data), pairs)
        return
    job = _job(suite, label, data, require_real)
    say(f"{job.cell.label} on {job.cell.dataset.name}, {pairs} pairs:")
    conclude("the instruments cost", _measured(job, pairs))


def _compare_engine(path: Path, label: str | None, cluster: Cluster, count: int) -> None:
    """Measure the pairs on one machine of the cluster after the other, and print each."""
    from fobench.harness.job import Job
    from fobench.suite import load_suite

    suite = load_suite(path)
    cell = cell_of(suite, label)
    job = Job(Part.MEASURE, cell, suite.name, "", str(Path(suite.base).resolve()), cluster.data or "")
    with asked(suite, cluster) as run:
        for seen in run.seen:
            say(f"{seen.look.machine}: {cell.label} on {cell.dataset.name}, {count} pairs:")
            found = []
            for number in range(count):
                found.append(pair := run.engine.pair(job, seen.address, bool(number % 2)))
                say(f"  with the engine {pair.with_s * 1e6:.4g} µs, without it {pair.without_s * 1e6:.4g} µs a sample")
            conclude(f"{seen.look.machine}: the engine costs", found)


def conclude(what: str, pairs: list[Pair]) -> None:
    """Print the mean difference of pairs with its interval and the verdict."""
    from fobench.harness.overhead import judge

    verdict = judge(pairs)
    say(f"{what} {verdict.cost:+.2%} of the time per sample, ±{verdict.half_width:.2%} (95 %): {verdict.text}")


def _measured(job: Job, count: int) -> list[Pair]:
    """Measure the pairs in a folder that goes away with them, and print each."""
    from fobench.harness.overhead import pairs

    found = []
    with tempfile.TemporaryDirectory(prefix="fobench-overhead-") as folder:
        for pair in pairs(job, Path(folder), count):
            found.append(pair)
            with_all, alone = pair.with_s * 1e6, pair.without_s * 1e6
            say(f"  all meters {with_all:.4g} µs, clock alone {alone:.4g} µs a sample")
    return found


def _job(path: Path, label: str | None, data: str | None, require_real: bool) -> Job:
    from fobench.datasets.roots import data_root
    from fobench.harness.job import Job
    from fobench.harness.machine import default_name
    from fobench.suite import load_suite

    suite = load_suite(path)
    inspect(suite, data, require_real)
    cell = cell_of(suite, label)
    base = str(Path(suite.base).resolve())
    return Job(Part.MEASURE, cell, suite.name, default_name(), base, str(data_root(data).resolve()), require_real)


def cell_of(suite: Suite, label: str | None) -> Cell:
    """Return the first cell of a label, or of the suite."""
    from fobench.plugins import nearest

    found = [cell for cell in suite.cells if label in (None, cell.label)]
    if not found:
        labels = sorted({cell.label for cell in suite.cells})
        raise FobenchError(f"{suite.name} has no learner {label!r}; {nearest(str(label), labels)}")
    return found[0]
