"""Energy in derived units, and what it means for a wearable: joules to a target error, battery-days, share of inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from fobench.contracts import Provenance
from fobench.report import numbers, units
from fobench.report.comparison import choose_baseline
from fobench.report.document import Block, Cell, Column, Heading, Note, Prose, Table, Value
from fobench.report.inputs import ReportInput
from fobench.report.provenance import MARKS, MEANING, combine
from fobench.report.sections.costs import energy_meters
from fobench.report.sections.error import ERROR
from fobench.report.stats import Estimate
from fobench.report.tables import MISSING, Estimates, Measure, lookup, value
from fobench.report.trajectory import trajectories
from fobench.report.units import Reached, Scenario

TOLERANCE = 1.1
"""The default target is this many times the baseline's mean final error."""

Key = tuple[str, str]
"""Label and data set."""


@dataclass(frozen=True)
class _Quantity:
    """A column: header, unit, estimates by label and data set, and the divisor to the bare unit."""

    header: str
    unit: str
    found: Estimates
    divisor: float = 1.0
    prefixed: bool = True


def derived_units(report: ReportInput, scenario: Scenario | None = None) -> list[Block]:
    """Return energy in derived units and in the life of the scenario's wearable, by the preferred meter."""
    scenario = scenario or Scenario()
    meters = energy_meters(report)
    if not meters:
        return [Heading("Derived units"), Note("No energy was metered, so that there is nothing to derive from.")]
    training = _whole(lookup(report, Measure("", "energy", "train", "J", meter=meters[0])))
    inference = _whole(lookup(report, Measure("", "energy", "infer", "J", batch="single", meter=meters[0])))
    return [
        Heading("Derived units"),
        _energy_table(report, scenario, meters[0], (training, inference)),
        *_carbon_table(report, scenario, meters[0], training),
        *_target_table(report, scenario, meters[0]),
        *_life_table(report, scenario, meters[0], (training, inference)),
    ]


def _energy_table(report: ReportInput, scenario: Scenario, meter: str, energies: tuple[Estimates, Estimates]) -> Table:
    training, inference = energies
    times = _whole(lookup(report, Measure("", "duration", "train", "s", meter="clock")))
    columns = [
        _Quantity("Per training sample", "J", _joined(units.joules_per_sample, training, _samples(report))),
        _Quantity("Per training", "Wh", training, units.JOULES_PER_WH),
        _Quantity("Per single prediction", "mJ", inference, 1e-3, prefixed=False),
        _Quantity("Energy-delay product", "J s", _joined(units.energy_delay_product, training, times), prefixed=False),
    ]
    notes = ["per training sample: every pass of a sample counts, epochs and stages alike"]
    return _table(report, f"Energy in derived units, idle power included. Meter: {meter}.", columns, notes)


def _carbon_table(report: ReportInput, scenario: Scenario, meter: str, training: Estimates) -> list[Block]:
    """Say what a training stands for on the grid of the scenario's country, if it names one."""
    if not scenario.country:
        return []
    found = units.carbon_intensity(scenario.country)
    grams = _estimated(_joined(lambda joules: units.grams_co2e(joules, found), training))
    columns = [
        _Quantity("CO2e", "g", grams),
        _Quantity("An average car's way", "m", _joined(units.car_metres, grams)),
        _Quantity("Light of an LED lamp", "s", _joined(units.lamp_seconds, training)),
    ]
    notes = [
        f"CO2e: energy of this meter times {numbers.exact(found.grams_per_kwh)} g per kWh, {found.country}, {found.year} "
        "(table of codecarbon)",
        f"car: {units.CAR_G_PER_KM:.0f} g CO2e per km (EPA, United States); lamp: {units.LAMP_W:g} W, whatever the country",
    ]
    return [_table(report, f"CO2e of one training, and what it compares with. Meter: {meter}.", columns, notes)]


