"""Figures and tables of what learners have become: angles, tails of weights, goodness by layer, exits by depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import laplace, norm

from fobench.contracts import Phase, Provenance
from fobench.report import numbers
from fobench.report.curves import epochs_passed
from fobench.report.document import Block, Cell, Column, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.panels import DASHES, Panels, styles
from fobench.report.provenance import MARKS
from fobench.report.tables import MISSING
from fobench.report.tails import shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARK = MARKS[Provenance.MEASURED]
MEASURED_NOTE = f"{MARK} = measured: read off trained weights, so that it differs between seeds"
MOST_PANELS = 24
"""Panels of one learner and data set each that are still a figure; more are a table only."""

FIRST = [Column("Data set", number=False), Column("Learner", number=False)]


def alignment(report: ReportInput) -> list[Block]:
    """Return the angles between feedback and weights over the training, and their first and last values."""
    rows = _rows(report, "alignment", "angle")
    if rows.empty:
        return []
    rows = rows.assign(epochs=epochs_passed(report, rows)).sort_values("epochs", kind="stable")
    looks = styles(report.labels)

    def draw(axes: Axes, dataset: str) -> None:
        axes.axhline(90, color="0.6", linewidth=0.8, zorder=0)
        for label, found in rows[rows.dataset == dataset].groupby("label"):
            colour, marker = looks[str(label)]
            for symbol, strength in _strengths(found.channel).items():
                for _, line in found[found.channel == symbol].groupby("seed"):
                    axes.plot(line.epochs, line.value, color=colour, linestyle=DASHES[marker], alpha=strength, linewidth=1.2,
                              label=label if strength == 1 else None)  # fmt: skip
        axes.set(xlabel="epochs, all stages", ylabel="angle [deg]", title=dataset, xlim=(0, None))

    caption = (
        "Angle between each feedback matrix and the weights that it stands for, one line per matrix and block, the matrix of the "
        "highest layer strongest; 90 degrees (grey): no alignment."
    )
    figures = Panels(draw, sorted(rows.dataset.unique()), height=2.6, legend=True).figures("alignment", caption)
    return [*figures, _angles(rows)]


def _angles(rows: pd.DataFrame) -> Table:
    made = []
    for (dataset, label, symbol), found in rows.groupby(["dataset", "label", "channel"]):
        ends = found.groupby("seed").value
        first, last = ends.first(), ends.last()
        made.append((dataset, label, symbol, _spread(first), _spread(last), _spread(last - first)))
    columns = (
        *FIRST,
        Column("Feedback", number=False),
        Column("Before [deg]"),
        Column("After [deg]"),
        Column("Change [deg]"),
    )
    note = (
        "± is the standard deviation over blocks; two random matrices of n entries meet at 90 ± 57.3 / sqrt(n) degrees"
    )
    caption = "Angles before the first step and at the last score."
    return Table(caption, columns, tuple(made), (MEASURED_NOTE, note))


def weights(report: ReportInput) -> list[Block]:
    """Return the tail of the last layer's weights, and scale and shape of every layer's before and after training."""
    rows = _rows(report, "weights", "weight")
    if rows.empty:
        return []
    names = rows.channel.str.partition("/")
    rows = rows.assign(layer=names[0].str[1:].astype(int), what=names[2], after=rows.phase == Phase.INFER)
    means = rows.groupby(["dataset", "label", "layer", "after", "what"]).value.mean()
    looks = styles(report.labels)

    def draw(axes: Axes, dataset: str) -> None:
        levels = np.geomspace(0.001, 0.5, 40)
        for law, dashes, text in ((norm, "--", "(Gaussian)"), (laplace(scale=0.5**0.5), ":", "(Laplace)")):
            axes.plot(law.isf(levels / 2), levels, color="0.6", linestyle=dashes, linewidth=1, label=text, zorder=0)
        for label, found in means[dataset].groupby("label"):
            last = found[label].loc[found.index.get_level_values("layer").max()]
            if True not in last.index:
                continue
            tail = last[True]
            shares = [name for name in tail.index if name[0].isdigit()]
            colour, marker = looks[str(label)]
            axes.plot(tail[shares] / tail["square"], [float(s) for s in shares], color=colour, label=label, linewidth=1.2,
                      linestyle=DASHES[marker])  # fmt: skip
        axes.set(xlabel="|w| / RMS of w", ylabel="share of weights beyond", title=dataset, yscale="log")
        axes.set_xlim(0, None)

    caption = "Tail of the last layer's weights after training, mean over blocks: the share of weights larger than |w|."
    figures = Panels(draw, sorted(rows.dataset.unique()), height=2.7, legend=True).figures("weights", caption)
    return [*figures, _shapes(means)]


def _shapes(means: pd.Series) -> Table:
    made = []
    for (dataset, label, layer), found in means.groupby(["dataset", "label", "layer"]):
        ends = {
            after: found.xs(after, level="after").droplevel([0, 1, 2]) for after in set(found.index.get_level_values(3))
        }
        scales = [ends[after]["square"] if after in ends else None for after in (False, True)]
        before, after = scales
        change = after / before if before and after else None
        shapes = [_shape(ends[after]) if after in ends else MISSING for after in (False, True)]
        made.append((dataset, label, f"W{layer}", *(_number(scale) for scale in (*scales, change)), *shapes))
    columns = (
        *FIRST, Column("Layer", number=False), Column("RMS before"), Column("RMS after"), Column("After / before"),
        Column("Shape before"), Column("Shape after"),
    )  # fmt: skip
    note = (
        "RMS: root mean square of a layer's weights, dimensionless. Shape: exponent of the generalised Gaussian with the same "
        "mean magnitude and RMS; 2 is Gaussian, 1 Laplace, below 1 a heavier tail, above 20 as good as uniform"
    )
    return Table("Scale and shape of the weights, means over blocks.", columns, tuple(made), (MEASURED_NOTE, note))


def _shape(statistics: pd.Series) -> Cell:
    found = shape(statistics["absolute"] / statistics["square"]) if statistics["square"] else None
    return "> 20" if found is None else Value(numbers.significant(found, 3), MARK, number=found)


def goodness(report: ReportInput) -> list[Block]:
    """Return goodness of test samples under their own and under a wrong label, layer by layer, with the thresholds."""
    rows = _rows(report, "goodness", "goodness")
    rows = rows[rows.phase == Phase.INFER]
    if rows.empty:
        return []
    names = rows.channel.str.extract(r"layer-(\d+)/(\w+)/?(.*)")
    rows = rows.assign(depth=names[0].astype(int), sign=names[1], level=names[2], panel=_panels(rows))
    means = rows.groupby(["panel", "label", "sign", "level", "depth"]).value.mean()
    looks = styles(report.labels)

    def draw(axes: Axes, panel: str) -> None:
        (label,) = means[panel].index.get_level_values("label").unique()
        found = means[panel][label]
        for sign, shift, face in (("positive", -0.12, looks[label][0]), ("negative", 0.12, "white")):
            low, middle, high = (found[sign][level] for level in ("0.25", "0.5", "0.75"))
            axes.errorbar(middle.index + shift, middle, [middle - low, high - middle], fmt=looks[label][1],
                          color=looks[label][0], markerfacecolor=face, markersize=5, elinewidth=1)  # fmt: skip
        threshold = found["threshold"][""]
        axes.hlines(threshold, threshold.index - 0.35, threshold.index + 0.35, color="0.4", linewidth=1.2)
        axes.set(xlabel="layer", ylabel="goodness", title=panel, xticks=threshold.index, ylim=(0, None))

    caption = (
        "Goodness of test samples after training: median and quartiles under the own label (filled) and under a wrong one "
        "(open), mean over blocks; horizontal line: the layer's threshold."
    )
    names = sorted(rows.panel.unique())
    figures = Panels(draw, names, height=2.4).figures("goodness", caption) if len(names) <= MOST_PANELS else []
    return [*figures, _grades(means)]


def _grades(means: pd.Series) -> Table:
    made = []
    for (panel, label), found in means.groupby(["panel", "label"]):
        graded = found[panel][label]
        for depth, threshold in graded["threshold"][""].items():
            medians = (graded[sign]["0.5"][depth] for sign in ("positive", "negative"))
            made.append((panel, f"{depth}", *(_number(value) for value in (*medians, threshold))))
    columns = (
        Column("Learner and data set", number=False), Column("Layer"), Column("Own label"), Column("Wrong label"),
        Column("Threshold"),
    )  # fmt: skip
    return Table(
        "Median goodness of test samples after training, mean over blocks.", columns, tuple(made), (MEASURED_NOTE,)
    )


def exits(report: ReportInput) -> list[Block]:
    """Return the shares of test samples that leave after each layer, for learners with early exit."""
    rows = _rows(report, "exits", "depth")
    if rows.empty:
        return []
    counts = (
        rows.assign(depth=rows.value.astype(int)).groupby(["dataset", "label", "depth"]).samples.sum().astype(float)
    )
    shares = 100 * counts / counts.groupby(["dataset", "label"]).transform("sum")
    deepest = int(rows.value.max())
    shades = [str(1 - 0.85 * depth / deepest) for depth in range(1, deepest + 1)]
    labels = sorted(rows.label.unique())

    def draw(axes: Axes, dataset: str) -> None:
        found = shares[dataset].unstack("depth").reindex(labels)
        ends = pd.Series(0.0, labels)
        for depth in found.columns:
            width = found[depth].fillna(0)
            axes.barh(
                labels, width, 0.72, ends, color=shades[depth - 1], label=f"{depth}", edgecolor="white", linewidth=0.6
            )
            ends += width
        axes.invert_yaxis()
        axes.set(xlabel="test samples [%]", title=dataset, xlim=(0, 100))

    caption = "Layers that test samples used before they left (number of layers below), all blocks together."
    panels = Panels(draw, sorted(rows.dataset.unique()), 1.1 + 0.2 * len(labels), legend=True)
    return [*panels.figures("exits", caption), _depths(shares)]


def _depths(shares: pd.Series) -> Table:
    wide = shares.unstack("depth")
    rows = tuple(
        (
            *map(str, key),
            *(MISSING if pd.isna(share) else _number(share) for share in row),
            _number((row * row.index).sum() / 100),
        )
        for key, row in wide.iterrows()
    )
    columns = (*FIRST, *(Column(f"{depth} [%]", "layers used") for depth in wide.columns), Column("Mean [layers]"))
    return Table("Share of test samples by the layers that they used.", columns, rows, (MEASURED_NOTE,))


def _rows(report: ReportInput, meter: str, quantity: str) -> pd.DataFrame:
    frame = report.frame
    rows = frame[(frame.meter == meter) & (frame.quantity == quantity) & frame.seed.notna()]
    return rows.astype({"label": str, "dataset": str, "channel": str})


def _panels(rows: pd.DataFrame) -> pd.Series:
    """Name one panel per learner and data set."""
    return rows.label + ", " + rows.dataset


def _strengths(symbols: pd.Series) -> dict[str, float]:
    """Return opacities that rise with the number in a symbol: `F` is by itself, `B9` comes before `B10`."""
    order = sorted(symbols.unique(), key=lambda symbol: (len(symbol), symbol))
    return {symbol: (place + 1) / len(order) * 0.6 + 0.4 for place, symbol in enumerate(order)}


def _spread(values: pd.Series) -> Value:
    deviation = float(values.std()) if len(values) > 1 else None
    return Value(numbers.with_deviation(values.mean(), deviation), MARK, number=float(values.mean()))


def _number(value: Any) -> Cell:
    return MISSING if value is None else Value(numbers.significant(value, 3), MARK, number=float(value))
