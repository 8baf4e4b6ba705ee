"""From derived values to tables: rows learners, columns data sets, network and parameters in every one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fobench.contracts import Provenance
from fobench.report import numbers
from fobench.report.document import Cell, Column, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.provenance import MARKS, MEANING, ORIGIN_MARKS, ORIGIN_MEANING
from fobench.report.stats import Estimate, Ranking, estimates, rank

MISSING = "–"

WIDTH = 112
"""Characters that fit side by side on a page; more data sets than that go into a further table."""


@dataclass(frozen=True)
class Measure:
    """One column per data set: which derived rows, under which header, in which unit.

    `divisor` leads from the stored unit to `unit`; an empty `meter` takes any; `prefixed` allows m, k, M before the unit.
    """

    header: str
    quantity: str
    phase: str
    unit: str
    batch: str = "recipe"
    channel: str = "total"
    meter: str = ""
    divisor: float = 1.0
    prefixed: bool = True
    highest: bool = False


Estimates = dict[tuple[str, str], Estimate]


LOAD_MODEL = "codecarbon"
"""Its energy follows the load of all processors by a formula, so that another thread count is another formula."""


def lookup(report: ReportInput, measure: Measure) -> Estimates:
    """Return the estimates of one measure by label and data set."""
    rows = report.derived
    chosen = (
        (rows.quantity == measure.quantity)
        & (rows.phase == measure.phase)
        & (rows.batch == measure.batch)
        & (rows.channel == measure.channel)
    )
    if measure.meter:
        chosen &= rows.meter == measure.meter
    found = {key: _placed(report, key[0], measure, made) for key, made in estimates(rows[chosen]).items()}
    if LOAD_MODEL not in measure.meter:
        return found
    return {key: replace(estimate, basis=_threads(report, key)) for key, estimate in found.items()}


def _placed(report: ReportInput, label: str, measure: Measure, found: Estimate) -> Estimate:
    """Mark what was measured in another run; exact values and scores do not depend on the run."""
    bound = not found.exact and measure.quantity not in ("error", "auc")
    return replace(found, elsewhere=True) if bound and report.is_elsewhere(label) else found


def _threads(report: ReportInput, key: tuple[str, str]) -> str:
    count = report.threads[key]
    return f"{count} thread{'s' * (count != 1)}"


def ranking(report: ReportInput, found: Estimates, dataset: str, highest: bool = False) -> Ranking:
    """Rank the learners on one data set."""
    group = {label: found[label, dataset] for label in report.labels if (label, dataset) in found}
    return rank(group, highest)


def tables(report: ReportInput, caption: str, measures: Sequence[Measure]) -> list[Table]:
    """Return one table, or several with some of the data sets each; none where no value is known."""
    found = {measure: lookup(report, measure) for measure in measures}
    present = {measure: values for measure, values in found.items() if values}
    datasets = [
        name for name in report.datasets if any((row, name) in v for v in present.values() for row in report.labels)
    ]
    if not datasets:
        return []
    parts = _Parts(report, present)
    groups = _fitting(datasets, parts)
    captions = [caption if not number else f"{caption} (continued)" for number in range(len(groups))]
    return [parts.table(title, group) for title, group in zip(captions, groups, strict=True)]


def _fitting(datasets: list[str], parts: _Parts) -> list[list[str]]:
    """Deal data sets into groups whose columns fit on a page."""
    groups: list[list[str]] = []
    room = 0
    for dataset in datasets:
        width = parts.width(dataset)
        if not groups or room < width:
            groups.append([])
            room = WIDTH - parts.head_width()
        groups[-1].append(dataset)
        room -= width
    return groups


class _Parts:
    """The columns of one kind of table, data set by data set; scales and rankings are shared by all of them."""

    def __init__(self, report: ReportInput, found: Mapping[Measure, Estimates]) -> None:
        self.report = report
        self.found = found
        self.scales = {measure: self._scale(measure) for measure in found}
        self.rankings = {
            (measure, dataset): ranking(report, values, dataset, measure.highest)
            for measure, values in found.items()
            for dataset in report.datasets
        }

    def table(self, caption: str, datasets: list[str]) -> Table:
        """Build the table of these data sets."""
        rows = tuple((*self._head(label, datasets), *self._values(label, datasets)) for label in self.report.labels)
        columns = [Column("Learner", number=False), Column("Network", number=False), Column("Parameters")]
        columns += [Column(self._header(m), dataset) for dataset in datasets for m in self.found]
        return Table(caption, tuple(columns), rows, tuple(self._notes(rows, datasets)))

    def width(self, dataset: str) -> int:
        """Estimate the characters that one data set's columns take; headers wrap between words."""
        return sum(self._column_width(measure, dataset) for measure in self.found)

    def head_width(self) -> int:
        """Estimate the characters that the columns before the values take."""
        heads = [self._head(label, self.report.datasets[:1]) for label in self.report.labels]
        return sum(min(24, max(len(_text(head[column])) for head in heads)) + 2 for column in range(3))

    def _column_width(self, measure: Measure, dataset: str) -> int:
        cells = [self._cell(label, dataset, measure) for label in self.report.labels]
        texts = [_text(cell) for cell in cells]
        return max(*(len(word) for word in self._header(measure).split()), *(len(text) + 1 for text in texts)) + 2

    def _scale(self, measure: Measure) -> numbers.Scale:
        alike = [
            m for m in self.found if (m.unit, m.quantity, m.phase) == (measure.unit, measure.quantity, measure.phase)
        ]
        values = [estimate.mean for m in alike for estimate in self.found[m].values()]
        return numbers.scale(values, measure.unit, measure.divisor, measure.prefixed)

    def _header(self, measure: Measure) -> str:
        return f"{measure.header} [{self.scales[measure].unit}]".strip()

    def _head(self, label: str, datasets: list[str]) -> tuple[Cell, Cell, Cell]:
        keys = [(label, dataset) for dataset in datasets]
        networks = {_hidden(self.report.networks[key]): None for key in keys if key in self.report.networks}
        counts = {numbers.count(self.report.parameters[key]): None for key in keys if key in self.report.parameters}
        return self._named(label), " / ".join(networks) or MISSING, " / ".join(counts) or MISSING

    def _named(self, label: str) -> Cell:
        """Return a learner's label; the newcomer's stands out."""
        newcomer = self.report.newcomer
        return Value(f"{label} (new)", bold=True) if newcomer and label == newcomer.label else label

    def _values(self, label: str, datasets: list[str]) -> list[Cell]:
        return [self._cell(label, dataset, measure) for dataset in datasets for measure in self.found]

    def _cell(self, label: str, dataset: str, measure: Measure) -> Cell:
        estimate = self.found[measure].get((label, dataset))
        if estimate is None:
            return MISSING
        bold = label in self.rankings[measure, dataset].best
        return value(estimate, self.scales[measure], bold)

    def _notes(self, rows: tuple[tuple[Cell, ...], ...], datasets: list[str]) -> list[str]:
        values = [cell for row in rows for cell in row if isinstance(cell, Value)]
        notes = [
            "; ".join(
                f"{MARKS[part]} = {MEANING[part]}" for part in Provenance if any(MARKS[part] in v.mark for v in values)
            )
        ]
        notes += [
            text
            for origin, text in ORIGIN_MEANING.items()
            if any(name.endswith(ORIGIN_MARKS[origin]) for name in datasets)
        ]
        if any("†" in v.mark for v in values):
            notes.append(
                "† = windows were invalid or missing: blocks with such windows are left out of the mean; where no "
                "block is whole, the sum of what is there is shown as a lower bound (≥) and not ranked"
            )
        if any(MISSING in row[3:] for row in rows):
            notes.append(
                f"{MISSING} = no value: the cell failed or did not run, or its instrument was absent (see the last section)"
            )
        if any(self.report.is_elsewhere(label) for label in self.report.labels):
            notes.append(
                "other run = measured at another time: shown, but neither ranked nor compared in time and energy"
            )
        if any(" / " in str(row[2]) for row in rows):
            notes.append("several parameter counts stand in the order of the data sets")
        return [*notes, *self._ranking_notes(datasets)]

    def _ranking_notes(self, datasets: list[str]) -> list[str]:
        chosen = {(m, d): r for (m, d), r in self.rankings.items() if d in datasets}
        notes = [f"not ranked: {reason}" for reason in dict.fromkeys(r.reason for r in chosen.values()) if reason]
        for (_, dataset), result in chosen.items():
            if result.unranked:
                names = ", ".join(result.unranked)
                notes.append(f"{dataset}: {names} shares fewer than two blocks with the best and is not ranked")
        return [text[0].upper() + text[1:] for text in dict.fromkeys(notes)]


def _text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Value) else cell


def value(estimate: Estimate, scale: numbers.Scale, bold: bool = False) -> Value:
    """Return a table's number: mean and deviation, or the exact value, with the mark of its provenance."""
    mean = estimate.mean / scale.divisor
    deviation = estimate.deviation / scale.divisor if estimate.deviation is not None else None
    text = numbers.exact(mean) if estimate.exact else numbers.with_deviation(mean, deviation)
    mark = MARKS[estimate.provenance] + ("†" if estimate.partial or estimate.dropped else "")
    return Value(f"≥ {text}" if estimate.partial else text, mark, bold, mean)


def _hidden(network: str) -> str:
    """Return a network's name without its input, which is the data set's."""
    hidden = network.partition("-")[2] or network
    return re.sub(r"(?<=\d)x(?=\d)", "×", hidden)
