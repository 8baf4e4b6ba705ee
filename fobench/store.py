"""Results on disk: one small file per cell and part, written row by row, named by an atomic rename; read into one frame.

`results/SUITE/MACHINE/STEM.jsonl`: first line the header, then one JSON object per reading, last line the footer. While a
cell runs its file ends in `.partial`; a `.partial` file without a living worker is worthless and is overwritten.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fobench.contracts import (
    CELL_COLUMNS,
    ROW_COLUMNS,
    SCHEMA_VERSION,
    Cell,
    Context,
    FobenchError,
    Header,
    Json,
    Newcomer,
    Part,
    Reading,
    Status,
    kind_of,
)

if TYPE_CHECKING:
    import pandas as pd

TEXT_COLUMNS = (
    "cell", "suite", "machine", "label", "learner", "network", "dataset", "origin", "phase", "quantity", "unit",
    "provenance", "meter", "channel", "invalid",
)  # fmt: skip
"""Columns that repeat few values: categories in the frame."""


COLUMNS = frozenset(ROW_COLUMNS)


class StoreError(FobenchError):
    """A result file that cannot be read, or results that must not be mixed."""


class Writer:
    """Writes one result file: header, rows as they come (each flushed), footer; the final name appears with the footer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.has_header = False
        self._file = self.partial.open("w", encoding="utf-8")

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; without a footer it stays `.partial`."""
        self._file.close()

    def header(self, header: Header) -> None:
        """Write the first line."""
        self._line({"kind": "header", **header.as_json()})
        self.has_header = True

    def rows(self, context: Context, readings: Iterable[Reading]) -> None:
        """Write one line per reading."""
        where = asdict(context)
        for reading in readings:
            row = {**where, **asdict(reading)}
            self._line({name: row[name] for name in ROW_COLUMNS})

    def footer(self, status: Status, reason: str = "") -> None:
        """Write the last line, force it to disk and give the file its final name."""
        self._line(_footer(status, reason))
        os.fsync(self._file.fileno())
        self.close()
        self.partial.rename(self.path)

    def _line(self, value: Json) -> None:
        self._file.write(json.dumps(value, allow_nan=False) + "\n")
        self._file.flush()


def _footer(status: Status, reason: str) -> dict[str, Json]:
    return {"kind": "footer", "status": status, "reason": reason}


def seal(path: Path, header: Header, status: Status, reason: str) -> None:
    """Finish the file of a worker that died: keep its whole lines, add what is missing, give it its final name."""
    partial = path.with_name(path.name + ".partial")
    text = partial.read_text(encoding="utf-8", errors="replace") if partial.exists() else ""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    if lines and '"kind": "footer"' in lines[-1]:
        # the worker had ended by itself and died before the rename: its own verdict stands
        partial.rename(path)
        return
    if not lines:
        lines = [json.dumps({"kind": "header", **header.as_json()}) + "\n"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("w", encoding="utf-8") as file:
        file.writelines([*lines, json.dumps(_footer(status, reason)) + "\n"])
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


@dataclass(frozen=True)
class Entry:
    """One finished result file: its header, how it ended, and its rows on demand."""

    path: Path
    header: Header
    status: Status
    reason: str
    lines: tuple[str, ...]

    def rows(self) -> list[dict[str, Json]]:
        """Parse the rows between header and footer; raises StoreError for a line that is none."""
        try:
            rows: list[dict[str, Json]] = json.loads("[" + ",".join(self.lines) + "]")
            if any(row.keys() != COLUMNS or not isinstance(row["value"], int | float) for row in rows):
                raise ValueError("a line between header and footer is no row")
        except (ValueError, AttributeError, RecursionError) as error:
            raise _broken(self.path, error) from error
        return rows


def read(path: Path) -> Entry:
    """Read one result file; raises StoreError for a broken one."""
    try:
        first, *lines, last = path.read_text(encoding="utf-8").splitlines()
        header, footer = json.loads(first), json.loads(last)
        if header["schema"] != SCHEMA_VERSION:
            raise FobenchError(f"schema {header['schema']}, this fobench reads {SCHEMA_VERSION}")
        return Entry(path, Header.from_json(header), Status(footer["status"]), footer["reason"], tuple(lines))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError, FobenchError) as error:
        raise _broken(path, error) from error


def last_line(reason: str) -> str:
    """Return the last line of the reason of a footer: all that a terminal needs of a traceback."""
    return reason.strip().rpartition("\n")[2].strip()


def _broken(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{path} is not a whole result file ({type(error).__name__}: {error}); delete it and run the suite again"
    )


def kinds_of_machines(folder: Path) -> dict[str, str]:
    """Return the kind of every machine that has a folder in a suite's folder, by its name; a machine without facts has none."""
    found = {}
    for path in sorted(folder.glob("*/machine.json")):
        try:
            found[path.parent.name] = kind_of(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{path} does not describe a machine ({error}); delete it, the next run writes it anew"
            ) from error
    return found


