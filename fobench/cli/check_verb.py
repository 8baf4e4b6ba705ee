"""`fobench check`: is a suite valid, and what would it find here; does a learner keep its contract? Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fobench.cli.cluster_run import Cluster, asked
from fobench.cli.newcomer import Against, Learner, Settings, from_here, suite_of
from fobench.cli.options import TLS, ClusterTarget, Data, RequireReal
from fobench.cli.outcomes import say
from fobench.cli.settings import settings
from fobench.contracts import FobenchError, Suite


def verb(
    suite: Annotated[Path | None, typer.Argument(help="Suite file.", show_default=False)] = None,
    learner: Learner = None,
    against: Against = None,
    given: Settings = None,
    data: Data = None,
    require_real: RequireReal = False,
    cluster: ClusterTarget = None,
    tls: TLS = None,
) -> None:
    """Check a suite (names, arguments, shapes, data files, meters), or that a learner keeps its contract, or both.

    With --cluster, every machine of a cluster is asked, and all differences between them are listed.
    """
    if suite is None and learner is None:
        raise FobenchError("nothing to check; name a suite file, or a learner with --learner FILE.py:CLASS")
    if learner is not None and not _conforms(learner, given):
        raise typer.Exit(1)
    if suite is not None:
        loaded = suite_of(suite, learner, against, given)
        if cluster is None:
            inspect(loaded, data, require_real)
            say(f"{loaded.source}: valid, {len(loaded.cells)} cells")
        else:
            _inspect_machines(loaded, Cluster(cluster, tls, data), require_real)


def _inspect_machines(suite: Suite, cluster: Cluster, require_real: bool) -> None:
    """Ask every machine of a cluster; what differs or is missing ends the program."""
    with asked(suite, cluster, require_real) as run:
        say(f"{suite.source}: valid, {len(suite.cells)} cells, on {len(run.seen)} machines")


def inspect(suite: Suite, data: str | None, require_real: bool) -> list[str]:
    """Run the preflight, print its notes, and return the data sets whose files are at hand; problems end the program."""
    from fobench.datasets.roots import data_root
    from fobench.harness.preflight import preflight

    findings = preflight(suite, data_root(data), require_real)
    console = Console(stderr=True, highlight=False)
    for note in findings.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    if findings.problems:
        listed = "\n".join(f"  {problem}" for problem in findings.problems)
        raise FobenchError(f"{suite.source or suite.name} cannot run:\n{listed}")
    return findings.real


def _conforms(learner: str, given: list[str] | None) -> bool:
    """Put a learner through its contract on every toy network, print what was found, and say whether it keeps it."""
    from fobench.plugins import argument_names, load
    from fobench.testing.nets import NETS

    rule = load(from_here(learner, "."), "learners")
    options = settings(given)
    unknown = [name for name in options if name not in argument_names(rule)]
    if unknown:
        raise FobenchError(
            f"{learner} has no argument {unknown[0]!r}; expected some of {', '.join(argument_names(rule))}"
        )
    console = Console(highlight=False)
    kept = True
    for net in NETS:
        for line, good in _lines(rule, net, options):
            console.print(line, soft_wrap=True, markup=False)
            kept &= good
    console.print(f"{learner} {'keeps' if kept else 'does not keep'} the contract of a learner")
    return kept


def _lines(rule: type, net: str, options: dict[str, object]) -> Iterator[tuple[str, bool]]:
    """Return what was found on one toy network, line by line, each with whether it is in order."""
    from fobench.testing.conformance import REFUSES, verdicts
    from fobench.testing.nets import DENSE, NETS, OTHERS
    from fobench.testing.subject import Subject

    network, task = NETS[net]
    found = verdicts(Subject(rule, task, {"network": network, **options}, DENSE if net == "dense" else OTHERS))
    if found[0].check == REFUSES:
        yield f"{net}: {found[0].unchecked}", True
        return
    good = sum(not (verdict.wrong or verdict.unchecked) for verdict in found)
    yield f"{net}: {good} of {len(found)} checks passed", True
    wrong: dict[str, list[str]] = {}
    for verdict in found:
        if verdict.wrong:
            wrong.setdefault(verdict.wrong, []).append(verdict.check)
        elif verdict.unchecked:
            yield f"  not checked  {verdict.check}: {verdict.unchecked}", True
    for sentence, checks in wrong.items():
        more = f" and {len(checks) - 1} more" if len(checks) > 1 else ""
        yield f"  broken       {checks[0]}{more}: {sentence}", False
    if any(verdict.raised for verdict in found):
        yield "  a rule that does not fit a task says so in one sentence: give it refuses(task) -> str | None", False
