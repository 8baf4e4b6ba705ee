"""When a sampled training has seen enough: the cost per sample of its windows, and how well their mean is known."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from fobench.contracts import Provenance, Reading, total_channels
from fobench.harness.windows import Window

FEWEST_WINDOWS = 5
"""A deviation from fewer windows is a guess. From five on, the interval at the stop covers the truth in 92 to 95 of 100
simulated trainings (normal noise, relative deviations of 1 to 20 %), although the rule stops when it looks good."""


def half_width(values: Sequence[float]) -> float:
    """Return the half-width of the 95 % Student t interval of the mean of at least two values."""
    from scipy.stats import t

    quantile = float(t.ppf(0.975, len(values) - 1))
    return quantile * statistics.stdev(values) / math.sqrt(len(values))


@dataclass(frozen=True)
class _Source:
    """One quantity of one meter over one set of channels; the lowest rank is the best known energy."""

    rank: int
    meter: str
    channels: frozenset[str]


@dataclass
class Costs:
    """Cost per sample of the valid windows of one stage: measured energy, else estimated energy, else time.

    The disjoint channels of a meter are added, as in its total.
    """

    _values: dict[_Source, list[float]] = field(default_factory=dict, init=False)

    def add(self, window: Window) -> None:
        """Take in a window, unless it is invalid."""
        if window.invalid:
            return
        for meter, result in window.results.items():
            readings = result if isinstance(result, list) else []
            for quantity in ("energy", "duration"):
                parts = [reading for reading in readings if reading.quantity == quantity]
                wanted = total_channels(part.channel for part in parts)
                self._add(meter, [part for part in parts if part.channel in wanted], window.samples)

    def _add(self, meter: str, parts: list[Reading], samples: int) -> None:
        if not parts:
            return
        estimated = any(part.provenance == Provenance.ESTIMATED for part in parts)
        rank = 2 * (parts[0].quantity == "duration") + estimated
        source = _Source(rank, meter, frozenset(part.channel for part in parts))
        self._values.setdefault(source, []).append(sum(part.value for part in parts) / samples)

    def precise(self, precision: float) -> bool:
        """Say whether the mean of the best source is known to `precision`, relative, with 95 % confidence."""
        ranked = sorted(self._values, key=lambda source: (source.rank, -len(self._values[source])))
        values = self._values[ranked[0]] if ranked else []
        if len(values) < FEWEST_WINDOWS:
            return False
        mean = statistics.fmean(values)
        return mean > 0 and half_width(values) <= precision * mean
