"""Where the results of a report or an export lie: a suite's name, a suite file, or a results folder."""

from __future__ import annotations

import re
from pathlib import Path

from fobench.contracts import FobenchError


class TargetError(FobenchError):
    """A target that names no results."""


def results_folder(target: str, results: Path) -> Path:
    """Return the folder of results that a target names; raises TargetError if there is none."""
    path = Path(target)
    if path.suffix in (".yaml", ".yml"):
        folder = results / _suite_name(path)
    else:
        folder = results / target if (results / target).is_dir() else path
    if folder.is_dir():
        return folder
    known = sorted(child.name for child in results.iterdir() if child.is_dir()) if results.is_dir() else []
    hint = f"there are results of: {', '.join(known)}" if known else "run a suite first: fobench run SUITE.yaml"
    raise TargetError(f"no results for {target!r} in {results}; {hint}")


def _suite_name(path: Path) -> str:
    """Read the suite's name off its one line, without the rest of the file."""
    if not path.is_file():
        raise TargetError(f"no suite file {str(path)!r}; give a suite's name, its YAML file or a results folder")
    name = re.search(r"""^suite:\s*["']?([A-Za-z0-9][A-Za-z0-9-]*)""", path.read_text(encoding="utf-8"), re.MULTILINE)
    if name is None:
        raise TargetError(
            f"{path} has no line `suite: NAME`; is it a suite file? fobench check {path} says what is wrong"
        )
    return name[1]
