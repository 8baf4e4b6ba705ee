"""Published figures beside the cells that they belong to, and what can be concluded: a verdict by a rule, with its reason.

A figure belongs to a cell with the same learner, hidden layers, data set and required arguments. The verdict:

1. `barrier` of the figure, where the publication alone decides (a power that is not stated, a count that no counting gives);
2. not comparable, where the cell is not what was published: other epochs, not all samples, data that are not the real ones.
   A value that is exact from shapes depends on none of these;
3. reproduced, if the 95 % Student t interval of the mean over blocks (the value itself where it is exact or of one block)
   meets the published value within its printed spread, or half of its last digit where none is printed; else differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from fobench.contracts import Header, Json, Origin, Part, Phase
from fobench.report.inputs import ReportInput
from fobench.report.provenance import combine
from fobench.report.published import DIFFERS, NOT_COMPARABLE, REPRODUCED, Figure, Published
from fobench.report.stats import Estimate, estimates, mean_interval
from fobench.report.tables import Measure, lookup

PUBLISHED_POWER = "declared-5W"
"""A constant-power meter with this label has the definition of the papers' watt-hours; it is preferred where a suite has it."""

ERROR = Measure("", "error", "infer", "%", channel="test")
MEASURES: Mapping[str, Measure] = {
    "error": ERROR,
    "accuracy": ERROR,
    "energy": Measure("", "energy", "train", "Wh"),
    "macs": Measure("", "macs", "infer", "MAC", meter="macs"),
    "duration": Measure("", "duration", "infer", "s", batch="single", meter="clock"),
}
"""Which derived rows a published quantity stands beside; a quantity that is not here (training error) is data only."""


@dataclass(frozen=True)
class Verdict:
    """One of the four verdicts, and why."""

    word: str
    reason: str = ""


@dataclass(frozen=True)
class Match:
    """A figure beside a cell: its label, its data set with the mark of the origin, and its estimate in the printed unit."""

    figure: Figure
    label: str
    dataset: str
    own: Estimate
    verdict: Verdict

    @property
    def difference(self) -> float:
        """Own mean minus published value, in the printed unit."""
        return self.own.mean - self.figure.value


class Beside:
    """What a suite has to put beside published figures, looked up once for all tables."""

    def __init__(self, report: ReportInput) -> None:
        self.report = report
        self.found = {quantity: lookup(report, measure) for quantity, measure in _measures(report).items()}
        self.cells: dict[tuple[str, str], list[Header]] = {}
        for header in _one_per_cell(report):
            self.cells.setdefault((header.cell.learner.target, header.cell.dataset.target), []).append(header)

    def matches(self, table: Published) -> list[Match]:
        """Return what stands beside a published table, in printed order.

        A figure whose network is not stated belongs only to the cells of the suites that the table names.
        """
        named = self.report.suite in table.suites
        figures = (figure for figure in table.figures if figure.quantity in self.found and (figure.network or named))
        return [match for figure in figures for match in self._matches(figure)]

    def _matches(self, figure: Figure) -> Iterator[Match]:
        for headers in product(*(self._fitting(figure, target) for target in figure.targets)):
            parts = [part for header in headers if (part := self._estimate(figure, header))]
            own = quotient(parts) if len(parts) == len(headers) else None
            if own is None:
                continue
            reasons = [] if own.exact else [text for header in headers for text in departures(figure, header)]
            shown = in_print(figure, own)
            verdict = judge(figure, shown, list(dict.fromkeys(reasons)))
            label = " / ".join(header.cell.label for header in headers)
            yield Match(figure, label, self.report.dataset(headers[0]), shown, verdict)

    def _fitting(self, figure: Figure, target: str) -> list[Header]:
        return [header for header in self.cells.get((target, figure.dataset), []) if fits(figure, target, header)]

    def _estimate(self, figure: Figure, header: Header) -> Estimate | None:
        key = (header.cell.label, self.report.dataset(header))
        stage = stage_of(figure, header)
        if stage is None:
            return self.found[figure.quantity].get(key)
        frame = self.report.frame
        rows = frame[
            (frame.label == key[0])
            & (frame.dataset == key[1])
            & (frame.quantity == "error")
            & (frame.channel == "test")
            & (frame.phase == Phase.TRAIN)
            & (frame.stage == stage)
        ]
        last = rows.sort_values("epoch").groupby("seed", observed=True).tail(1)
        return estimates(last.assign(partial=False)).get(key)


