"""What the operation counters did not cover, and where fvcore's forward count differs from the ledger's."""

from __future__ import annotations

from fobench.report import numbers
from fobench.report.document import Block, Column, Note, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.tables import Measure, lookup, value

LEDGER = Measure("", "macs", "infer", "MAC", meter="macs")
FVCORE = Measure("", "macs", "infer", "MAC", meter="fvcore")


def operations(report: ReportInput) -> list[Block]:
    """Return the operations without a formula, and the comparison of the two counters of predictions."""
    return [*_uncovered(report), *_against_fvcore(report)]


def _uncovered(report: ReportInput) -> list[Block]:
    rows = report.frame[(report.frame.quantity == "uncovered") & (report.frame.value > 0)]
    counted = rows.groupby(["meter", "label", "channel"], observed=True).value.max()
    if counted.empty:
        return []
    listed: dict[tuple[str, str], list[str]] = {}
    for (meter, label, channel), calls in counted.items():
        listed.setdefault((meter, label), []).append(f"{channel} ({calls:,.0f})")
    columns = (
        Column("Counter", number=False),
        Column("Learner", number=False),
        Column("Operations (calls)", number=False),
    )
    table_rows = tuple((meter, label, ", ".join(names)) for (meter, label), names in listed.items())
    return [Table("Operations without a formula: they are in no count.", columns, table_rows)]


def _against_fvcore(report: ReportInput) -> list[Block]:
    """Compare MACs per predicted sample; fvcore sees one forward pass of a traceable network and nothing else."""
    ledger, fvcore = lookup(report, LEDGER), lookup(report, FVCORE)
    both = sorted(set(ledger) & set(fvcore))
    if not both:
        return []
    differing = [key for key in both if ledger[key].mean != fvcore[key].mean]
    if not differing:
        return [Note(f"fvcore's forward count agrees with the ledger in all {len(both)} cases that it could trace.")]
    shown = numbers.scale([ledger[key].mean for key in differing], "MAC")
    rows = tuple(
        (*key, value(ledger[key], shown), value(fvcore[key], shown), _share(fvcore[key].mean, ledger[key].mean))
        for key in differing
    )
    columns = (
        Column("Learner", number=False), Column("Data set", number=False), Column(f"Ledger [{shown.unit}]"),
        Column(f"fvcore [{shown.unit}]"), Column("fvcore / ledger"),
    )  # fmt: skip
    caption = f"Where fvcore's count of a prediction differs from the ledger's, {len(differing)} of {len(both)} cases."
    return [Table(caption, columns, rows)]


def _share(part: float, whole: float) -> Value | str:
    return Value(numbers.significant(part / whole, 4), "a", number=part / whole) if whole else "–"
