"""What a cost means on a chip, as lines: seconds, joules, hours, Wh, battery-days; estimated, with spread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fobench.cli.target import Target
from fobench.cli.text import count, estimate, table
from fobench.costs.devices import SINGLE, Device
from fobench.costs.projection import Projection, battery_days, kinds_of, project, whole_training
from fobench.costs.published import BUDGETS


@dataclass(frozen=True)
class Whole:
    """The whole training and the battery: epochs, samples of one, Wh, samples a day; None where not said."""

    epochs: int | None = None
    samples: int | None = None
    battery: float | None = None
    per_day: float | None = None


def projection_lines(chip: Device, found: Target, macs: tuple[float, float], whole: Whole) -> Iterator[str]:
    """Yield the projection of a training sample and an inference onto a device."""
    kinds = kinds_of(found.network, found.task)
    sample, single = project(chip, macs[0], kinds), project(chip, macs[1], kinds)
    yield ""
    yield f"on {chip.name} ({chip.core or 'core absent'}), estimated from inference kernels of {' and '.join(kinds)} networks:"
    rows = [
        ["training sample", estimate(sample.latency), estimate(sample.energy)],
        ["inference", estimate(single.latency), estimate(single.energy)],
    ]
    yield from table(rows, left=(0, 1, 2))
    yield from _whole_lines(sample, whole, found.name)
    yield from (f"  {reason}" for reason in sample.reasons)
    yield from _source_lines(chip, kinds)


def _whole_lines(sample: Projection, whole: Whole, network: str) -> Iterator[str]:
    """Yield hours and Wh of the training that is asked for, else of the published one, and battery-days."""
    epochs, samples = (whole.epochs, whole.samples) if whole.epochs or whole.samples else BUDGETS.get(network, (0, 0))
    if epochs and samples:
        hours, energy = whole_training(sample, epochs, samples)
        yield f"  training of {epochs} x {count(samples)} samples: {estimate(hours)}; {estimate(energy)}"
    elif epochs or samples:
        yield "  whole training: absent; give both --epochs and --samples"
    if not whole.battery:
        return
    if sample.energy is None:
        yield "  battery-days: absent, for want of an energy per MAC"
    elif whole.per_day:
        days = battery_days(sample.energy, whole.per_day, whole.battery)
        yield f"  battery of {whole.battery:g} Wh at {whole.per_day:g} training samples a day: {estimate(days)}"
    else:
        yield "  battery-days: say how many training samples a day (--per-day)"


def _source_lines(chip: Device, kinds: tuple[str, ...]) -> Iterator[str]:
    if chip.note:
        yield f"  note: {chip.note}"
    for mode, power in chip.power.items():
        yield f"  power, mode {mode}: {power.value:g} W [{power.source}]"
    singles = [(name, getattr(chip, name)) for name in SINGLE]
    figures = [
        (f"{name.replace('_', ' ')}, {kind}", values[kind])
        for name, values in (("cycles_per_mac", chip.cycles_per_mac), ("energy_per_mac", chip.energy_per_mac))
        for kind in (*kinds, "any")
        if kind in values
    ]
    for name, value in (*singles, *figures):
        if value is not None:
            yield f"  {name}: {value.value:g} [{value.source}]"
    if chip.absent:
        yield f"  absent from the profile: {', '.join(chip.absent)}"
