"""`--learner`, `--against` and `--set`: a new learner, from the command line into a suite."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fobench.cli.settings import settings
from fobench.contracts import FobenchError, Suite

Learner = Annotated[
    str | None,
    typer.Option("--learner", help="A new learner: path/to/file.py:Class, or an installed name.", show_default=False),
]
Against = Annotated[
    list[str] | None,
    typer.Option("--against", help="Learner to measure again beside it [default: bp].", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Argument of the new learner, NAME=VALUE (YAML).", show_default=False),
]


def suite_of(path: Path, learner: str | None, against: list[str] | None, given: list[str] | None) -> Suite:
    """Return the suite of a file, or that of the new learner beside it."""
    from fobench.suite import load_suite
    from fobench.suite.newcomer import beside

    suite = load_suite(path)
    if learner is not None:
        return beside(suite, from_here(learner, suite.base), settings(given), against or [])
    if against or given:
        raise FobenchError("--against and --set say something of a new learner; name it with --learner FILE.py:CLASS")
    return suite


def from_here(target: str, base: str) -> str:
    """Return a target whose file is named from the current folder as one named from `base`; others as they are."""
    where, _, name = target.rpartition(":")
    if not where.endswith(".py"):
        return target
    if not Path(where).is_file():
        raise FobenchError(f"no file {where!r} in {Path.cwd()}; expected path/to/file.py:Class")
    return f"{os.path.relpath(where, base)}:{name}"
