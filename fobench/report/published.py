"""The papers' own figures as data: `results/published/*.csv`, one file per published table, read strictly.

`index.csv` has a table's title and the suites that have its settings. In a table one line is one figure:

    row, group, column    where it stands in the paper's table
    target, network       the learner's name (`a/b` for a ratio of two) and the hidden layers (`2000x4`); empty: not stated
    dataset, epochs       likewise
    settings              arguments of the learner that the figure needs: `name=value`, `name=*` given, `name=-` not given
    quantity, value, unit and `spread`, the printed deviation; a value that begins with > is a lower bound
    labels                how many labels are tried where the published count is of one
    counted, source       what exactly the number is, and where it stands
    doubts, barrier       what the source leaves open; and, if that decides, the verdict that follows
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from fobench.contracts import FobenchError
from fobench.plugins import nearest

INDEX = "index"
INDEX_COLUMNS = ("table", "title", "suites")
COLUMNS = (
    "row", "group", "column", "target", "network", "dataset", "settings", "epochs", "quantity", "value", "spread", "unit",
    "labels", "counted", "source", "doubts", "barrier",
)  # fmt: skip
REQUIRED = ("row", "column", "target", "quantity", "value", "unit", "counted", "source")

UNITS: Mapping[tuple[str, str], float] = {
    ("error", "%"): 0.01,
    ("accuracy", "%"): 0.01,
    ("training_error", "%"): 0.01,
    ("energy", "Wh"): 3600.0,
    ("energy_saved", "µWh"): 3600e-6,
    ("macs", "2^20 MAC"): 2.0**20,
    ("duration", "ms"): 1e-3,
    ("macs", "ratio"): 1.0,
    ("duration", "ratio"): 1.0,
    ("memory", "ratio"): 1.0,
}
"""Every quantity of a published figure with its units: what leads to the unit that fobench stores."""

REPRODUCED, DIFFERS = "reproduced", "differs"
NOT_COMPARABLE, CANNOT = BARRIERS = ("not comparable", "cannot be reproduced as published")
"""The four verdicts; a barrier follows from the publication alone."""


class PublishedFigureError(FobenchError):
    """A file of published figures that says something wrong, with its line and column."""


@dataclass(frozen=True)
class Figure:
    """One published number; `text` is the value and `spread` its deviation as printed, numbers are in the printed unit."""

    row: str
    group: str
    column: str
    target: str
    network: str
    dataset: str
    settings: Mapping[str, str]
    epochs: int | None
    quantity: str
    text: str
    spread: str
    unit: str
    labels: int
    counted: str
    source: str
    doubts: str
    barrier: str

    @property
    def value(self) -> float:
        """The printed number."""
        return float(self.text.removeprefix(">"))

    @property
    def is_bound(self) -> bool:
        """Say whether more than the value is meant."""
        return self.text.startswith(">")

    @property
    def tolerance(self) -> float:
        """How far from the value a number may lie that was meant: the printed spread, or half of the last digit."""
        return float(self.spread) if self.spread else 0.5 * 10.0 ** -len(self.text.partition(".")[2])

    @property
    def factor(self) -> float:
        """What leads from the printed number to the unit that fobench stores."""
        return UNITS[self.quantity, self.unit] * self.labels

    @property
    def printed(self) -> str:
        """The value as printed, with its spread."""
        return f"{self.text} ± {self.spread}" if self.spread else self.text

    @property
    def targets(self) -> tuple[str, ...]:
        """The learner, or the two of a ratio."""
        return tuple(self.target.split("/"))


@dataclass(frozen=True)
class Published:
    """A published table: its figures in printed order, and the suites that have its settings."""

    name: str
    title: str
    suites: tuple[str, ...]
    figures: tuple[Figure, ...]

    @cached_property
    def source(self) -> str:
        """Where its figures stand, each source once."""
        return "; ".join(dict.fromkeys(figure.source for figure in self.figures))


def home() -> Path:
    """Return the folder of the published figures: inside an installed package, beside the package in a checkout."""
    package = Path(str(files("fobench")))
    inside = package / "published"
    return inside if inside.is_dir() else package.parent / "results" / "published"


def tables(folder: Path | None = None) -> tuple[Published, ...]:
    """Return all published tables in the order of the index; raises PublishedFigureError."""
    folder = folder or home()
    return tuple(
        Published(line["table"], line["title"], tuple(line["suites"].split()), read(folder / f"{line['table']}.csv"))
        for _, line in _lines(folder / f"{INDEX}.csv", INDEX_COLUMNS)
    )


def table(name: str) -> Published:
    """Return one published table; raises PublishedFigureError for an unknown name."""
    known = {found.name: found for found in tables()}
    if name not in known:
        raise PublishedFigureError(f"no published table is called {name!r}; {nearest(name, list(known))}")
    return known[name]


def read(path: Path) -> tuple[Figure, ...]:
    """Return the figures of one file; raises PublishedFigureError with file, line and column."""
    return tuple(_Line(path, number, line).figure() for number, line in _lines(path, COLUMNS))


def _lines(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return the lines of a CSV with their numbers; its columns must be exactly these."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PublishedFigureError(f"{path} cannot be read as text ({error})") from error
    reader = csv.DictReader(text.splitlines(), restkey="", strict=True)
    lines = []
    try:
        if tuple(reader.fieldnames or ()) != columns:
            found = ", ".join(reader.fieldnames or ()) or "nothing"
            raise PublishedFigureError(f"{path}, line 1: found the columns {found}; expected {', '.join(columns)}")
        for line in reader:
            if "" in line or None in line.values():
                raise PublishedFigureError(
                    f"{path}, line {reader.line_num}: expected {len(columns)} columns, found more or fewer; "
                    "a comma inside a text needs quotes around the text"
                )
            lines.append((reader.line_num, line))
    except csv.Error as error:
        raise PublishedFigureError(f"{path}, line {reader.line_num}: {error}") from error
    return lines


@dataclass(frozen=True)
class _Line:
    """One line on its way to a figure; every refusal names its place."""

    path: Path
    number: int
    cells: Mapping[str, str]

    def figure(self) -> Figure:
        for column in REQUIRED:
            if not self.cells[column]:
                raise self.error(column, "is empty")
        unit = self.cells["quantity"], self.cells["unit"]
        if unit not in UNITS:
            known = ", ".join(f"{quantity} in {name}" for quantity, name in UNITS)
            raise self.error("unit", f"found {unit[0]} in {unit[1]}; expected one of {known}")
        if self.cells["barrier"] not in ("", *BARRIERS):
            raise self.error("barrier", f"found {self.cells['barrier']!r}; expected nothing or {' or '.join(BARRIERS)}")
        if self.cells["barrier"] and not self.cells["doubts"]:
            raise self.error("doubts", "is empty; a barrier needs its reason")
        self.check_positive("value", self.cells["value"].removeprefix(">"))
        if self.cells["spread"]:
            self.check_positive("spread", self.cells["spread"])
        words = {name: self.cells[name] for name in COLUMNS if name not in ("settings", "epochs", "value", "labels")}
        return Figure(
            **words,
            text=self.cells["value"],
            settings=self.settings(),
            epochs=self.whole("epochs") if self.cells["epochs"] else None,
            labels=self.whole("labels") if self.cells["labels"] else 1,
        )

    def settings(self) -> dict[str, str]:
        """Return `name=value;name=value` as a mapping."""
        pairs = [part.partition("=") for part in self.cells["settings"].split(";") if part]
        if any(not name or not value for name, _, value in pairs):
            raise self.error("settings", f"found {self.cells['settings']!r}; expected name=value;name=value")
        return {name: value for name, _, value in pairs}

    def check_positive(self, column: str, text: str) -> None:
        """Refuse what is no number above 0."""
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            raise self.error(column, f"found {self.cells[column]!r}; expected a number above 0 with a decimal point")

    def whole(self, column: str) -> int:
        """Return a whole number above 0."""
        if not self.cells[column].isdecimal() or not int(self.cells[column]):
            raise self.error(column, f"found {self.cells[column]!r}; expected a whole number above 0")
        return int(self.cells[column])

    def error(self, column: str, what: str) -> PublishedFigureError:
        """Return the refusal of one column of this line."""
        return PublishedFigureError(f"{self.path}, line {self.number}, column {column}: {what}")
