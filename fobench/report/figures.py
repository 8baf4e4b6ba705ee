"""Figures as PNG: the same learner in the same colour everywhere, units on the axes, nothing that carries no data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import seaborn as sns

from fobench.report import numbers
from fobench.report.document import Block, Note
from fobench.report.inputs import ReportInput
from fobench.report.panels import DASHES, Panels, logarithmic, styles
from fobench.report.provenance import MEANING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def energy_bars(report: ReportInput, meter: str) -> list[Block]:
    """Draw the energy of a training as bars, one panel per data set, with the deviation over blocks."""
    rows = report.derived
    rows = rows[(rows.quantity == "energy") & (rows.phase == "train") & (rows.meter == meter) & ~rows.partial]
    if rows.empty:
        return []
    if {"measured", "estimated"} <= set(rows.provenance):
        return [Note(f"No figure of {meter}: measured and estimated values do not stand in one row of bars.")]
    shown = numbers.scale(rows.value, "Wh", 3600.0)
    rows = rows.assign(shown=rows.value / shown.divisor)
    looks = styles(report.labels)

    def draw(axes: Axes, dataset: str) -> None:
        sns.barplot(
            rows[rows.dataset == dataset].astype({"label": str}), x="shown", y="label", hue="label", ax=axes, order=report.labels,
            palette={label: look[0] for label, look in looks.items()}, errorbar="sd", legend=False, saturation=1,
            err_kws={"linewidth": 1.2, "color": "0.2"}, width=0.72,
        )  # fmt: skip
        axes.set(xlabel=f"energy [{shown.unit}]", ylabel="", title=dataset)

    panels = Panels(draw, _order(rows), height=0.9 + 0.2 * len(report.labels), shared=True)
    kind = MEANING[next(part for part in MEANING if part == rows.provenance.iloc[0])].partition(" ")[0]
    caption = f"Energy per training ({meter}, {kind}); bars are means over blocks, whiskers one standard deviation."
    return [*panels.figures("energy", caption)]


def error_against_energy(report: ReportInput, meter: str) -> list[Block]:
    """Draw the final error against the energy of the training, one point per block."""
    rows = report.derived[~report.derived.partial]
    keys = ["label", "dataset", "seed"]
    spent = rows[(rows.quantity == "energy") & (rows.phase == "train") & (rows.meter == meter)].set_index(keys).value
    errors = rows[rows.quantity == "error"].set_index(keys).value
    both = pd.concat({"joules": spent, "error": errors * 100}, axis=1).dropna().reset_index()
    if both.empty:
        return []
    looks = styles(report.labels)
    shown = numbers.scale(both.joules, "J")

    def draw(axes: Axes, dataset: str) -> None:
        for label, points in both[both.dataset == dataset].groupby("label", observed=True):
            colour, marker = looks[str(label)]
            joules = points.joules / shown.divisor
            axes.plot(
                joules, points.error, marker, color=colour, label=label, markersize=5.5, alpha=0.85, markeredgewidth=0
            )
        axes.set(xlabel=f"energy per training [{shown.unit}]", ylabel="error [%]", title=dataset, ylim=(0, None))
        if both.joules.max() > 20 * both.joules.min() > 0:
            logarithmic(axes, "x")
        else:
            axes.set_xlim(0, None)

    caption = f"Final error against the energy of the training ({meter}), one point per block."
    return [*Panels(draw, _order(both), height=2.7, legend=True).figures("error-energy", caption)]


def memory_time_line(report: ReportInput) -> list[Block]:
    """Draw the live bytes of a training step: all of them above, those that grow with the batch below."""
    frame = report.frame
    live = (frame.meter == "live-tensors") & (frame.quantity == "memory_live") & (frame.phase == "train")
    rows = frame[live & frame.channel.isin(["total", "batch"])]
    if rows.empty:
        return []
    rows = _highest_stage(rows)
    shown = numbers.scale(rows.groupby(["label", "dataset"], observed=True).value.max(), "B")
    looks = styles(report.labels)

    def draw_channel(channel: str) -> Callable[[Axes, str], None]:
        def draw(axes: Axes, dataset: str) -> None:
            part = rows[(rows.dataset == dataset) & (rows.channel == channel)]
            for label, line in part.sort_values("window").groupby("label", observed=True):
                share = pd.Series(range(len(line))) / max(1, len(line) - 1) * 100
                axes.plot(share, line.value / shown.divisor, color=looks[str(label)][0], label=label, linewidth=1.2,
                          linestyle=DASHES[looks[str(label)][1]])  # fmt: skip
            axes.set(
                ylabel=f"live bytes [{shown.unit}]", xlabel="position in the step [%]", ylim=(0, None), xlim=(0, 100)
            )
            axes.set_title(dataset)

        return draw

    made: list[Block] = []
    texts = {"total": "All live tensors", "batch": "Live bytes that grow with the batch"}
    for channel, text in texts.items():
        panels = Panels(draw_channel(channel), _order(rows), height=2.4, legend=True)
        where = "over one training step (events of allocation and release, evenly spaced), in the stage with the highest peak"
        made += panels.figures(f"memory-{channel}", f"{text} {where}.")
    return made


def _highest_stage(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep, of each label and data set, the stage whose total peaks highest."""
    keys = ["label", "dataset"]
    totals = rows[rows.channel == "total"].assign(stage=rows.stage.fillna(0))
    peaks = (
        totals.groupby([*keys, "stage"], observed=True).value.max().reset_index().sort_values("value", kind="stable")
    )
    highest = peaks.groupby(keys, observed=True).tail(1)[[*keys, "stage"]]
    return rows.assign(stage=rows.stage.fillna(0)).merge(highest, on=[*keys, "stage"])


def _order(rows: pd.DataFrame) -> list[str]:
    return sorted(rows.dataset.astype(str).unique())
