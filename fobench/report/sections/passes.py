"""Multiply-accumulates pass by pass: what each method of a learner computes in one training step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from fobench.contracts import Provenance
from fobench.report import numbers
from fobench.report.document import Block, Cell, Column, Figure, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.panels import Panels
from fobench.report.provenance import MARKS, MEANING
from fobench.report.tables import MISSING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {
    "forward": "#77AADD", "second_pass": "#99DDFF", "input_gradient": "#EE8866", "weight_update": "#44BB99",
    "input_gradient+weight_update": "#BBCC33", "projection": "#EEDD88", "head": "#FFAABB",
}  # fmt: skip
"""By role, in the order of the stack: Tol's light colours, safe for the colour-blind, and none of the learners'.

The fifth is work that the counter could not tell apart.
"""

WORDS = {role: role.replace("_", " ").replace("+", " or ") for role in COLOURS}

METHOD = (
    "Products of one training step by their role, per training sample, mean over the stages of a greedy learner; the white "
    "lines in a bar part the learner's own methods."
)


def passes(report: ReportInput) -> list[Block]:
    """Return one stacked bar per learner and data set: the MACs per training sample by role, divided by passes."""
    heading = Heading("Multiply-accumulates by pass")
    shares = _shares(report)
    if shares.empty:
        return [heading, Note("No operations were counted in training: the tracer `macs` was not asked for.")]
    return [heading, Prose(METHOD), *_figures(report, shares), _roles(shares), _methods(shares)]


def _shares(report: ReportInput) -> pd.DataFrame:
    """Return MACs per training sample by label, data set, method and role, each the mean over stages."""
    frame = report.frame
    rows = frame[(frame.quantity == "macs") & (frame.meter == "macs") & (frame.phase == "train") & (frame.samples > 0)]
    keys = ["label", "dataset"]
    rows = rows.astype({"label": str, "dataset": str, "channel": str})
    rows = rows.assign(value=rows.value / rows.samples, stage=rows.stage.fillna(0))
    stages = rows.groupby(keys).stage.nunique().rename("stages")
    sums = rows.groupby([*keys, "channel"], as_index=False).value.sum().merge(stages.reset_index(), on=keys)
    parts = sums.channel.str.extract(r"([^/]*)/?(.*)")
    return sums.assign(value=sums.value / sums.stages, method=parts[0], role=parts[1])


def _figures(report: ReportInput, shares: pd.DataFrame) -> list[Figure]:
    used = [role for role in COLOURS if role in set(shares.role)]
    shown = numbers.scale(shares.groupby(["label", "dataset"]).value.sum(), "MAC")
    heights = {label: place for place, label in enumerate(report.labels)}

    def draw(axes: Axes, dataset: str) -> None:
        part = shares[shares.dataset == dataset]
        ends = dict.fromkeys(heights, 0.0)
        for role in used:
            for row in part[part.role == role].sort_values("method").itertuples():
                axes.barh(heights[row.label], row.value / shown.divisor, 0.72, ends[row.label], color=COLOURS[role],
                          label=WORDS[role], edgecolor="white", linewidth=0.6)  # fmt: skip
                ends[row.label] += row.value / shown.divisor
        axes.set_yticks(list(heights.values()), list(heights))
        axes.set_ylim(len(heights) - 0.4, -0.6)
        axes.set(xlabel=f"per sample [{shown.unit}]", title=dataset)

    height = 0.9 + 0.2 * len(report.labels)
    panels = Panels(draw, sorted(shares.dataset.unique()), height, legend=True, shared=True)
    return panels.figures("macs-passes", "Multiply-accumulates of a training step by role.")


def _roles(shares: pd.DataFrame) -> Table:
    used = [role for role in COLOURS if role in set(shares.role)]
    sums = shares.groupby(["dataset", "label", "role"]).value.sum()
    shown = numbers.scale(sums, "MAC")
    mark = MARKS[Provenance.ANALYTICAL]

    def cell(*key: str) -> Cell:
        count = sums.get(key)
        return (
            MISSING
            if count is None
            else Value(numbers.exact(count / shown.divisor), mark, number=count / shown.divisor)
        )

    columns = [Column(f"{WORDS[role].capitalize()} [{shown.unit}]") for role in used]
    pairs = sorted({(row.dataset, row.label) for row in shares.itertuples()})
    rows = tuple((*pair, *(cell(*pair, role) for role in used)) for pair in pairs)
    first = (Column("Data set", number=False), Column("Learner", number=False))
    notes = (f"{mark} = {MEANING[Provenance.ANALYTICAL]}", f"{MISSING} = the learner does no product in this role")
    return Table("Multiply-accumulates per training sample by role.", (*first, *columns), rows, notes)


def _methods(shares: pd.DataFrame) -> Table:
    """Say which of its methods, named as in the paper, a learner does its products in."""
    found: dict[str, dict[str, list[str]]] = {}
    for (label, method), rows in shares.groupby(["label", "method"]):
        found.setdefault(str(label), {})[str(method)] = [WORDS.get(role, role) for role in sorted(set(rows.role))]
    rows = tuple((label, "; ".join(f"{m}: {', '.join(r)}" for m, r in parts.items())) for label, parts in found.items())
    columns = (Column("Learner", number=False), Column("Method of the learner: roles", number=False))
    return Table("The methods of the learners, passes as their papers name them.", columns, rows)