NEWCOMER = "newcomer.json"


def note_newcomer(folder: Path, newcomer: Newcomer) -> None:
    """Write into a suite's folder which of its learners is new, and which suite's results may stand beside it."""
    (folder / NEWCOMER).write_text(json.dumps(asdict(newcomer), indent=1) + "\n", encoding="utf-8")


def newcomer_of(folder: Path) -> Newcomer | None:
    """Return who is new in the results of a suite, if anyone; raises StoreError for a broken note."""
    path = folder / NEWCOMER
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Newcomer(**{**data, "against": tuple(data["against"])})
    except (ValueError, LookupError, TypeError) as error:
        raise StoreError(
            f"{path} says of no newcomer ({type(error).__name__}: {error}); run the suite again"
        ) from error


class ResultStore:
    """All result files below one folder; `suite` and `machine` narrow it to the folder that a run writes to."""

    def __init__(self, root: Path, suite: str | None = None, machine: str | None = None) -> None:
        self.folder = root.joinpath(*(part for part in (suite, machine) if part))
        self._entries: list[Entry] | None = None
        self.problems: list[str] = []

    def path(self, cell: Cell, part: Part = Part.MEASURE) -> Path:
        """Return the final file of one part of a cell."""
        return self.folder / f"{cell.trace_stem if part == Part.TRACE else cell.stem}.jsonl"

    def find(self, cell: Cell, part: Part = Part.MEASURE) -> Entry | None:
        """Return the finished file of a cell, if there is one."""
        path = self.path(cell, part)
        return read(path) if path.exists() else None

    def is_done(self, cell: Cell) -> bool:
        """Say whether both parts of a cell are finished and ended well."""
        entries = (self.find(cell, part) for part in Part)
        return all(entry is not None and entry.status == Status.DONE for entry in entries)

    def writer(self, cell: Cell, part: Part = Part.MEASURE) -> Writer:
        """Open a cell's file for writing, from the start."""
        return Writer(self.path(cell, part))

    def entries(self) -> list[Entry]:
        """Read every finished file below the folder; broken ones are left out and described in `problems`."""
        if self._entries is None:
            self._entries = list(self._read_all())
        return self._entries

    def join(self, entries: Iterable[Entry]) -> None:
        """Take in entries from elsewhere."""
        self._entries = [*self.entries(), *entries]

    def _read_all(self) -> Iterator[Entry]:
        self.problems = []
        for path in sorted(self.folder.rglob("*.jsonl")):
            try:
                yield read(path)
            except StoreError as error:
                self.problems.append(str(error))

    def frame(self) -> pd.DataFrame:
        """Return the rows of all cells that are done as one long frame, cell columns first.

        Rows of a trace have no seed: they hold for every seed of their label, learner, dataset and recipe.
        """
        import pandas as pd

        columns: dict[str, list[Any]] = {name: [] for name in (*CELL_COLUMNS, *ROW_COLUMNS)}
        for entry in self.entries():
            if entry.status != Status.DONE:
                continue
            try:
                rows = entry.rows()
            except StoreError as error:
                self.problems += [text for text in [str(error)] if text not in self.problems]
                continue
            for name, value in cell_columns(entry.header).items():
                columns[name].extend([value] * len(rows))
            for name in ROW_COLUMNS:
                columns[name].extend([row[name] for row in rows])
        frame = pd.DataFrame(columns)
        numbers = dict.fromkeys(("value", "epoch", "started_s"), "float64")
        whole = dict.fromkeys(("seed", "stage", "window", "samples", "batch_size"), "Int64")
        return frame.astype({**dict.fromkeys(TEXT_COLUMNS, "category"), **numbers, **whole})


def cell_columns(header: Header) -> dict[str, Json]:
    """Return the columns that all rows of a file share."""
    return {
        "cell": header.id,
        "suite": header.suite,
        "machine": header.machine,
        "label": header.cell.label,
        "learner": header.cell.learner.target,
        "network": header.network,
        "dataset": header.cell.dataset.name,
        "origin": str(header.origin or ""),
        "seed": None if header.part == Part.TRACE else header.cell.seed,
    }
