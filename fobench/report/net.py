"""Net energy: gross minus idle power times duration, with the error that the idle windows leave. Always estimated.

    net = E - P T,   se(net) = T se(P),   se(P) = s / sqrt(k)

E and T are gross energy and duration of a span, P the idle power of the same process (energy over duration of its k idle
windows), s the standard deviation of a single idle window's power: within processes where one has several idle windows, else
between processes. Net stands beside gross and never in its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from fobench.contracts import Provenance, total_channels
from fobench.report.inputs import ReportInput
from fobench.report.stats import Estimate
from fobench.report.tables import Measure, lookup

Process = tuple[str, str, int]
"""Label, data set and seed: one measuring process."""


@dataclass(frozen=True)
class Power:
    """Idle power of one process in W and its standard error; no error where one idle window is all there is."""

    watts: float
    error: float | None


@dataclass(frozen=True)
class Net:
    """Net energy in J of a training or of one predicted sample, mean over blocks.

    `error` is the standard error of the mean that the idle powers propagate, their processes taken as independent; the spread
    of gross energy over blocks is not in it. `gross` is the mean over the same blocks and has the provenance given (net is
    always estimated), `watts` is their mean idle power.
    """

    gross: float
    provenance: Provenance
    net: float
    error: float | None
    watts: float
    blocks: int


def subtract_idle(joules: float, seconds: float, idle: Power) -> tuple[float, float | None]:
    """Return net energy in J and its standard error in J."""
    rest = idle.watts * seconds
    # what is left of two equal numbers is their rounding, not energy
    net = 0.0 if math.isclose(joules, rest, rel_tol=1e-12) else joules - rest
    return net, None if idle.error is None else idle.error * seconds


def idle_powers(frame: pd.DataFrame, meter: str) -> dict[Process, Power]:
    """Return the idle power of every process under one meter (`A + B` is the sum of two), valid windows only."""
    windows = _idle_windows(frame, meter)
    if windows.empty:
        return {}
    windows["power"] = windows.joules / windows.seconds
    processes = windows.groupby(["label", "dataset", "seed"], observed=True)
    spread = _deviation(windows.power, processes.power.transform("mean"), len(processes))
    sums = processes.agg(joules=("joules", "sum"), seconds=("seconds", "sum"), windows=("power", "size"))
    return {
        (str(label), str(dataset), int(seed)): Power(
            joules / seconds, None if spread is None else spread / math.sqrt(count)
        )
        for (label, dataset, seed), joules, seconds, count in sums.itertuples(name=None)
    }


def net_energy(report: ReportInput, meter: str, phase: str, batch: str = "recipe") -> dict[tuple[str, str], Net]:
    """Return net energy by label and data set: of a training, or of one predicted sample at a batch size."""
    gross = lookup(report, Measure("", "energy", phase, "J", batch=batch, meter=meter))
    times = lookup(report, Measure("", "duration", phase, "s", batch=batch, meter="clock"))
    idle = idle_powers(report.frame, meter)
    found = {key: _net(key, gross[key], times[key], idle) for key in gross if key in times}
    return {key: net for key, net in found.items() if net is not None}


def _net(key: tuple[str, str], gross: Estimate, times: Estimate, idle: Mapping[Process, Power]) -> Net | None:
    if gross.partial or times.partial:
        return None
    blocks = [b for b in gross.values if b is not None and b in times.values and (*key, b) in idle]
    if not blocks:
        return None
    powers = [idle[(*key, block)] for block in blocks]
    parts = [subtract_idle(gross.values[b], times.values[b], power) for b, power in zip(blocks, powers, strict=True)]
    errors = [error for _, error in parts if error is not None]
    n = len(blocks)
    return Net(
        gross=sum(gross.values[block] for block in blocks) / n,
        provenance=gross.provenance,
        net=sum(net for net, _ in parts) / n,
        error=math.hypot(*errors) / n if len(errors) == n else None,
        watts=sum(power.watts for power in powers) / n,
        blocks=n,
    )


def _idle_windows(frame: pd.DataFrame, meter: str) -> pd.DataFrame:
    """Return `joules` and `seconds` of each idle window in which all disjoint channels were read."""
    rows = frame[(frame.phase == "idle") & frame.seed.notna() & (frame.invalid == "")]
    rows = rows.astype({"meter": str, "channel": str})
    energy = rows[rows.quantity == "energy"]
    parts = meter.split(" + ")
    wanted = {(part, name) for part in parts for name in total_channels(set(energy[energy.meter == part].channel))}
    pairs = zip(energy.meter, energy.channel, strict=True)
    energy = energy[pd.Series([pair in wanted for pair in pairs], index=energy.index, dtype=bool)]
    keys = ["label", "dataset", "seed", "window"]
    joules = energy.groupby(keys, observed=True).value.agg(["sum", "count"])
    clock = rows[(rows.quantity == "duration") & (rows.meter == "clock") & (rows.value > 0)]
    seconds = clock.groupby(keys, observed=True).value.sum()
    whole = joules[joules["count"] == len(wanted)]
    return whole.join(seconds.rename("seconds"), how="inner").rename(columns={"sum": "joules"}).reset_index()


def _deviation(powers: pd.Series, means: pd.Series, processes: int) -> float | None:
    """Return the standard deviation of a window's power within processes, or between them if each has one window only."""
    n = len(powers)
    if n > processes:
        return math.sqrt(float(((powers - means) ** 2).sum()) / (n - processes))
    return float(powers.std(ddof=1)) if n > 1 else None
