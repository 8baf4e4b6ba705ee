"""`fobench check`: is a suite valid, and what would it find here? Measures nothing, reads no data file."""

from __future__ import annotations

from rich.console import Console

from fobench.cli.options import Data, RequireReal, SuiteFile
from fobench.contracts import FobenchError, Suite


def verb(suite: SuiteFile, data: Data = None, require_real: RequireReal = False) -> None:
    """Check a suite: names, arguments, shapes, data files, meters."""
    from fobench.suite import load_suite

    loaded = load_suite(suite)
    inspect(loaded, data, require_real)
    Console().print(f"{suite}: valid, {len(loaded.cells)} cells", highlight=False)


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