def judge(figure: Figure, own: Estimate, reasons: list[str]) -> Verdict:
    """Return the verdict on an estimate in the printed unit; `reasons` say why the cell is not what was published."""
    if figure.barrier:
        return Verdict(figure.barrier, figure.doubts)
    if own.partial:
        reasons = [*reasons, "windows are missing: a lower bound"]
    if reasons:
        return Verdict(NOT_COMPARABLE, "; ".join(reasons))
    low, high = mean_interval(own) or (own.mean, own.mean)
    slack = figure.tolerance * (1 + 1e-9)
    meets = high > figure.value if figure.is_bound else low <= figure.value + slack and high >= figure.value - slack
    single = "" if own.exact or len(own.values) > 1 else "one block: no interval"
    return Verdict(REPRODUCED if meets else DIFFERS, "; ".join(text for text in (single, figure.doubts) if text))


def departures(figure: Figure, header: Header) -> Iterator[str]:
    """Yield why a trained cell is not what was published."""
    recipe = header.cell.recipe
    if header.origin not in (None, Origin.REAL):
        yield f"the data are {'a surrogate' if header.origin == Origin.SURROGATE else 'an extract'}"
    if not figure.network:
        yield "the published network is not stated"
    if figure.epochs is None:
        yield "the published epochs are not stated"
    elif recipe.epochs != figure.epochs:
        yield f"{recipe.epochs:,} epoch{'s' * (recipe.epochs != 1)}, published {figure.epochs:,}"
    if recipe.train_samples is not None and header.samples.get("train", 0) >= recipe.train_samples:
        yield f"trained on {recipe.train_samples:,} samples only"
    if recipe.score_samples is not None and header.samples.get("test", 0) > recipe.score_samples:
        yield f"scored on {recipe.score_samples:,} of {header.samples['test']:,} test samples"


def in_print(figure: Figure, own: Estimate) -> Estimate:
    """Return a stored estimate in the unit of the figure."""
    if figure.quantity == "accuracy":
        return replace(own, values={block: (1 - value) / figure.factor for block, value in own.values.items()})
    return replace(own, values={block: value / figure.factor for block, value in own.values.items()})


def fits(figure: Figure, target: str, header: Header) -> bool:
    """Say whether a cell is what a figure is about; a greedy one has every smaller depth as well."""
    cell = header.cell
    if (cell.learner.target, cell.dataset.target) != (target, figure.dataset):
        return False
    arguments = cell.learner.arguments
    if not all(_given(arguments, name, wanted) for name, wanted in figure.settings.items()):
        return False
    return figure.network in ("", hidden(header)) or stage_of(figure, header) is not None


def stage_of(figure: Figure, header: Header) -> int | None:
    """Return the stage at whose end a greedy cell was the figure's shallower network, or None."""
    if figure.settings.get("order") != "greedy" or figure.quantity not in ("error", "accuracy"):
        return None
    (width, depth), (own_width, own_depth) = _depth(figure.network), _depth(hidden(header))
    return depth - 1 if width and width == own_width and depth < own_depth else None


def hidden(header: Header) -> str:
    """Return the network's short name without its input."""
    return header.network.partition("-")[2]


def _depth(network: str) -> tuple[str, int]:
    """Return width and number of equal dense layers; no width for other networks."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", network)
    return (found[1], int(found[2] or 1)) if found else ("", 0)


def _given(arguments: Mapping[str, Json], name: str, wanted: str) -> bool:
    value: Json = arguments
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if wanted in ("*", "-"):
        return (value is None) == (wanted == "-")
    return str(value) == wanted


def _one_per_cell(report: ReportInput) -> list[Header]:
    """Return one header per label and data set, the measuring process's where there is one."""
    ordered = sorted(report.headers, key=lambda header: header.part == Part.MEASURE)
    found = {(header.cell.label, report.dataset(header)): header for header in ordered}
    return [found[key] for key in sorted(found)]


def _measures(report: ReportInput) -> dict[str, Measure]:
    """Return the measures, energy by the meter with the papers' definition or the first by name."""
    rows = report.derived[report.derived.quantity == "energy"]
    meters = sorted(rows.meter.unique(), key=lambda meter: (meter != PUBLISHED_POWER, meter))
    found = dict(MEASURES)
    energy = found.pop("energy")
    return {**found, "energy": replace(energy, meter=meters[0])} if meters else found


def quotient(parts: Sequence[Estimate]) -> Estimate | None:
    """Return the one estimate, or the ratio of two block by block; None where no block is common.

    An exact value is the same in every block.
    """
    if len(parts) == 1:
        return parts[0]
    top, bottom = parts

    def at(part: Estimate, block: int | None) -> float | None:
        return part.values.get(block, part.values.get(None))

    blocks: set[int | None] = {block for part in parts for block in part.values if block is not None}
    pairs = ((block, at(top, block), at(bottom, block)) for block in blocks or {None})
    values = {block: above / below for block, above, below in pairs if above is not None and below}
    partial = top.partial or bottom.partial
    return Estimate(values, combine(top.provenance, bottom.provenance), partial) if values else None
