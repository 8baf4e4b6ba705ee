"""The newcomer against the learners that were measured beside it: one table, and a verdict sentence for each data set."""

from __future__ import annotations

from collections.abc import Iterator

from fobench.contracts import Newcomer, Provenance
from fobench.report import numbers
from fobench.report.comparison import Comparison, Rules, compare
from fobench.report.document import Block, Cell, Column, Heading, Note, Prose, Table, Value
from fobench.report.inputs import OTHER_RUN, ReportInput
from fobench.report.provenance import MARKS
from fobench.report.sections.comparison import measures
from fobench.report.sections.costs import energy_meters
from fobench.report.stats import Estimate, told_apart
from fobench.report.tables import MISSING, Estimates, lookup
from fobench.report.wording import listing

SCORES = ("error", "area under the curve")
"""Compared by their difference; everything else by a ratio."""


def newcomer(report: ReportInput) -> list[Block]:
    """Return the newcomer's table and verdicts; nothing for a suite without a newcomer."""
    who = report.newcomer
    if who is None:
        return []
    heading = Heading(f"The newcomer: {who.label}")
    missing = [label for label in (who.label, *who.against) if label not in report.labels]
    if missing:
        return [heading, Note(f"There is no result of {listing(missing)} yet, so there is no verdict.")]
    found = {name: lookup(report, measure) for name, measure in measures(report).items() if name in _named(report)}
    blocks: list[Block] = [heading, Prose(_method(who)), _table(report, who, found)]
    blocks += [Prose(text) for text in _verdicts(report, who, found)]
    return [*blocks, *_others(report, who)]


def _named(report: ReportInput) -> dict[str, str]:
    """Return what the verdict speaks of, with the short words for it, in its order."""
    energy = {f"energy per training ({meter})": "energy" for meter in energy_meters(report)[:1]}
    return {
        **energy, "time per training": "time", "batch-proportional memory of a step": "memory of a step",
        "MACs per training sample": "MACs", "error": "error", "area under the curve": "area under the curve",
    }  # fmt: skip


def _method(who: Newcomer) -> str:
    return (
        f"{who.label} and {listing(who.against)} were measured beside one another, block by block, on the data, recipe and seeds "
        f"of {who.suite}. A ratio is {who.label} / the other within the same block, with its 95 % interval (Student's t of the "
        "logarithms); MACs and bytes are exact. Scores are compared by their difference."
    )


def _table(report: ReportInput, who: Newcomer, found: dict[str, Estimates]) -> Table:
    names = {name: short for name, short in _named(report).items() if found[name]}
    columns = [Column("Data set", number=False), Column("Against", number=False)]
    columns += [Column(short[0].upper() + short[1:]) for short in names.values()]
    rows = tuple(
        (dataset, other, *(_cell(name, _pair(found[name], who.label, other, dataset)) for name in names))
        for dataset in report.datasets
        for other in who.against
    )
    return Table(
        f"{who.label} in ratio to the learners beside it; scores as a difference in points.", tuple(columns), rows
    )


def _pair(found: Estimates, label: str, other: str, dataset: str) -> tuple[Estimate, Estimate] | None:
    pair = found.get((label, dataset)), found.get((other, dataset))
    return (pair[0], pair[1]) if pair[0] and pair[1] else None


def _ratio(pair: tuple[Estimate, Estimate]) -> Comparison:
    return compare({"new": pair[0], "other": pair[1]}, "other", Rules("other")).comparisons[0]


def _cell(name: str, pair: tuple[Estimate, Estimate] | None) -> Cell:
    if pair is None:
        return MISSING
    if name in SCORES:
        points = 100 * (pair[0].mean - pair[1].mean)
        return Value(f"{points:+.2f}", MARKS[Provenance.MEASURED], number=points)
    made = _ratio(pair)
    if made.ratio is None:
        return MISSING
    return Value(_interval(made), MARKS[made.provenance], number=made.ratio.ratio)


def _interval(made: Comparison) -> str:
    assert made.ratio is not None
    ratio, low, high = (numbers.significant(value, 3) for value in (made.ratio.ratio, made.ratio.low, made.ratio.high))
    return ratio if made.exact else f"{ratio} ({low}–{high})"


def _verdicts(report: ReportInput, who: Newcomer, found: dict[str, Estimates]) -> Iterator[str]:
    for dataset in report.datasets:
        for other in who.against:
            said = [
                _said(name, short, _pair(found[name], who.label, other, dataset))
                for name, short in _named(report).items()
            ]
            parts = [text for text in said if text]
            if parts:
                yield f"{who.label} against {other} on {dataset}: {'; '.join(parts)}."


def _said(name: str, short: str, pair: tuple[Estimate, Estimate] | None) -> str:
    """Return the verdict on one quantity, and nothing where one of the two has no value."""
    if pair is None:
        return ""
    if name in SCORES:
        return f"{short} {_difference(*pair)}"
    made = _ratio(pair)
    if made.ratio is None:
        return f"{short} not compared ({made.reason})"
    sure = "" if made.exact or made.differs else ", not told apart from 1"
    return f"{short} {_interval(made)} times{sure}"


def _difference(new: Estimate, other: Estimate) -> str:
    points = 100 * (new.mean - other.mean)
    if points == 0:
        return "equal"
    above, below = (new, other) if points > 0 else (other, new)
    sure = "" if told_apart(above, below) else ", not told apart"
    return f"{abs(points):.2f} points {'higher' if points > 0 else 'lower'}{sure}"


def _others(report: ReportInput, who: Newcomer) -> list[Block]:
    labels = [label.removesuffix(OTHER_RUN) for label in report.labels if report.is_elsewhere(label)]
    if not labels:
        return []
    return [
        Note(
            f"The cells of {listing(labels)} marked as of another run were not measured beside {who.label}. Their MACs, bytes, "
            "parameters and errors stand beside its own; their time and energy are shown but not compared."
        )
    ]
