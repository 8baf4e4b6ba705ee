"""Who wins on what, by how much and how sure, in words; what the suite compares, on what data, for what budget."""

from __future__ import annotations

from dataclasses import replace

from fobench.contracts import Origin
from fobench.report import numbers
from fobench.report.document import Block, Cell, Column, Heading, Note, Prose, Table
from fobench.report.inputs import ReportInput
from fobench.report.provenance import ORIGIN_MARKS
from fobench.report.sections.costs import JOULES_PER_WH, energy_meters
from fobench.report.sections.error import AREA, ERROR
from fobench.report.stats import Estimate, Interval, Ranking
from fobench.report.tables import MISSING, Estimates, Measure, lookup, ranking, value
from fobench.report.wording import budget, listing

CARRIES_OVER = (
    "What carries over from surrogate to real data: MACs and bytes exactly, time nearly, energy only partly (values change "
    "power), early exits not at all; errors on surrogate data say nothing about the real task."
)


def summary(report: ReportInput) -> list[Block]:
    """Return the summary: scope, winners in words, and the table that they are read from."""
    blocks: list[Block] = [Heading("Summary"), Prose(_scope(report)), *_origin(report)]
    verdicts = [(name, measure, lookup(report, measure)) for name, measure in _measures(report).items()]
    for dataset in report.datasets:
        sentences = [_sentence(name, m, ranking(report, found, dataset, m.highest)) for name, m, found in verdicts]
        text = " ".join(sentence for sentence in sentences if sentence)
        blocks.append(Prose(f"On {dataset}: {text}") if text else Note(f"On {dataset}, nothing can be ranked."))
    return [*blocks, *_table(report, verdicts)]


def _scope(report: ReportInput) -> str:
    learners = len(report.labels)
    names = f"{learners} learner{'s' * (learners > 1)} ({listing(report.labels)}) on {listing(report.datasets)}"
    several = len(report.failed) != 1
    failed = f"{len(report.failed)} cell{'s' * several} did not end well; the section on the machine says why."
    failed = failed if report.failed else ""
    opening = f"Suite {report.suite} on machine {report.machine}: {names}. Budget of a training: {budget(report)}."
    return " ".join(part for part in (opening, _stages(report), _comparison(report), _blocks(report), failed) if part)


def _stages(report: ReportInput) -> str:
    """Name the greedy learners, whose stated epochs hold for every stage."""
    last = report.frame[report.frame.phase == "train"].groupby("label", observed=True).stage.max()
    greedy = [f"{label} trains {int(stage) + 1} stages" for label, stage in last.dropna().items() if stage > 0]
    return f"{listing(greedy)} one after the other, each for the stated epochs." if greedy else ""


def _blocks(report: ReportInput) -> str:
    """Say what so few blocks can resolve."""
    if len(report.seeds) == 1:
        return "There is one block, so noisy quantities have no interval and are not ranked."
    if len(report.seeds) == 2:
        return (
            "Two blocks make intervals of 12.7 standard errors to either side: only large differences are told apart."
        )
    return ""


def _comparison(report: ReportInput) -> str:
    """Say whether rules are compared on one network, or recipes that each bring their own."""
    if len(report.labels) < 2:
        return "There is one learner, so nothing is compared."
    networks = [
        {name for (_, where), name in report.networks.items() if where == dataset} for dataset in report.datasets
    ]
    if all(len(names) <= 1 for names in networks):
        return "All learners train the same network on each data set: this compares rules."
    return (
        "The networks differ between learners: this compares recipes, each rule with its own network, not rules alone."
    )


