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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fobench.contracts import Header, Json, Origin, Part, Phase
from fobench.report.inputs import ReportInput
from fobench.report.provenance import combine
from fobench.report.published import DIFFERS, NOT_COMPARABLE, REPRODUCED, Figure, Published
from fobench.report.stats import Estimate, estimates, mean_interval
from fobench.report.tables import Estimates, Measure, lookup

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


def matches(report: ReportInput, table: Published) -> list[Match]:
    """Return what this suite has beside a published table, in printed order."""
    cells = _cells(report)
    found = {quantity: lookup(report, measure) for quantity, measure in _measures(report).items()}
    made: list[Match] = []
    for figure in table.figures:
        if figure.quantity not in found or not figure.dataset:
            continue
        pairs = _single if len(figure.targets) == 1 else _ratios
        for label, headers, own in pairs(report, cells, figure, found[figure.quantity]):
            reasons = [] if own.exact else [text for header in headers for text in departures(figure, header)]
            shown = in_print(figure, own)
            verdict = judge(figure, shown, list(dict.fromkeys(reasons)))
            made.append(Match(figure, label, report.dataset(headers[0]), shown, verdict))
    return made


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
    if figure.is_bound:
        return Verdict(REPRODUCED if low > figure.value else DIFFERS, figure.doubts)
    meets = low <= figure.value + slack and high >= figure.value - slack
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


def _cells(report: ReportInput) -> list[Header]:
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


Pair = tuple[str, list[Header], Estimate]


def _single(report: ReportInput, cells: list[Header], figure: Figure, found: Estimates) -> Iterator[Pair]:
    for header in cells:
        if fits(figure, figure.target, header):
            own = _estimate(report, figure, header, found)
            if own:
                yield header.cell.label, [header], own


def _ratios(report: ReportInput, cells: list[Header], figure: Figure, found: Estimates) -> Iterator[Pair]:
    """Yield every pair of cells that a ratio is of."""
    tops, bottoms = ([header for header in cells if fits(figure, target, header)] for target in figure.targets)
    for top in tops:
        for bottom in bottoms:
            above, below = (found.get((header.cell.label, report.dataset(header))) for header in (top, bottom))
            if above and below and (own := quotient(above, below)):
                yield f"{top.cell.label} / {bottom.cell.label}", [top, bottom], own


def quotient(top: Estimate, bottom: Estimate) -> Estimate | None:
    """Return the ratio block by block; an exact value is the same in every block. None where no block is common."""

    def at(part: Estimate, block: int | None) -> float | None:
        return part.values.get(block, part.values.get(None))

    blocks: set[int | None] = {block for part in (top, bottom) for block in part.values if block is not None}
    pairs = ((block, at(top, block), at(bottom, block)) for block in blocks or {None})
    values = {block: above / below for block, above, below in pairs if above is not None and below}
    return Estimate(values, combine(top.provenance, bottom.provenance)) if values else None


def _estimate(report: ReportInput, figure: Figure, header: Header, found: Estimates) -> Estimate | None:
    key = (header.cell.label, report.dataset(header))
    stage = stage_of(figure, header)
    if stage is None:
        return found.get(key)
    rows = report.frame[
        (report.frame.label == key[0])
        & (report.frame.dataset == key[1])
        & (report.frame.quantity == "error")
        & (report.frame.channel == "test")
        & (report.frame.phase == Phase.TRAIN)
        & (report.frame.stage == stage)
    ]
    last = rows.sort_values("epoch").groupby("seed", observed=True).tail(1)
    return estimates(last.assign(partial=False)).get(key)
