"""Two runs of the same cells against each other: exact quantities exactly, scores seed by seed, noisy ones between runs.

Time and energy of two runs are never paired: what a block does to one run it does not do to the other. Their ratio is that
of geometric means, with Welch's t interval of the log values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from fobench.contracts import Provenance
from fobench.report.inputs import ReportError, ReportInput, read
from fobench.report.logratios import ALPHA, Array
from fobench.report.logratios import interval as paired_interval
from fobench.report.stats import Interval

KEYS = ["label", "dataset", "phase", "batch", "quantity", "channel", "meter"]
PAIRED = ("error", "auc")
"""Scores follow from seed and data order, so the same seed of two runs is one pair."""

NAMES = {"time": "duration", "bytes": "memory_peak"}
"""What a limit may call a quantity beside its own name."""


@dataclass(frozen=True)
class Change:
    """One quantity of one learner on one data set in two runs; `reason` says why there is no ratio (after / before)."""

    label: str
    dataset: str
    quantity: str
    where: str
    before: float
    after: float
    exact: bool
    ratio: Interval | None = None
    reason: str = ""

    @property
    def verdict(self) -> str:
        """Return `equal` (exact ones only), `lower`, `higher` or `undecided`; nothing without a ratio."""
        if self.ratio is None:
            return ""
        if self.exact and self.ratio.ratio == 1:
            return "equal"
        if self.ratio.low <= 1 <= self.ratio.high:
            return "undecided"
        return "lower" if self.ratio.ratio < 1 else "higher"


@dataclass(frozen=True)
class Limit:
    """A quantity that must not grow by more than `share` (0.05 is 5 %)."""

    quantity: str
    share: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read `energy:+5%`; raises ReportError."""
        found = re.fullmatch(r"([a-z_]+):\+?(\d+(?:\.\d+)?)%", text.replace(" ", ""))
        if not found:
            raise ReportError(f"limit {text!r}; expected a quantity and how much it may grow, such as energy:+5%")
        return cls(NAMES.get(found[1], found[1]), float(found[2]) / 100)

    def exceeded(self, change: Change) -> bool:
        """Say whether a change is surely beyond the limit: all of its interval."""
        return change.ratio is not None and change.ratio.low > 1 + self.share + 1e-12

    def unresolved(self, change: Change) -> bool:
        """Say whether the limit lies inside the interval, or there is none to judge by."""
        return change.ratio is None or change.ratio.low <= 1 + self.share < change.ratio.high


def between(before: ReportInput, after: ReportInput) -> list[Change]:
    """Return the changes of everything that both runs have; raises ReportError if that is nothing."""
    old, new = (_groups(report) for report in (before, after))
    common = [key for key in old if key in new]
    if not common:
        raise ReportError(
            f"{before.folder} and {after.folder} share no learner, data set and quantity: "
            f"{_named(before)} against {_named(after)}"
        )
    return [_change(key, old[key], new[key], before.machine == after.machine) for key in common]


def read_both(before: Path, after: Path, machine: str | None = None) -> tuple[ReportInput, ReportInput]:
    """Read two results folders."""
    return read(before, machine), read(after, machine)


def _named(report: ReportInput) -> str:
    return f"{', '.join(report.labels)} on {', '.join(report.datasets)}"


def _groups(report: ReportInput) -> dict[tuple[str, ...], pd.DataFrame]:
    rows = report.derived.astype(dict.fromkeys(KEYS, str))
    found = {tuple(map(str, key)): group for key, group in rows.groupby(KEYS, sort=True)}
    for (label, dataset), count in report.parameters.items():
        key = (label, dataset, "setup", "", "parameters", "", "")
        found[key] = pd.DataFrame(
            {"seed": [None], "value": [float(count)], "provenance": [str(Provenance.ANALYTICAL)], "partial": [False]}
        )
    return found


