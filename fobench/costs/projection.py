"""From MACs to seconds, joules and battery-days on a chip: always estimated, always with the spread of the profile.

    latency = MACs x cycles per MAC / clock,    energy = MACs x energy per MAC

Both figures are those of inference kernels: no chip has a measurement of training kernels. The spread is that between software
versions and submitters, not an interval of confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from fobench import networks
from fobench.contracts import Provenance, Task
from fobench.costs.devices import Device, Value

MEASURED_KINDS: Mapping[str, str] = {
    "ds-cnn": "kws", "mobilenet-v1-0.25": "vww", "resnet8": "ic", "autoencoder": "ad",
}  # fmt: skip
"""The networks that MLPerf Tiny measures."""


@dataclass(frozen=True)
class Estimate:
    """A projected value with its spread; low and high are None where the profile has a single figure."""

    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    provenance: Provenance = Provenance.ESTIMATED

    def times(self, factor: float, unit: str) -> Estimate:
        """Return this estimate times an exact number."""
        low = None if self.low is None else self.low * factor
        high = None if self.high is None else self.high * factor
        return Estimate(self.value * factor, unit, low, high)

    def under(self, amount: float, unit: str) -> Estimate:
        """Return an exact number divided by this estimate: the ends of the spread change places."""
        low = None if self.high is None else amount / self.high
        high = None if self.low is None else amount / self.low
        return Estimate(amount / self.value, unit, low, high)


@dataclass(frozen=True)
class Projection:
    """Seconds and joules of one training sample or one inference; an absent one has its reason in `reasons`."""

    latency: Estimate | None
    energy: Estimate | None
    reasons: tuple[str, ...] = ()


def kinds_of(network: object, task: Task) -> tuple[str, ...]:
    """Return the kinds of network that MLPerf Tiny has nearest to this one: its own, else by the layers it has."""
    records = networks.expand(network)
    for name, kind in MEASURED_KINDS.items():
        if records == networks.expand(name) and task == networks.named_tasks()[name]:
            return (kind,)
    present = {record["kind"] for record in records}
    if "depthwise" in present:
        return ("kws", "vww")
    return ("ic",) if present & {"conv", "local"} else ("ad",)


def project(device: Device, macs: float, kinds: tuple[str, ...]) -> Projection:
    """Return what so many MACs take on a device."""
    cycles, energy = _figure(device.cycles_per_mac, kinds), _figure(device.energy_per_mac, kinds)
    reasons = []
    if cycles is None or device.clock is None:
        missing = "clock" if cycles is not None else f"cycles per MAC for {' or '.join(kinds)}"
        reasons.append(f"no latency: the profile of {device.name} has no {missing}")
    if energy is None:
        reasons.append(f"no energy: the profile of {device.name} has no energy per MAC")
    latency = None
    if cycles is not None and device.clock is not None:
        latency = cycles.times(macs / device.clock.value, "s")
    return Projection(latency, energy.times(macs * 1e-12, "J") if energy else None, tuple(reasons))


def _figure(values: Mapping[str, Value], kinds: tuple[str, ...]) -> Estimate | None:
    """Return the figure of these kinds: of several, the median of the values with the widest spread."""
    found = [values[kind] for kind in kinds if kind in values] or [values[kind] for kind in ("any",) if kind in values]
    if not found:
        return None
    value = median(item.value for item in found)
    if len(found) == 1 and found[0].low is None:
        return Estimate(value, "")
    low, high = (extreme(item.spread[end] for item in found) for end, extreme in enumerate((min, max)))
    return Estimate(value, "", low, high)


def whole_training(sample: Projection, epochs: int, samples: int) -> tuple[Estimate | None, Estimate | None]:
    """Return hours and Wh of a training from one sample's seconds and joules."""
    count = epochs * samples / 3600
    hours = sample.latency.times(count, "h") if sample.latency else None
    return hours, sample.energy.times(count, "Wh") if sample.energy else None


def battery_days(energy: Estimate, samples_per_day: float, battery_wh: float) -> Estimate:
    """Return how many days a battery lasts at so many samples a day, nothing else drawing from it."""
    return energy.under(battery_wh * 3600 / samples_per_day, "day")
