"""What the instruments themselves cost: one cell with all of them and with the clock alone, in turns, in fresh processes.

Time per sample is taken from the start of the first training window to the start of the last one, so that opening and
closing windows counts. The meter `host` is open on both sides.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fobench.contracts import Cell, FobenchError, Part, Phase, Reference, Status
from fobench.harness.job import Job
from fobench.harness.launcher import launch
from fobench.harness.sampling import half_width
from fobench.harness.windows import PERIODS_PER_WINDOW
from fobench.store import Entry

BUDGET = 0.01
"""Share of the training's time that the instruments may take."""

PRECISION = 0.005
"""Relative half-width that each run aims at, so that a difference of `BUDGET` has a chance to show."""


@dataclass(frozen=True)
class Pair:
    """Seconds per sample with what is in question and without it, measured one after the other."""

    with_s: float
    without_s: float


@dataclass(frozen=True)
class Verdict:
    """Relative cost of what is in question with the 95 % half-width of its mean over pairs."""

    cost: float
    half_width: float

    @property
    def text(self) -> str:
        """Say whether it keeps to the budget, or that this host cannot tell."""
        if self.cost + self.half_width <= BUDGET:
            return f"within the budget of {BUDGET:.0%}"
        if self.cost - self.half_width > BUDGET:
            return f"above the budget of {BUDGET:.0%}: use fewer meters or quieter ones, or longer windows"
        return (
            f"this host cannot resolve {BUDGET:.0%}: times differ by ±{self.half_width:.1%} anyway; "
            "stop other programs, or measure more pairs"
        )


def judge(pairs: list[Pair]) -> Verdict:
    """Return the mean relative cost over at least two pairs; the two sides of a pair share the host's mood."""
    logs = [math.log(pair.with_s / pair.without_s) for pair in pairs]
    mean = math.expm1(statistics.fmean(logs))
    return Verdict(mean, (1 + mean) * half_width(logs))


def pairs(job: Job, folder: Path, count: int) -> Iterator[Pair]:
    """Measure `count` pairs of a cell, below `folder`; which side comes first changes from pair to pair.

    A rehearsal before them warms the file caches and tells how long windows are with all meters.
    """
    plan = replace(job.cell.plan, training="sampled", precision=PRECISION, idle_s=0.0)
    every = replace(job.cell, plan=plan)
    if {meter.target for meter in plan.meters} <= {"clock", "host"} and not plan.guards:
        raise FobenchError(
            f"{every.label} is measured with the clock alone; add the meters whose cost you want to know"
        )
    alone = _without_instruments(every, _run(job, every, folder))
    for number in range(count):
        sides = (every, alone) if number % 2 else (alone, every)
        seconds = {side.id: seconds_per_sample(_run(job, side, folder)) for side in sides}
        yield Pair(seconds[every.id], seconds[alone.id])


def _without_instruments(cell: Cell, entry: Entry) -> Cell:
    """Return the cell with the clock alone, and windows as long as those of `entry`, which slow sensors may stretch."""
    periods = [float(described.get("update_period_s", 0.0)) for described in entry.header.instruments.values()]
    window_s = max([cell.plan.window_s, *(PERIODS_PER_WINDOW * period for period in periods)])
    return replace(cell, plan=replace(cell.plan, meters=(Reference("clock"),), guards=(), window_s=window_s))


def _run(job: Job, cell: Cell, folder: Path) -> Entry:
    entry = launch(replace(job, part=Part.MEASURE, cell=cell), folder)
    if entry.status != Status.DONE:
        raise FobenchError(f"{cell.label} on {cell.dataset.name} {entry.status}: {entry.reason.strip()}")
    return entry


def seconds_per_sample(entry: Entry) -> float:
    """Return the time from the first training window's start to the last one's, per sample; at least two are needed."""
    rows = [row for row in entry.rows() if row["phase"] == Phase.TRAIN and row["window"] is not None]
    windows = list({row["window"]: row for row in rows}.values())
    if len(windows) < 2:
        raise FobenchError(
            f"the training of {entry.header.cell.label} fits into one window; lower plan.window_s, or raise recipe.epochs"
        )
    span_s: float = windows[-1]["started_s"] - windows[0]["started_s"]
    samples: int = sum(row["samples"] for row in windows[:-1])
    return span_s / samples
