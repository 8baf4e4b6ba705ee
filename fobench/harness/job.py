"""The one JSON file that a worker gets: a cell, which part of it to do, and where data and plug-ins are.

`STEM.cell.json` lies beside the results that come of it (`STEM.jsonl`) and the worker's output (`STEM.log`), so that anyone
can run one cell again by hand: `python -m fobench.harness.worker STEM.cell.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from fobench.contracts import Cell, FobenchError, Part

ENDING = ".cell.json"


@dataclass(frozen=True)
class Job:
    """One part of one cell; `base` is the folder that plug-in files are relative to, `data` the root of the data sets."""

    part: Part
    cell: Cell
    suite: str
    machine: str
    base: str
    data: str
    require_real: bool = False

    @property
    def stem(self) -> str:
        """File name of the results, without ending."""
        return self.cell.trace_stem if self.part == Part.TRACE else self.cell.stem

    def save(self, folder: Path) -> Path:
        """Write the job into the folder of its results and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (self.stem + ENDING)
        path.write_text(json.dumps({**vars(self), "cell": self.cell.as_json()}, indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read a job; raises FobenchError for a file that is none."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**data, "part": Part(data["part"]), "cell": Cell.from_json(data["cell"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FobenchError(f"{path} is not a cell specification ({type(error).__name__}: {error})") from error


def output_of(path: Path) -> Path:
    """Return the result file that belongs to a job file."""
    return path.with_name(path.name.removesuffix(ENDING) + ".jsonl")