def _life_table(
    report: ReportInput, scenario: Scenario, meter: str, energies: tuple[Estimates, Estimates]
) -> list[Block]:
    """Say what a training and its predictions mean for the wearable; nothing where no learner has both energies."""
    share = partial(units.inference_share, inferences=scenario.inferences_per_update)
    days = partial(units.battery_days, scenario)
    columns = [
        _Quantity(
            "Share of predictions in the energy", "%", _estimated(_joined(share, *energies)), 0.01, prefixed=False
        ),
        _Quantity("Battery", "days", _estimated(_joined(days, *energies)), prefixed=False),
    ]
    table = _table(report, f"The life of a wearable as described above. Meter: {meter}.", columns, [])
    missing = Note("No life of a wearable: it takes the whole energy of a training and that of single predictions.")
    return [Prose(_life(scenario)), table] if table.rows else [missing]


def _life(scenario: Scenario) -> str:
    joules = units.battery_joules(scenario.battery_mah, scenario.battery_v)
    return (
        f"A wearable with a cell of {numbers.exact(scenario.battery_mah)} mAh at {numbers.exact(scenario.battery_v)} V "
        f"({numbers.exact(joules)} J). Updates (trainings of the stated budget) per day: {numbers.exact(scenario.updates)}; "
        f"single predictions per day: {numbers.exact(scenario.inferences)}, so per update: "
        f"{numbers.exact(scenario.inferences_per_update)}. Its joules are taken to be those of this machine, idle power "
        "included, and nothing else draws on the cell: these numbers compare learners, a microcontroller has other ones."
    )


def _target_table(report: ReportInput, scenario: Scenario, meter: str) -> list[Block]:
    """Say how many joules each learner took to the target error of its data set; one that never arrives is censored."""
    targets = _targets(report, scenario)
    spent = lookup(report, Measure("", "energy", "train", "J", meter=meter))
    reached: dict[Key, list[Reached]] = {}
    for (label, dataset, _), path in trajectories(report, meter).items():
        if dataset in targets:
            found = units.joules_to_target(path.errors, path.joules, targets[dataset])
            reached.setdefault((label, dataset), []).append(found)
    if not reached:
        return []
    shown = numbers.scale([block.joules for blocks in reached.values() for block in blocks], "J")
    cells = {key: _reached(blocks, shown, spent[key].provenance) for key, blocks in reached.items()}
    rows = tuple(
        (dataset, label, _target(targets[dataset]), cells.get((label, dataset), MISSING))
        for dataset in report.datasets
        if any(place == dataset for _, place in cells)
        for label in report.labels
    )
    columns = (
        Column("Data set", number=False), Column("Learner", number=False), Column("Target error [%]"),
        Column(f"Energy to target [{shown.unit}]"),
    )  # fmt: skip
    caption = f"Energy until the error on the test split first was at or below the target, median over blocks. Meter: {meter}."
    return [Table(caption, columns, rows, tuple(_target_notes(report, scenario, rows)))]


def _targets(report: ReportInput, scenario: Scenario) -> dict[str, float]:
    if scenario.target is not None:
        return dict.fromkeys(report.datasets, scenario.target)
    finals = lookup(report, ERROR)
    baseline = choose_baseline(report.labels, scenario.baseline)
    return {
        dataset: TOLERANCE * finals[baseline, dataset].mean
        for dataset in report.datasets
        if (baseline, dataset) in finals
    }


def _target(share: float) -> Value:
    return Value(numbers.significant(100 * share, 3), number=100 * share)


def _reached(blocks: list[Reached], shown: numbers.Scale, provenance: Provenance) -> Value:
    found = units.middle(blocks)
    joules = found.joules / shown.divisor
    arrived = sum(not block.censored for block in blocks)
    some = f" ({arrived} of {len(blocks)})" if arrived < len(blocks) else ""
    return Value(f"{'> ' * found.censored}{numbers.significant(joules, 4)}{some}", MARKS[provenance], number=joules)


