"""Published figures beside this suite's, each with the difference and a verdict; and what needs no run to be said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fobench.contracts import Provenance
from fobench.report import numbers
from fobench.report.document import Block, Cell, Column, Heading, Note, Prose, Table, Value
from fobench.report.doubts import BATCH, DEPTHS, TASKS, WIDTH, active_bytes, doubts, least_bytes, step_bytes
from fobench.report.inputs import ReportInput
from fobench.report.provenance import MARKS, MEANING
from fobench.report.published import Figure, Published, tables
from fobench.report.reproduce import Beside, Match
from fobench.report.stats import Estimate, mean_interval
from fobench.report.tables import MISSING
from fobench.report.wording import listing

COLUMNS = (
    Column("Published figure", number=False),
    Column("Learner here", number=False),
    Column("Data set", number=False),
    Column("Published"),
    Column("This suite"),
    Column("95 % interval"),
    Column("Difference"),
    Column("Verdict", number=False),
)
POINTS = ("error", "accuracy")
"""Quantities whose difference is in points of a per cent; that of the others is relative."""


def reproduction(report: ReportInput) -> list[Block]:
    """Return one table per published table that a cell belongs to, and the findings that need no run."""
    suite = Beside(report)
    found = [(table, suite.matches(table)) for table in tables()]
    beside = [(table, own) for table, own in found if own]
    return [
        Heading("Reproduction"),
        *_introduction(report, [match for _, own in beside for match in own]),
        *(_table(table, own) for table, own in beside),
        *_elsewhere([table for table, own in found if not own], bool(beside)),
        *_findings(),
        _memory("CIFAR-10"),
    ]


def _introduction(report: ReportInput, found: list[Match]) -> list[Block]:
    if not found:
        return []
    counts = Counter(match.verdict.word for match in found)
    words = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    return [
        Prose(
            f"Published figures that a cell of this suite belongs to, by learner, hidden layers and data set: {words}. "
            "Step sizes and batch are not compared: they are the suite's own. "
            "Reproduced means that the 95 % interval of the mean over blocks (of one block: the value) meets the published "
            "value within its printed spread, or half of its last digit; not comparable, that epochs, samples, data or "
            "machine are not the published ones; cannot be reproduced as published, that the publication leaves out what "
            f"the number depends on. Shown by: fobench report {report.suite}."
        )
    ]


def _table(table: Published, found: list[Match]) -> Table:
    reasons = list(dict.fromkeys(match.verdict.reason for match in found if match.verdict.reason))
    rows = tuple(_row(match, reasons) for match in found)
    marks = {MARKS[match.own.provenance] for match in found}
    return Table(
        f"{table.title}, published and here.{_command(table)}",
        COLUMNS,
        rows,
        (
            *(f"[{number}] {reason}" for number, reason in enumerate(reasons, 1)),
            f"counted: {'; '.join(dict.fromkeys(match.figure.counted for match in found))}",
            f"source: {table.source}",
            "; ".join(f"{MARKS[part]} = {MEANING[part]}" for part in Provenance if MARKS[part] in marks),
        ),
    )


def _command(table: Published) -> str:
    return f" At the published settings: {' or '.join(commands(table))}." if table.suites else ""


def commands(table: Published) -> list[str]:
    """Return the commands that run a published table at its settings."""
    return [f"fobench run {_file(suite)}" for suite in table.suites]


def _file(suite: str) -> str:
    return f"suites/{suite.replace('-', '/', 1)}.yaml"


def _row(match: Match, reasons: Sequence[str]) -> tuple[Cell, ...]:
    figure, verdict = match.figure, match.verdict
    place = ", ".join(part for part in (figure.row, figure.group, figure.column) if part)
    unit = "" if figure.unit == "ratio" else f" {figure.unit}"
    number = f" [{reasons.index(verdict.reason) + 1}]" if verdict.reason else ""
    return (
        place,
        match.label,
        match.dataset,
        Value(f"{figure.printed}{unit}", number=figure.value),
        _own(match.own),
        _interval(match),
        _difference(figure, match.difference),
        f"{verdict.word}{number}",
    )


def _own(own: Estimate) -> Value:
    text = numbers.exact(own.mean) if own.exact else numbers.significant(own.mean, 4)
    return Value(text, MARKS[own.provenance], number=own.mean)


def _interval(match: Match) -> str:
    limits = mean_interval(match.own)
    return " to ".join(numbers.significant(limit, 4) for limit in limits) if limits else MISSING


def _difference(figure: Figure, difference: float) -> Value:
    if figure.quantity in POINTS:
        return Value(f"{difference:+.2f} points", number=difference)
    relative = difference / figure.value
    text = f"{relative:+.1%}" if abs(relative) < 1 / 2 else f"{numbers.significant(1 + relative, 2)} times"
    return Value(text.replace("%", " %"), number=100 * relative)


def _elsewhere(others: list[Published], some: bool) -> list[Block]:
    """Say in one line which suites would have the figures that nothing here stands beside."""
    files = [_file(suite) for suite in dict.fromkeys(suite for table in others for suite in table.suites)]
    if not files:
        return []
    what = "The other published tables have" if some else "No cell here has a published figure beside it;"
    return [Note(f"{what} their settings in {listing(files)}.")]


def _findings() -> list[Block]:
    """Say what is doubtful of the published figures; every number is computed anew, without a run."""
    return [
        Heading("What needs no run", 2),
        *(Prose(f"{item.name}: {item.verdict}. {item.sentence} Shown by: {item.command}.") for item in doubts()),
    ]


def _memory(name: str) -> Table:
    """Lay out BP's bytes over Bio-FO's by depth, in three accountings."""
    task = TASKS[name]
    rows: list[tuple[Cell, ...]] = []
    for depth in DEPTHS:
        whole, active, least = (
            step_bytes("biofo", task, depth),
            active_bytes(task, depth),
            least_bytes("biofo", task, depth),
        )
        hand, autograd = (step_bytes(rule, task, depth) for rule in ("bp", "bp-autograd"))
        maps = [least_bytes(rule, task, depth) / least for rule in ("bp", "bp-autograd")]
        ratios = [hand / whole, autograd / whole, hand / active, autograd / active, *maps]
        own = Value(f"{whole / 1e6:.1f}", MARKS[Provenance.ANALYTICAL], number=whole / 1e6)
        rows.append((str(depth), own, *(Value(f"{ratio:.2f}", number=ratio) for ratio in ratios)))
    groups = ("all that is alive", "without frozen layers", "grows with the batch")
    columns = [Column(header, group) for group in groups for header in ("BP", "autograd")]
    caption = (
        f"Bytes of a training step, BP's over Bio-FO's: layers of {WIDTH:,} on {name}, float32, Adam, batch {BATCH}, the last "
        "and largest stage of greedy Bio-FO. Claimed: about 3 times less than BP."
    )
    notes = (
        f"{MARKS[Provenance.ANALYTICAL]} = {MEANING[Provenance.ANALYTICAL]}",
        "BP = written by hand, buffers reused; autograd = torch's, which keeps more",
        "without frozen layers: their weights are not counted for Bio-FO, though a forward pass needs them",
    )
    return Table(caption, (Column("Layers"), Column("Bio-FO [MB]"), *columns), tuple(rows), notes)
