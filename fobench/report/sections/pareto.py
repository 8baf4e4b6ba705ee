"""Pareto fronts: the error against the energy, the memory and the multiply-accumulates of learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fobench.contracts import Provenance
from fobench.report import numbers
from fobench.report.document import Block, Column, Figure, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.panels import Panels, logarithmic, styles
from fobench.report.pareto import Point, beaten_by, front
from fobench.report.provenance import MARKS, MEANING
from fobench.report.sections.costs import JOULES_PER_WH, energy_meters
from fobench.report.sections.error import ERROR
from fobench.report.tables import Estimates, Measure, lookup, value
from fobench.report.wording import listing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METHOD = (
    "A learner is on the front if no other one has at most its error for at most its cost, and less of one of them. Means over "
    "blocks are compared as they are: a learner just off a front may not be told apart from one on it (see the comparison)."
)
PALE = 0.3


@dataclass(frozen=True)
class _Cost:
    """One horizontal axis: name of the figure, its label, words for captions, and the measure."""

    name: str
    axis: str
    words: str
    measure: Measure


def pareto(report: ReportInput) -> list[Block]:
    """Return figures and a table of the fronts for every data set on which an error was scored."""
    heading = Heading("Pareto fronts")
    errors = lookup(report, ERROR)
    parts = [block for cost in _costs(report) for block in _part(report, cost, errors)]
    if not errors or not parts:
        return [heading, Note("No front: it takes an error on the test split and a cost of the same learner.")]
    return [heading, Prose(METHOD), *parts]


def _costs(report: ReportInput) -> list[_Cost]:
    """List the costs; of energy the preferred meter's, so that measured and estimated never share a front."""
    meters = energy_meters(report)[:1]
    energy = [Measure("", "energy", "train", "Wh", meter=meter, divisor=JOULES_PER_WH) for meter in meters]
    live = Measure("", "memory_peak", "train", "B", channel="total", meter="live-tensors")
    macs = Measure("", "macs", "train", "MAC", meter="macs")
    return [
        *(_Cost("energy", "energy", f"energy per training ({measure.meter})", measure) for measure in energy),
        _Cost("memory", "peak of live tensors", "peak of live tensors in a step", live),
        _Cost("macs", "MACs per sample", "MACs per training sample", macs),
    ]


def _part(report: ReportInput, cost: _Cost, errors: Estimates) -> list[Block]:
    """Draw and tabulate one cost; estimates that lack a window, or mix measured with estimated, stay out."""
    spent = {key: estimate for key, estimate in lookup(report, cost.measure).items() if not estimate.partial}
    if {Provenance.MEASURED, Provenance.ESTIMATED} <= {estimate.provenance for estimate in spent.values()}:
        return [Note(f"No front of {cost.words}: measured and estimated values do not stand in one ranking.")]
    shown = numbers.scale([estimate.mean for estimate in spent.values()], cost.measure.unit, cost.measure.divisor)
    points: dict[str, dict[str, Point]] = {}
    for label, dataset in sorted(set(spent) & set(errors)):
        pair = spent[label, dataset].mean / shown.divisor, errors[label, dataset].mean * 100
        points.setdefault(dataset, {})[label] = pair
    if not points:
        return []
    kind = MEANING[next(iter(spent.values())).provenance].partition(" ")[0]
    caption = f"Error against {cost.words} ({kind}), means over blocks. Line: the front; pale: learners off it."
    draw = _Drawing(points, styles(report.labels), f"{cost.axis} [{shown.unit}]")
    figures: list[Figure] = Panels(draw, sorted(points), height=2.7, legend=True).figures(
        f"pareto-{cost.name}", caption
    )
    return [*figures, _table(report, cost, (spent, errors), points, shown)]


@dataclass(frozen=True)
class _Drawing:
    """Draws one data set's points and the staircase of its front."""

    points: Mapping[str, Mapping[str, Point]]
    looks: Mapping[str, tuple[object, str]]
    xlabel: str

    def __call__(self, axes: Axes, dataset: str) -> None:
        """Draw pale points first, then the front over them."""
        points = self.points[dataset]
        best = front(points)
        steps = [points[label] for label in best]
        axes.step([x for x, _ in steps], [y for _, y in steps], where="post", color="0.6", linewidth=1, zorder=1)
        for label, (x, y) in points.items():
            colour, marker = self.looks[label]
            shared: dict[str, Any] = {"color": colour, "markersize": 6, "markeredgewidth": 0, "linestyle": "none"}
            axes.plot(x, y, marker, alpha=1 if label in best else PALE, clip_on=False, **shared)
            axes.plot([], [], marker, label=label, **shared)  # the legend speaks for all panels
        axes.set(xlabel=self.xlabel, ylabel="error [%]", title=dataset)
        axes.margins(0.1)
        axes.set_ylim(0, None)
        sizes = [x for x, _ in points.values()]
        if max(sizes) > 10 * min(sizes) > 0:
            logarithmic(axes, "x")
        else:
            axes.set_xlim(0, None)


def _table(
    report: ReportInput, cost: _Cost, found: tuple[Estimates, Estimates], points: Mapping[str, Mapping[str, Point]],
    shown: numbers.Scale,
) -> Table:  # fmt: skip
    """Name the learners of the front, with both values, and those that they beat."""
    spent, errors = found
    percent = numbers.scale([], "%", ERROR.divisor, prefixed=False)
    rows = tuple(
        (
            dataset,
            label,
            value(spent[label, dataset], shown),
            value(errors[label, dataset], percent),
            _beaten(label, group),
        )
        for dataset, group in points.items()
        for label in front(group)
    )
    columns = (
        Column("Data set", number=False), Column("On the front", number=False),
        Column(f"{cost.words[0].upper()}{cost.words[1:]} [{shown.unit}]"), Column("Error [%]"), Column("Beats", number=False),
    )  # fmt: skip
    marks = {
        part: MARKS[part]
        for part in Provenance
        if any(MARKS[part] in c.mark for r in rows for c in r if isinstance(c, Value))
    }
    note = "; ".join(f"{mark} = {MEANING[part]}" for part, mark in marks.items())
    return Table(f"The front of error and {cost.words}.", columns, rows, (note,))


def _beaten(label: str, group: Mapping[str, Point]) -> str:
    beaten = [other for other in group if label in beaten_by(other, group)]
    return listing(beaten) if beaten else "none"