def _target_notes(report: ReportInput, scenario: Scenario, rows: tuple[tuple[Cell, ...], ...]) -> list[str]:
    values = [row[-1] for row in rows if isinstance(row[-1], Value)]
    notes = _marks(values)
    if scenario.target is None:
        baseline = choose_baseline(report.labels, scenario.baseline)
        notes.append(f"target: {TOLERANCE} times the mean final error of {baseline} on the same data set")
    if len(values) < len(rows):
        notes.append(f"{MISSING} = no block in which the energy of the whole training and an error are known")
    if any("(" in found.text for found in values):
        notes.append(
            "(k of n): the target was reached in k of n blocks; > = not in enough of them, so that the median lies above"
        )
    return notes


def _table(report: ReportInput, caption: str, columns: list[_Quantity], notes: list[str]) -> Table:
    columns = [column for column in columns if column.found]
    scales = [numbers.scale([e.mean for e in c.found.values()], c.unit, c.divisor, c.prefixed) for c in columns]
    every = [(label, dataset) for dataset in report.datasets for label in report.labels]
    keys = [key for key in every if any(key in column.found for column in columns)]
    rows = tuple(
        (dataset, label, *(_cell(c.found.get((label, dataset)), s) for c, s in zip(columns, scales, strict=True)))
        for label, dataset in keys
    )
    heads = [Column(f"{c.header} [{s.unit}]") for c, s in zip(columns, scales, strict=True)]
    marks = _marks([cell for row in rows for cell in row if isinstance(cell, Value)])
    first = (Column("Data set", number=False), Column("Learner", number=False))
    return Table(caption, (*first, *heads), rows, (*marks, *notes))


def _cell(estimate: Estimate | None, shown: numbers.Scale) -> Cell:
    return value(estimate, shown) if estimate else MISSING


def _marks(values: list[Value]) -> list[str]:
    used = [part for part in MARKS if any(MARKS[part] in found.mark for found in values)]
    return ["; ".join(f"{MARKS[part]} = {MEANING[part]}" for part in used)] if used else []


def _whole(found: Estimates) -> Estimates:
    return {key: estimate for key, estimate in found.items() if not estimate.partial}


def _estimated(found: Estimates) -> Estimates:
    """Mark values that rest on an assumption about the world, not on the meter alone."""
    return {key: Estimate(e.values, Provenance.ESTIMATED, e.partial, e.dropped) for key, e in found.items()}


def _joined(function: Callable[..., float], *parts: Mapping[Key, Estimate]) -> Estimates:
    """Apply a function to the values of the same block, where every part has one."""
    keys = [key for key in parts[0] if all(key in part for part in parts)]
    joined = {key: _combined(function, [part[key] for part in parts]) for key in keys}
    return {key: estimate for key, estimate in joined.items() if estimate.values}


def _combined(function: Callable[..., float], parts: list[Estimate]) -> Estimate:
    blocks = [block for block in parts[0].values if all(block in part.values for part in parts)]
    values = {block: function(*(part.values[block] for part in parts)) for block in blocks}
    return Estimate(values, combine(*(part.provenance for part in parts)), dropped=max(part.dropped for part in parts))


def _samples(report: ReportInput) -> Estimates:
    """Count the samples that pass in each training; of a sampled one those of its budget. Counted, not measured."""
    frame = report.frame
    budgets = frame[frame.quantity == "budget"]
    train = frame[(frame.phase == "train") & frame.window.notna() & frame.seed.notna() & (frame.samples > 0)]
    windows = train[~train.cell.isin(set(budgets.cell))].drop_duplicates(["cell", "window"])
    found: dict[Key, dict[int | None, float]] = {}
    for rows, column in ((windows, "samples"), (budgets, "value")):
        for (label, dataset, seed), counts in rows.groupby(["label", "dataset", "seed"], observed=True)[column]:
            found.setdefault((str(label), str(dataset)), {})[int(seed)] = float(counts.sum())
    return {key: Estimate(values, Provenance.ANALYTICAL) for key, values in found.items()}
