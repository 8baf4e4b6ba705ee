"""Sampled trainings: what was measured of the budget, and how sure the extrapolation is."""

from __future__ import annotations

import pandas as pd

from fobench.contracts import Provenance, total_channels
from fobench.report import numbers
from fobench.report.document import Block, Cell, Column, Heading, Prose, Table, Value
from fobench.report.extrapolate import PROCESS, extrapolated
from fobench.report.inputs import ReportInput
from fobench.report.provenance import MARKS, WEAKNESS
from fobench.report.tables import MISSING

METHOD = (
    "These trainings were measured until the energy per sample of each stage was known well enough, and multiplied up to the "
    "samples of the budget. ± is the half-width of the 95 % interval that the spread of the windows leaves; what drifts over "
    "hours is not in it. Nothing was trained to the end, so that there is no error."
)


def sampled(report: ReportInput) -> list[Block]:
    """Return the extrapolated energies and durations with their intervals, if any cell was trained by samples."""
    if not (report.frame.quantity == "budget").any():
        return []
    ranks = {str(part): rank for rank, part in enumerate(WEAKNESS)}
    frame = report.frame.assign(weakness=report.frame.provenance.astype(str).map(ranks))
    tables = [_table(extrapolated(frame, quantity), unit) for quantity, unit in (("energy", "J"), ("duration", "s"))]
    return [Heading("Sampled training"), Prose(METHOD), *(table for table in tables if table.rows)]


def _table(rows: pd.DataFrame, unit: str) -> Table:
    columns = (
        Column("Data set", number=False), Column("Learner", number=False), Column("Seed"), Column("Meter", number=False),
        Column("Channel", number=False), Column(f"Whole training [{unit}]"), Column("Measured share [%]"),
    )  # fmt: skip
    wanted = rows[rows.channel.map(lambda channel: bool(total_channels({channel}))).astype(bool)]
    made = tuple(_row(row) for _, row in wanted.sort_values(["dataset", *PROCESS, "meter", "channel"]).iterrows())
    what = "Energy" if unit == "J" else "Duration"
    note = "marks: " + ", ".join(f"{MARKS[part]} = {part}" for part in Provenance)
    return Table(f"{what} of the whole budget, extrapolated from a sampled training.", columns, made, (note,))


def _row(row: pd.Series) -> tuple[Cell, ...]:
    half_width = None if pd.isna(row.half_width) else float(row.half_width)
    shown = Value(numbers.with_deviation(row.value, half_width), MARKS[WEAKNESS[int(row.weakness)]], number=row.value)
    share = Value(numbers.significant(100 * row.share, 3), MARKS[Provenance.ANALYTICAL], number=100 * row.share)
    seed = MISSING if pd.isna(row.seed) else str(row.seed)
    return (str(row.dataset), str(row.label), seed, str(row.meter), str(row.channel), shown, share)
