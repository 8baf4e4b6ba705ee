"""From a sampled training to the whole budget: mean per sample of each stage times the samples that the budget has of it.

    mean_s = sum_i E_si / sum_i m_si                     (per sample, over the valid windows i of stage s)
    total  = sum_s budget_s mean_s                       (estimated, unless the windows cover the whole budget)
    se     = sqrt(sum_s (budget_s sd_i(E_si / m_si) / sqrt(n_s))^2)

The 95 % interval is total +- t se, t with Welch-Satterthwaite degrees of freedom over the stages (Welch 1947).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from fobench.contracts import Provenance
from fobench.report.provenance import WEAKNESS

PROCESS = ["label", "dataset", "seed", "device"]


@dataclass(frozen=True)
class Stage:
    """Valid windows of one stage: their values (J or s), their samples, and the samples that the budget has of the stage."""

    values: tuple[float, ...]
    samples: tuple[float, ...]
    budget: float


@dataclass(frozen=True)
class Total:
    """A whole training in J or s; `half_width` of its 95 % interval, None from single windows; `share` that was measured."""

    value: float
    half_width: float | None
    share: float


def total(stages: Iterable[Stage]) -> Total:
    """Extrapolate stages, each with at least one window, to their budgets."""
    stages = tuple(stages)
    value = sum(stage.budget * sum(stage.values) / sum(stage.samples) for stage in stages)
    open_stages = [stage for stage in stages if sum(stage.samples) < stage.budget]
    share = sum(sum(stage.samples) for stage in stages) / sum(stage.budget for stage in stages)
    if any(len(stage.values) < 2 for stage in open_stages):
        return Total(value, None, share)
    errors = [(_error(stage), len(stage.values) - 1) for stage in open_stages]
    variance = sum(error**2 for error, _ in errors)
    if not variance:
        return Total(value, 0.0, share)
    freedom = variance**2 / sum(error**4 / degrees for error, degrees in errors)
    return Total(value, float(student.ppf(0.975, freedom)) * math.sqrt(variance), share)


def _error(stage: Stage) -> float:
    """Return the standard error of a stage's extrapolated total."""
    each = np.array(stage.values) / np.array(stage.samples)
    return float(stage.budget * each.std(ddof=1) / math.sqrt(len(each)))


def extrapolated(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return one row per sampled process, meter and channel: `value`, `half_width`, `share`, `weakness`.

    A process, meter or channel without a valid window in one of its stages has none.
    """
    budgets = frame[frame.quantity == "budget"].set_index([*PROCESS, "stage"]).value
    rows = frame[(frame.phase == "train") & (frame.quantity == quantity) & (frame.invalid == "") & (frame.samples > 0)]
    found = []
    for process, stages in budgets.groupby(level=PROCESS, observed=True):
        mine = rows[np.logical_and.reduce([rows[name] == part for name, part in zip(PROCESS, process, strict=True)])]
        for (meter, channel), windows in mine.groupby(["meter", "channel"], observed=True):
            made = _stages(windows, stages.droplevel(PROCESS))
            if len(made) < len(stages):
                continue
            whole = total(made)
            estimated = WEAKNESS.index(Provenance.ESTIMATED) if whole.share < 1 else int(windows.weakness.max())
            found.append((*process, meter, channel, whole.value, whole.half_width, whole.share, estimated))
    return pd.DataFrame(found, columns=[*PROCESS, "meter", "channel", "value", "half_width", "share", "weakness"])


def _stages(windows: pd.DataFrame, budgets: pd.Series) -> list[Stage]:
    parts = dict(iter(windows.groupby("stage", observed=True)))
    return [
        Stage(tuple(parts[stage].value), tuple(parts[stage].samples.astype(float)), float(budget))
        for stage, budget in budgets.items()
        if stage in parts
    ]