def _change(key: tuple[str, ...], old: pd.DataFrame, new: pd.DataFrame, same_machine: bool) -> Change:
    label, dataset, phase, batch, quantity, channel, meter = key
    exact = {*old.provenance, *new.provenance} == {str(Provenance.ANALYTICAL)}
    where = ", ".join(part for part in (phase, batch, meter, "" if channel == "total" else channel) if part)
    means = float(old.value.mean()), float(new.value.mean())
    ratio, reason = _ratio(quantity, exact, old, new, same_machine)
    return Change(label, dataset, quantity, where, *means, exact, ratio, reason)


def _ratio(
    quantity: str, exact: bool, old: pd.DataFrame, new: pd.DataFrame, same_machine: bool
) -> tuple[Interval | None, str]:
    if old.partial.any() or new.partial.any():
        return None, "a sum that lacks windows is a lower bound and is not compared"
    if exact:
        return _exact(float(old.value.mean()), float(new.value.mean()))
    if (old.value <= 0).any() or (new.value <= 0).any():
        return None, "a value is not above 0, so that there is no log ratio"
    if quantity in PAIRED:
        return _paired(old, new)
    if not same_machine:
        return None, "other machine: time and energy are compared on one machine only"
    if set(old.provenance) != set(new.provenance):
        return None, "measured against estimated is not compared"
    return _unpaired(np.log(old.value.to_numpy(float)), np.log(new.value.to_numpy(float)))


def _exact(before: float, after: float) -> tuple[Interval | None, str]:
    if before == 0 and after != 0:
        return None, "it was 0 before, so that there is no ratio"
    ratio = after / before if before else 1.0
    return Interval(ratio, ratio, ratio), ""


def _paired(old: pd.DataFrame, new: pd.DataFrame) -> tuple[Interval | None, str]:
    both = old.merge(new, on="seed", suffixes=("_old", "_new"))
    logs: Array = np.log(both.value_new.to_numpy(float)) - np.log(both.value_old.to_numpy(float))
    if len(logs) < 2:
        return None, "fewer than two seeds in common: there is no spread to judge by"
    low, high = paired_interval(logs)
    return _interval(float(logs.mean()), float(low), float(high)), ""


def _unpaired(old: Array, new: Array) -> tuple[Interval | None, str]:
    """Return the ratio of geometric means with Welch's interval (Welch 1947)."""
    if min(len(old), len(new)) < 2:
        return None, "fewer than two blocks in one of the runs: there is no spread to judge by"
    shares = [float(logs.var(ddof=1)) / len(logs) for logs in (old, new)]
    centre, error = float(new.mean() - old.mean()), math.sqrt(sum(shares))
    if error == 0:
        return _interval(centre, centre, centre), ""
    freedom = sum(shares) ** 2 / sum(share**2 / (len(logs) - 1) for share, logs in zip(shares, (old, new), strict=True))
    half = float(stats.t.ppf(1 - ALPHA / 2, freedom)) * error
    return _interval(centre, centre - half, centre + half), ""


def _interval(*logs: float) -> Interval:
    return Interval(*(math.exp(value) for value in logs))


@dataclass(frozen=True)
class Judgement:
    """What limits say of the changes: surely exceeded, and not to be told on these runs."""

    exceeded: tuple[tuple[Limit, Change], ...]
    unresolved: tuple[tuple[Limit, Change], ...]


def judge(changes: Iterable[Change], limits: Sequence[Limit]) -> Judgement:
    """Hold the changes against the limits; raises ReportError for a limit on a quantity that is not there."""
    found = list(changes)
    for limit in limits:
        if all(change.quantity != limit.quantity for change in found):
            known = ", ".join(sorted({change.quantity for change in found}))
            raise ReportError(f"no {limit.quantity} in both runs to hold against a limit; there is {known}")
    pairs = [(limit, change) for limit in limits for change in found if change.quantity == limit.quantity]
    exceeded = tuple((limit, change) for limit, change in pairs if limit.exceeded(change))
    unresolved = tuple((limit, change) for limit, change in pairs if limit.unresolved(change))
    return Judgement(exceeded, unresolved)
