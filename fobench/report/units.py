"""Units that a wearable's engineer thinks in: pure functions of joules, seconds and counts; worked by hand in docs/units.md."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from fobench.report.inputs import ReportError

JOULES_PER_WH = 3600.0
SECONDS_PER_HOUR = 3600.0
CAR_G_PER_KM = 409 / 1.609344
"""g CO2e per km of an average car in the United States: 409 g per mile (EPA), as codecarbon takes it."""
LAMP_W = 10.0
"""W of the LED lamp that joules are compared with."""
CARBON_TABLE = Path("data", "private_infra", "global_energy_mix.json")
"""Place of the table of countries in the package codecarbon."""


@dataclass(frozen=True)
class Scenario:
    """A wearable's life: its cell, how often it learns and how often it predicts.

    `battery_mah` mAh, `battery_v` V, both per day: `updates` trainings and `inferences` predictions; `country` is an ISO 3166
    code of three letters for CO2e, or empty for none; `target` an error as a share, or None for one that follows from the
    `baseline`, a label (empty: see `comparison.choose_baseline`).
    """

    battery_mah: float = 300.0
    battery_v: float = 3.7
    updates: float = 1.0
    inferences: float = 86_400.0
    target: float | None = None
    country: str = ""
    baseline: str = ""

    def __post_init__(self) -> None:
        for name in ("battery_mah", "battery_v", "updates", "inferences"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ReportError(f"scenario: {name} is {value}; expected a number above 0")
        if self.target is not None and not 0 <= self.target <= 1:
            raise ReportError(
                f"scenario: target error {self.target}; expected a share from 0 to 1, such as 0.1 for 10 %"
            )

    @property
    def inferences_per_update(self) -> float:
        """Predictions from one training to the next."""
        return self.inferences / self.updates


@dataclass(frozen=True)
class Reached:
    """Joules after which a target was reached; if `censored`, it was not reached within `joules`."""

    joules: float
    censored: bool = False


@dataclass(frozen=True)
class Intensity:
    """Carbon intensity of a country's electricity in g CO2e per kWh, of the year that it is known for."""

    country: str
    grams_per_kwh: float
    year: int


def joules_per_sample(joules: float, samples: float) -> float:
    """Return J per sample from J of a training and the samples that passed in it, epochs and stages counted."""
    return joules / samples


def watt_hours(joules: float) -> float:
    """Return Wh from J."""
    return joules / JOULES_PER_WH


def millijoules(joules: float) -> float:
    """Return mJ from J."""
    return 1000 * joules


def energy_delay_product(joules: float, seconds: float) -> float:
    """Return J s: energy times the time that it was spent in."""
    return joules * seconds


def inference_share(training_j: float, inference_j: float, inferences: float) -> float:
    """Return the share (0 to 1) of predictions in the energy of one training and the `inferences` predictions after it."""
    predictions = inferences * inference_j
    return predictions / (training_j + predictions)


def battery_joules(capacity_mah: float, volts: float) -> float:
    """Return the energy of a full cell in J from mAh and V: all of it, without losses, cut-off or self-discharge."""
    return capacity_mah / 1000 * SECONDS_PER_HOUR * volts


def battery_days(scenario: Scenario, training_j: float, inference_j: float) -> float:
    """Return the days that a full cell lasts if nothing but trainings and predictions, of J each, draws on it."""
    daily = scenario.updates * training_j + scenario.inferences * inference_j
    return battery_joules(scenario.battery_mah, scenario.battery_v) / daily


def joules_to_target(errors: Sequence[float], joules: Sequence[float], target: float) -> Reached:
    """Return the cumulative J at the first error (a share) at or below the target, or the last J as censored.

    Nothing is interpolated between scores: what was reached is known at a score only.
    """
    for error, spent in zip(errors, joules, strict=True):
        if error <= target:
            return Reached(spent)
    return Reached(joules[-1], censored=True)


def middle(blocks: Sequence[Reached]) -> Reached:
    """Return the median over blocks; censored where the blocks that never arrived leave it open, then a lower bound.

    A censored block is known to lie above its joules: put there and put at infinity, the medians enclose the true one.
    """
    lower = median(block.joules for block in blocks)
    upper = median(math.inf if block.censored else block.joules for block in blocks)
    return Reached(lower, censored=upper > lower)


def grams_co2e(joules: float, intensity: Intensity) -> float:
    """Return g CO2e from J."""
    return watt_hours(joules) / 1000 * intensity.grams_per_kwh


def car_metres(grams: float) -> float:
    """Return the m that an average car goes for g CO2e."""
    return 1000 * grams / CAR_G_PER_KM


def lamp_seconds(joules: float) -> float:
    """Return the s that an LED lamp of `LAMP_W` burns on J."""
    return joules / LAMP_W


def carbon_intensity(country: str) -> Intensity:
    """Return a country's intensity by its ISO 3166 code of three letters, from codecarbon's table; raises ReportError."""
    table = _carbon_table()
    entry = table.get(country.upper())
    if entry is None:
        close = ", ".join(code for code in sorted(table) if code[:1] == country.upper()[:1]) or ", ".join(sorted(table))
        raise ReportError(
            f"no carbon intensity of country {country!r}; give an ISO 3166 code of three letters: {close}"
        )
    return Intensity(str(entry["country_name"]), float(entry["carbon_intensity"]), int(entry["year"]))


def _carbon_table() -> dict[str, dict[str, str | float]]:
    package = find_spec("codecarbon")
    if package is None or package.origin is None:
        raise ReportError(
            "no table of carbon intensities: the package codecarbon is not installed; install it or give no country"
        )
    path = Path(package.origin).parent / CARBON_TABLE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(
            f"the package codecarbon has no readable {CARBON_TABLE} ({error}); give no country"
        ) from error
    return {code: entry for code, entry in table.items() if {"carbon_intensity", "year"} <= set(entry)}
