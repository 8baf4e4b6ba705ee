"""The final score on the test split, and what it cost in joules."""

from __future__ import annotations

from fobench.report import figures
from fobench.report.document import Block, Heading, Note
from fobench.report.inputs import ReportInput
from fobench.report.sections.costs import energy_meters
from fobench.report.tables import Measure, tables

ERROR = Measure("", "error", "infer", "%", channel="test", divisor=0.01, prefixed=False)
AREA = Measure("", "auc", "infer", "AUC", channel="test", prefixed=False, highest=True)


def error(report: ReportInput) -> list[Block]:
    """Return the table of errors (and of areas under the curve, where a task has them) and the errors against joules."""
    made = [
        *tables(report, f"Error on the test split after training{_scored(report)}.", [ERROR]),
        *tables(report, f"Area under the ROC curve on the test split after training{_scored(report)}.", [AREA]),
    ]
    if not made:
        return [Heading("Error"), Note("No score was taken: the learners were not asked to predict the test split.")]
    meters = energy_meters(report)
    return [Heading("Error"), *made, *(figures.error_against_energy(report, meters[0]) if meters else [])]


def _scored(report: ReportInput) -> str:
    rows = report.frame[report.frame.quantity.isin(["error", "auc"]) & (report.frame.phase == "infer")]
    sizes = sorted({int(size) for size in rows.samples})
    if not sizes:
        return ""
    return f", {sizes[0]:,} samples" if len(sizes) == 1 else f", {sizes[0]:,} to {sizes[-1]:,} samples"
