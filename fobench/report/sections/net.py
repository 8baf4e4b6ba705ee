"""Net energy beside gross, meter after meter."""

from __future__ import annotations

from fobench.contracts import Provenance
from fobench.report import numbers
from fobench.report.document import Block, Cell, Column, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.net import Net, net_energy
from fobench.report.provenance import MARKS
from fobench.report.sections.costs import energy_meters
from fobench.report.tables import MISSING
from fobench.report.units import JOULES_PER_WH

Nets = dict[tuple[str, str], Net]

KINDS = (("train", "recipe", "training", "Wh", JOULES_PER_WH), ("infer", "single", "single prediction", "J", 1.0))
"""Phase, batch, words, unit and the joules in it."""


def net(report: ReportInput) -> list[Block]:
    """Return gross and net energy of trainings and of single predictions by each meter."""
    blocks: list[Block] = [Heading("Net energy"), Prose(METHOD)]
    for meter in energy_meters(report):
        for phase, batch, words, unit, joules in KINDS:
            found = net_energy(report, meter, phase, batch)
            if found:
                caption = f"Gross and net energy per {words}. Meter: {meter}."
                blocks.append(_table(report, caption, found, numbers.scale(_sizes(found), unit, joules)))
    if len(blocks) > 2:
        return blocks
    return [
        blocks[0],
        Note("No net energy: it takes an energy meter, the meter `clock` and an idle window of the same process."),
    ]


METHOD = (
    "Net is gross energy minus the idle power of the same process times duration, so it is estimated; ± is the standard error "
    "of the mean that the idle windows propagate to it, not the spread over blocks. Everything else in this report is gross."
)


def _sizes(found: Nets) -> list[float]:
    return [made.gross for made in found.values()]


def _table(report: ReportInput, caption: str, found: Nets, shown: numbers.Scale) -> Table:
    columns = (
        Column("Data set", number=False), Column("Learner", number=False), Column("Blocks"), Column(f"Gross [{shown.unit}]"),
        Column("Idle power [W]"), Column(f"Net [{shown.unit}]"), Column("Net / gross [%]"),
    )  # fmt: skip
    keys = [(label, dataset) for dataset in report.datasets for label in report.labels if (label, dataset) in found]
    rows = tuple((dataset, label, *_row(found[label, dataset], shown)) for label, dataset in keys)
    notes = ["marks: " + ", ".join(f"{mark} = {part}" for part, mark in MARKS.items() if part != Provenance.ANALYTICAL)]
    if any(made.error is None for made in found.values()):
        notes.append("net without ±: one idle window is all there is, so that its error is not known")
    return Table(caption, columns, rows, tuple(notes))


def _row(made: Net, shown: numbers.Scale) -> tuple[Cell, ...]:
    gross, estimated = MARKS[made.provenance], MARKS[Provenance.ESTIMATED]
    error = None if made.error is None else made.error / shown.divisor
    text = numbers.with_deviation(made.net / shown.divisor, error)
    share = 100 * made.net / made.gross if made.gross else None
    return (
        str(made.blocks),
        Value(numbers.significant(made.gross / shown.divisor, 4), gross, number=made.gross / shown.divisor),
        Value(numbers.significant(made.watts, 4), gross, number=made.watts),
        Value(text, estimated, number=made.net / shown.divisor),
        MISSING if share is None else Value(numbers.significant(share, 3), estimated, number=share),
    )
