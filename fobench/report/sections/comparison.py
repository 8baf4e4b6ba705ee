"""Every learner against the baseline: ratios with intervals, corrected p, equivalence, resolution of this host, drift."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from fobench.report import numbers
from fobench.report.comparison import Comparison, Family, Rules, choose_baseline, compare
from fobench.report.document import Block, Cell, Column, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.logratios import ALPHA, BOOTSTRAP_FROM, TREND_BLOCKS, Trend, blocks_needed
from fobench.report.provenance import MARKS, MEANING
from fobench.report.sections.costs import energy_meters
from fobench.report.sections.error import AREA, ERROR
from fobench.report.tables import MISSING, Measure, lookup
from fobench.report.wording import listing

NO_ARM = "by the spread of the learners' ratios about their means, as there is no A/A arm (a baseline twice, under two labels)"

Families = dict[str, Family]
"""By data set."""


def comparison(report: ReportInput, rules: Rules | None = None) -> list[Block]:
    """Return one table for each noisy quantity, and one for all exact ones."""
    rules = rules or Rules()
    heading = Heading("Comparison with a baseline")
    if len(report.labels) < 2:
        return [heading, Note("There is one learner, so nothing is compared.")]
    baseline = choose_baseline(report.labels, rules.baseline)
    found = {name: families(report, measure, baseline, rules) for name, measure in measures(report).items()}
    noisy = {name: by for name, by in found.items() if any(not made.exact for made in _all(by))}
    exact = {name: by for name, by in found.items() if name not in noisy and any(True for _ in _all(by))}
    blocks: list[Block] = [heading, Prose(_method(baseline, rules))]
    for name, by_dataset in noisy.items():
        blocks += [_table(name, by_dataset), *_alarms(name, by_dataset)]
    blocks += _exact(report, baseline, exact)
    blocks += [alarm for name, by_dataset in exact.items() for alarm in _alarms(name, by_dataset)]
    return blocks + _without_baseline(baseline, found)


def families(report: ReportInput, measure: Measure, baseline: str, rules: Rules) -> Families:
    """Compare all learners with the baseline on each data set; a family without any says that the baseline has no value."""
    found = lookup(report, measure)
    made: Families = {}
    for dataset in report.datasets:
        group = {label: found[label, dataset] for label in report.labels if (label, dataset) in found}
        family = compare(group, baseline, rules, report.twins.get(dataset, []))
        if group and (family.comparisons or family.controls or baseline not in group):
            made[dataset] = family
    return made


def measures(report: ReportInput) -> dict[str, Measure]:
    """Return what is compared, by the words that name it; energy by each meter on its own."""
    found = {"error": ERROR, "area under the curve": AREA}
    for meter in energy_meters(report):
        found[f"energy per training ({meter})"] = Measure("", "energy", "train", "J", meter=meter)
        found[f"energy per single prediction ({meter})"] = Measure(
            "", "energy", "infer", "J", batch="single", meter=meter
        )
    found["time per training"] = Measure("", "duration", "train", "s", meter="clock")
    found["time per single prediction"] = Measure("", "duration", "infer", "s", batch="single", meter="clock")
    found["MACs per training sample"] = Measure("", "macs", "train", "MAC", meter="macs")
    found["MACs per prediction"] = Measure("", "macs", "infer", "MAC", meter="macs")
    live = {"batch-proportional": "batch", "constant": "constant"}
    for word, channel in live.items():
        found[f"{word} memory of a step"] = Measure(
            "", "memory_peak", "train", "B", channel=channel, meter="live-tensors"
        )
    return found


def _all(by_dataset: Families) -> Iterator[Comparison]:
    return (made for family in by_dataset.values() for made in (*family.comparisons, *family.controls))


def _method(baseline: str, rules: Rules) -> str:
    percent = numbers.exact(100 * rules.margin)
    return (
        f"A ratio is the geometric mean over blocks of learner / {baseline} within the same block: below 1 is less. Its 95 % "
        f"interval is Student's t of the logarithms, from {BOOTSTRAP_FROM} blocks on a bias-corrected bootstrap. p is that of a "
        "sign-flip permutation test, corrected after Holm for the number of learners. Equivalent means that two one-sided t "
        f"tests place the ratio within {percent} % of 1 (p not corrected). Drift is the slope of the logarithm over blocks."
        + (" Measured and estimated values are compared, as asked for." if rules.mixed else "")
    )


def _table(name: str, by_dataset: Families) -> Table:
    columns = (
        Column("Data set", number=False), Column("Learner", number=False), Column("Blocks"), Column("Ratio (95 % interval)"),
        Column("Median"), Column("p, Holm"), Column("p, equiv."), Column("Verdict", number=False),
        Column("Drift per block (p)"),
    )  # fmt: skip
    rows = tuple(row for dataset, family in by_dataset.items() for row in _rows(dataset, family))
    return Table(f"{_capital(name)}, in ratio to the baseline.", columns, rows, tuple(_notes(by_dataset)))


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _rows(dataset: str, family: Family) -> Iterator[tuple[Cell, ...]]:
    if not (family.comparisons or family.controls):
        return
    drift = {label: _drift(line) for label, line in family.trends.items()}
    yield (dataset, f"{family.baseline} (baseline)", *[MISSING] * 6, drift.get(family.baseline, MISSING))
    for made in family.comparisons:
        yield (dataset, made.label, *_statistics(made), made.verdict or MISSING, drift.get(made.label, MISSING))
    for made in family.controls:
        verdict = "differs!" if made.differs else "no difference" if made.ratio else MISSING
        yield (dataset, f"{made.label} / {made.baseline} (A/A)", *_statistics(made), verdict, MISSING)


def _statistics(made: Comparison) -> tuple[Cell, ...]:
    if made.ratio is None or made.median is None:
        return (str(made.blocks), *[MISSING] * 4)
    found = (made.ratio.ratio, made.ratio.low, made.ratio.high, made.median)
    ratio, low, high, median = (numbers.significant(value, 4) for value in found)
    return (
        str(made.blocks),
        Value(f"{ratio} ({low}–{high})", MARKS[made.provenance], number=made.ratio.ratio),
        Value(median, MARKS[made.provenance], number=made.median),
        _p(made.corrected),
        _p(made.equivalence),
    )


def _p(p: float | None) -> Cell:
    return MISSING if p is None else Value(_p_text(p), number=p)


def _p_text(p: float) -> str:
    return f"{p:.4f}" if p >= 1e-4 else "<0.0001"


def _drift(line: Trend | None) -> Cell:
    if line is None:
        return MISSING
    percent = 100 * math.expm1(line.slope)
    return Value(f"{percent:+.2f} % ({_p_text(line.p)})", number=percent)


def _notes(by_dataset: Families) -> Iterator[str]:
    used = {made.provenance for made in _all(by_dataset) if made.ratio}
    if used:
        yield "; ".join(f"{MARKS[part]} = {MEANING[part]}" for part in MARKS if part in used)
    yield from _together((f"{made.label} is not compared: {made.reason}", dataset)
                         for dataset, family in by_dataset.items()
                         for made in (*family.comparisons, *family.controls) if made.reason)  # fmt: skip
    yield from _together((_too_few(family), dataset) for dataset, family in by_dataset.items() if _is_too_small(family))
    yield from _resolutions(by_dataset)
    if any(line is None for family in by_dataset.values() for line in family.trends.values()):
        yield f"drift: {MISSING} where there are fewer than {TREND_BLOCKS} blocks"


def _together(remarks: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Say the same of several data sets once."""
    said: dict[str, list[str]] = {}
    for text, dataset in remarks:
        said.setdefault(text, []).append(dataset)
    return (f"{listing(datasets)}: {text}" for text, datasets in said.items())