def _origin(report: ReportInput) -> list[Block]:
    marks = {origin: ORIGIN_MARKS[origin] for origin in (Origin.SURROGATE, Origin.EXTRACT)}
    found = {origin: [name for name in report.datasets if name.endswith(mark)] for origin, mark in marks.items()}
    blocks: list[Block] = []
    if names := found[Origin.SURROGATE]:
        blocks.append(
            Note(f"{listing(names)}: surrogate data (°), generated because the files are not there. {CARRIES_OVER}")
        )
    if names := found[Origin.EXTRACT]:
        blocks.append(
            Note(
                f"{listing(names)}: an extract (^), genuine files but not all of them; its error is not the published one's."
            )
        )
    return blocks


def _measures(report: ReportInput) -> dict[str, Measure]:
    """Return what the summary ranks, by the words that name it."""
    found = {"error": ERROR, "area under the curve": AREA}
    if meters := energy_meters(report):
        named = f" ({meters[0]})"
        found[f"energy per training{named}"] = Measure(
            "", "energy", "train", "Wh", meter=meters[0], divisor=JOULES_PER_WH
        )
        found[f"energy per single prediction{named}"] = Measure(
            "", "energy", "infer", "J", batch="single", meter=meters[0]
        )
    found["time per training"] = Measure("", "duration", "train", "s", meter="clock", prefixed=False)
    found["MACs per training sample"] = Measure("", "macs", "train", "MAC", meter="macs")
    found["batch-proportional memory of a step"] = Measure(
        "", "memory_peak", "train", "B", channel="batch", meter="live-tensors"
    )
    return found


def _sentence(name: str, measure: Measure, result: Ranking) -> str:
    """Say who is best, by how much, and who cannot be told apart from it."""
    if not result.best:
        return ""
    extreme = "highest" if measure.highest else "lowest"
    if len(result.best) > 1:
        rest = f"; {result.following} is the next, {_factor(result.factor)}" if result.following else ""
        how = "are equal" if result.factor and result.factor.low == result.factor.high else "cannot be told apart"
        return f"The {extreme} {name} is shared: {listing(result.best)} {how}{rest}."
    return f"{result.leader} has the {extreme} {name}; {result.following} is the next, {_factor(result.factor)}."


def _factor(factor: Interval | None) -> str:
    if factor is None:
        return "surely apart"
    text = f"{numbers.significant(factor.ratio, 3)} times"
    if factor.low == factor.high:
        return text
    return f"{text} (95 % interval {numbers.significant(factor.low, 3)} to {numbers.significant(factor.high, 3)})"


def _short(factor: Interval | None) -> str:
    if factor is None or factor.low == factor.high:
        return f"{numbers.significant(factor.ratio, 3)} ×" if factor else MISSING
    low, high = (numbers.significant(limit, 3) for limit in (factor.low, factor.high))
    return f"{numbers.significant(factor.ratio, 3)} × ({low}–{high})"


def _table(report: ReportInput, verdicts: list[tuple[str, Measure, Estimates]]) -> list[Block]:
    rows = []
    for dataset in report.datasets:
        for name, measure, found in verdicts:
            result = ranking(report, found, dataset, measure.highest)
            if result.best:
                rows.append(_row(dataset, name, measure, result, found[result.leader, dataset]))
    columns = (
        Column("Data set", number=False), Column("Quantity", number=False), Column("Best, or not told apart", number=False),
        Column("Value"), Column("Next", number=False), Column("Worse by"),
    )  # fmt: skip
    caption = (
        "The best on each data set, and how many times the next one is worse; in brackets the 95 % Student t interval over "
        "blocks. The value is that of the first named."
    )
    return [Table(caption, columns, tuple(rows))] if rows else []


def _row(dataset: str, name: str, measure: Measure, result: Ranking, best: Estimate) -> tuple[Cell, ...]:
    shown = numbers.scale([best.mean], measure.unit, measure.divisor, measure.prefixed)
    number = value(best, shown)
    factor = _short(result.factor) if result.following else MISSING
    return (
        dataset,
        name,
        listing(result.best),
        replace(number, text=f"{number.text} {shown.unit}"),
        result.following or MISSING,
        factor,
    )
