"""The canvas of all figures: one panel per data set, a colour and a marker for every learner, pages that fit on paper."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from fobench.report.document import Figure

DPI = 220
WIDTH = 6.7
"""Inches: the width of the text on A4."""

FIXED_COLOURS = ("bp", "bpautograd", "drtp", "pepita", "ff", "biofo")
"""Labels, in small letters without signs, whose place in the palette never changes; others come after them by name."""

HEIGHT = 8.0
"""Inches: the tallest figure that leaves room for its caption."""

TICKS = {1.5: (1.0, 2.0, 5.0), 2.5: (1.0, 3.0), math.inf: (1.0,)}
"""Numbers in each decade of a logarithmic axis that spans fewer decades than this, so that they do not touch."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X")

DASHES: dict[str, Any] = {
    "o": "-", "s": (0, (5, 1)), "D": (0, (1, 1)), "^": "-.", "v": (0, (5, 1, 1, 1)), "P": (0, (8, 2)), "X": ":",
}  # fmt: skip
"""Line style by marker, for lines that carry none."""


def styles(labels: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """Return colour and marker of each label; beyond the ten colours the marker tells labels apart."""
    palette = sns.color_palette("colorblind")
    plain = {label: "".join(filter(str.isalnum, label.lower())) for label in labels}
    others = [label for label in sorted(labels) if plain[label] not in FIXED_COLOURS]
    order = [*FIXED_COLOURS, *others]
    places = {label: order.index(label if label in others else plain[label]) for label in labels}
    return {
        label: (palette[places[label] % len(palette)], MARKERS[places[label] // len(palette) % len(MARKERS)])
        for label in labels
    }


@dataclass(frozen=True)
class Panels:
    """Draws one panel per data set, `height` inches each, three in a row; `shared` gives a row one vertical axis."""

    draw: Callable[[Axes, str], None]
    datasets: Sequence[str]
    height: float
    legend: bool = False
    shared: bool = False

    def figures(self, name: str, caption: str) -> list[Figure]:
        """Return the panels as one figure, or as many as paper needs."""
        size = 3 * max(1, int(HEIGHT // self.height))
        parts = [self.datasets[start : start + size] for start in range(0, len(self.datasets), size)]
        return [
            Figure(
                f"{name}-{number}" if number else name, f"{caption} (continued)" if number else caption, self._png(part)
            )
            for number, part in enumerate(parts)
        ]

    def _png(self, datasets: Sequence[str]) -> bytes:
        columns = min(3, len(datasets))
        rows = -(-len(datasets) // columns)
        size = (WIDTH, min(HEIGHT, self.height * rows))
        texts = plt.rc_context({"axes.titlesize": 9, "axes.labelsize": 8.5})
        with sns.axes_style("ticks"), sns.plotting_context("paper"), texts:
            figure, grid = plt.subplots(
                rows, columns, figsize=size, squeeze=False, sharey=self.shared, layout="constrained"
            )
            for axes in list(grid.flat)[len(datasets) :]:
                axes.set_axis_off()
            for axes, dataset in zip(grid.flat, datasets, strict=False):
                self.draw(axes, dataset)
            sns.despine(figure)
            if self.legend:
                _legend(figure)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
            plt.close(figure)
        return buffer.getvalue()


def logarithmic(axes: Axes, side: str) -> None:
    """Make one side of a panel, `x` or `y`, logarithmic, with few plain numbers."""
    axes.set(**{f"{side}scale": "log"})
    axis = axes.xaxis if side == "x" else axes.yaxis
    low, high = sorted(axis.get_data_interval())
    decades = math.log10(high / low) if low > 0 else 0
    axis.set_major_locator(LogLocator(subs=next(subs for most, subs in TICKS.items() if decades < most)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(figure: Any) -> None:
    """Put one legend for all panels below them, and make the figure taller by its lines."""
    entries = {
        label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    names = sorted(entries)
    columns = min(len(names), max(1, 90 // (max(len(name) for name in names) + 8)))
    figure.set_figheight(figure.get_figheight() + 0.17 * (len(names) / columns - 1))
    lines = [entries[name] for name in names]
    figure.legend(lines, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