def _is_too_small(family: Family) -> bool:
    return family.smallest is not None and family.smallest > ALPHA


def _too_few(family: Family) -> str:
    tested = [made.blocks for made in family.comparisons if made.p is not None]
    what = "1 comparison" if len(tested) == 1 else f"{len(tested)} comparisons"
    return (
        f"{max(tested)} blocks are too few for a verdict of lower or higher: the smallest corrected p that {what} can reach is "
        f"{numbers.exact(family.smallest or 0, 3)}, above {ALPHA:.2f}; it takes {blocks_needed(len(tested))} blocks"
    )


def _resolutions(by_dataset: Families) -> Iterator[str]:
    """Say what this host can resolve, and whether that was seen on an A/A arm."""
    said: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for dataset, family in by_dataset.items():
        if found := family.resolution:
            text = f"{numbers.significant(100 * found.share, 2)} % on {dataset} ({found.blocks} blocks)"
            said.setdefault(found.pairs, []).append(text)
    for pairs, texts in said.items():
        arms = listing(f"{first} / {second}" for first, second in pairs) if pairs else ""
        source = f"by the A/A arm {arms}" if arms else NO_ARM
        yield f"smallest difference that this host finds with power 0.8: {listing(texts)}; {source}"


def _alarms(name: str, by_dataset: Families) -> list[Block]:
    return [
        Note(
            f"{_capital(name)} on {dataset}: the same learner under two labels ({made.label} and {made.baseline}) "
            "differs. Something other than the learner moves the numbers; do not trust differences of this size."
        )
        for dataset, family in by_dataset.items()
        for made in family.controls
        if made.differs
    ]


def _without_baseline(baseline: str, found: dict[str, Families]) -> list[Block]:
    missing = {name: [d for d, f in by.items() if not (f.comparisons or f.controls)] for name, by in found.items()}
    texts = [f"{name} on {listing(datasets)}" for name, datasets in missing.items() if datasets]
    return [Note(f"Not compared, as {baseline} has no value: {'; '.join(texts)}.")] if texts else []


def _exact(report: ReportInput, baseline: str, found: dict[str, Families]) -> list[Block]:
    """Put all exact quantities into one table: a row for each data set and learner."""
    ratios = {
        (dataset, made.label, name): made
        for name, by_dataset in found.items()
        for dataset, family in by_dataset.items()
        for made in family.comparisons
    }
    keys = [
        (d, label) for d in report.datasets for label in report.labels if any((d, label, n) in ratios for n in found)
    ]
    if not keys:
        return []
    rows = tuple((*key, *(_exact_cell(ratios.get((*key, name))) for name in found)) for key in keys)
    columns = (Column("Data set", number=False), Column("Learner", number=False), *(Column(name) for name in found))
    return [Table(f"Exact quantities in ratio to {baseline}, compared exactly.", columns, rows)]


def _exact_cell(made: Comparison | None) -> Cell:
    if made is None or made.ratio is None:
        return MISSING
    text = "equal" if made.verdict == "equal" else numbers.exact(made.ratio.ratio)
    return Value(text, MARKS[made.provenance], number=made.ratio.ratio)
