"""The errors that were scored in the course of a training, and the energy that had been spent by then."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from fobench.contracts import total_channels
from fobench.report.inputs import ReportInput
from fobench.report.tables import Measure, lookup


@dataclass(frozen=True)
class Trajectory:
    """Errors (shares) in the order of their scores, and J of all training windows before each."""

    errors: tuple[float, ...]
    joules: tuple[float, ...]


def trajectories(report: ReportInput, meter: str) -> dict[tuple[str, str, int], Trajectory]:
    """Return the trajectory of every training whose energy is whole, by label, data set and seed.

    A meter `A + B` is the sum of two. The last point is the final score, at the energy of the whole training.
    """
    scores = report.frame[(report.frame.quantity == "error") & (report.frame.channel == "test")]
    by_scores, by_windows = _by_process(scores), _by_process(_windows(report.frame, meter))
    found = {}
    for (label, dataset), energy in lookup(report, Measure("", "energy", "train", "J", meter=meter)).items():
        blocks = () if energy.partial else energy.values
        for block in blocks:
            key = (label, dataset, block)
            if block is not None and key in by_scores and key in by_windows:
                found[key] = _trajectory(by_scores[key], by_windows[key], energy.values[block])
    return found


def _by_process(rows: pd.DataFrame) -> dict[tuple[str, str, int], pd.DataFrame]:
    """Return the rows of each measuring process by label, data set and seed, in one pass."""
    return dict(iter(rows.groupby(["label", "dataset", "seed"], observed=True)))


def _windows(frame: pd.DataFrame, meter: str) -> pd.DataFrame:
    """Return the energy rows of training that the meter's total is the sum of."""
    energy = frame[(frame.phase == "train") & (frame.quantity == "energy")].astype({"meter": str, "channel": str})
    parts = [energy[energy.meter == part] for part in meter.split(" + ")]
    return pd.concat([part[part.channel.isin(total_channels(set(part.channel)))] for part in parts])


def _trajectory(scores: pd.DataFrame, windows: pd.DataFrame, total: float) -> Trajectory:
    """A score belongs to the end of its window: stages follow each other, epochs do within a stage."""
    during = scores[scores.phase == "train"]
    final = scores[scores.phase == "infer"]
    points = sorted(zip(during.stage.fillna(0), during.epoch.fillna(0.0), during.value, strict=True))
    at = windows.stage.fillna(0), windows.epoch.fillna(0.0)
    spent = [
        float(windows[(at[0] < stage) | ((at[0] == stage) & (at[1] <= epoch))].value.sum())
        for stage, epoch, _ in points
    ]
    return Trajectory(
        (*(float(error) for *_, error in points), *(float(error) for error in final.value)),
        (*spent, *[total] * len(final)),
    )
