"""How the test error falls in the course of a training: by epochs, samples and joules, and how slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from fobench.contracts import Provenance
from fobench.report import convergence, numbers
from fobench.report.convergence import Plateau
from fobench.report.curves import curves
from fobench.report.document import Block, Cell, Column, Figure, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.panels import DASHES, Panels, logarithmic, styles
from fobench.report.provenance import MARKS
from fobench.report.sections.costs import energy_meters
from fobench.report.tables import MISSING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 30
"""Scores of a line up to which each has a marker."""

WIDE = 5
"""Ratio of errors from which they stand on a logarithmic axis."""

METHOD = (
    "Scores are taken at the ends of windows nearest to ends of epochs; the stages of a greedy learner follow one another, so "
    "that an epoch is one pass of the training samples, whatever it trains. The plateau fit is acc = acc_max x / (s + x) with x "
    "in epochs and the slowness s, the epochs to half of the plateau. As published, acc_max is the highest accuracy seen (the "
    "chance level in front, 60 points) and only s is fitted, which makes it too small; the robust fit leaves plateau, slowness "
    "and start free and takes all blocks together."
)

AXES = (
    ("epochs", "epochs, all stages", "", "passes of the training samples"),
    ("samples", "samples, all passes", "", "samples trained on"),
    ("joules", "energy", "J", "energy spent"),
)
"""Column of the curves, words and unit of the axis, words of the caption."""


def learning(report: ReportInput) -> list[Block]:
    """Return curves of the test error against epochs, samples and joules, and the plateau fits."""
    meters = energy_meters(report)
    meter = meters[0] if meters else ""
    found = curves(report, meter)
    if found.empty:
        note = "No course of a training: no error was scored before its end."
        return [Heading("Learning curves"), Note(note)]
    drawn = [block for axis in AXES for block in _figures(report, found.dropna(subset=axis[0]), axis, meter)]
    return [Heading("Learning curves"), Prose(METHOD), *drawn, _fits(report, found)]


def _figures(report: ReportInput, found: pd.DataFrame, axis: tuple[str, str, str, str], meter: str) -> list[Figure]:
    """Draw one line per block; nothing where no score has a place on this axis."""
    if found.empty:
        return []
    column, words, unit, caption = axis
    shown = numbers.scale([found[column].max()], unit, prefixed=column != "epochs")
    looks = styles(report.labels)

    def draw(axes: Axes, dataset: str) -> None:
        for (label, _), line in found[found.dataset == dataset].groupby(["label", "seed"]):
            colour, marker = looks[str(label)]
            axes.plot(
                line[column] / shown.divisor, 100 * line.error, linestyle=DASHES[marker], color=colour, label=label,
                linewidth=1.2, marker=marker, markersize=4 if len(line) <= FEW else 0, markeredgewidth=0,
            )  # fmt: skip
        axes.set(xlabel=f"{words} [{shown.unit}]" if shown.unit else words, ylabel="test error [%]", title=dataset)
        axes.set_xlim(0, None)
        axes.locator_params(axis="x", nbins=4)
        errors = found.error[found.dataset == dataset]
        if errors.max() > WIDE * errors.min() > 0:
            logarithmic(axes, "y")
        else:
            axes.set_ylim(0, None)

    by = f" ({meter})" if column == "joules" else ""
    text = f"Error on the test split against {caption}{by}, one line per block; greedy stages follow one another."
    return Panels(draw, sorted(found.dataset.unique()), height=2.6, legend=True).figures(f"learning-{column}", text)


def _fits(report: ReportInput, found: pd.DataFrame) -> Table:
    columns = (
        Column("Data set", number=False), Column("Learner", number=False), Column("Plateau [%]", "as published"),
        Column("Slowness [epochs]", "as published"), Column("Plateau [%]", "robust"), Column("Slowness [epochs]", "robust"),
        Column("Not fitted", number=False),
    )  # fmt: skip
    classes = {(h.cell.label, report.dataset(h)): h.classes for h in report.headers if h.classes}
    groups = found.groupby(["dataset", "label"])
    rows = tuple(_row(str(d), str(label), rows, classes.get((label, d))) for (d, label), rows in groups)
    notes = (
        f"{MARKS[Provenance.ESTIMATED]} = estimated: what a model makes of measured errors; plateaus are accuracies",
        "±: half-width of the 95 % interval that the residuals leave; scores of one training are not independent, so that it is "
        "too narrow",
    )
    return Table("Plateau and slowness of the accuracy on the test split.", columns, rows, notes)


def _row(dataset: str, label: str, rows: pd.DataFrame, classes: int | None) -> tuple[Cell, ...]:
    fits = {"published": _published(rows, classes), "robust": convergence.robust(rows.epochs, 1 - rows.error)}
    reasons = [f"{name}: {fit}" for name, fit in fits.items() if isinstance(fit, str)]
    shown = [cell for fit in fits.values() for cell in _cells(fit)]
    return (dataset, label, *shown, "; ".join(reasons) or MISSING)


def _published(rows: pd.DataFrame, classes: int | None) -> Plateau | str:
    """Fit the mean over blocks of one accuracy per epoch, which the published procedure takes."""
    if classes is None:
        return "the number of classes is not in these results"
    means = (1 - rows.error).groupby(rows.epochs.round().astype(int)).mean()
    if list(means.index) != list(range(1, len(means) + 1)):
        return "there is not one score per epoch"
    return convergence.published(list(means), 1 / classes)


def _cells(fit: Plateau | str) -> tuple[Cell, Cell]:
    if isinstance(fit, str):
        return MISSING, MISSING
    mark = MARKS[Provenance.ESTIMATED]
    plateau = Value(numbers.significant(100 * fit.plateau, 4), mark, number=100 * fit.plateau)
    return plateau, Value(numbers.with_deviation(fit.slowness, fit.half_width), mark, number=fit.slowness)
