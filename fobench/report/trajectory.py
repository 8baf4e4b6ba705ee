"""The errors that were scored in the course of a training, and the energy that had been spent by then."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fobench.contracts import total_channels
from fobench.report.inputs import ReportInput
from fobench.report.tables import Measure, lookup

Array = NDArray[Any]


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


@dataclass(frozen=True)
class _Rows:
    """Columns of the rows of one measuring process; `when` has stage and epoch of each."""

    final: Array
    when: Array
    value: Array


def _by_process(rows: pd.DataFrame) -> dict[tuple[str, str, int], _Rows]:
    """Return the rows of each measuring process by label, data set and seed, in one pass over columns."""
    final = (rows.phase == "infer").to_numpy()
    when = np.stack([rows.stage.fillna(0).to_numpy(float), rows.epoch.fillna(0.0).to_numpy(float)], axis=1)
    value = rows.value.to_numpy(float)
    places = rows.groupby(["label", "dataset", "seed"], observed=True).indices
    return {key: _Rows(final[at], when[at], value[at]) for key, at in places.items()}


def _windows(frame: pd.DataFrame, meter: str) -> pd.DataFrame:
    """Return the energy rows of training that the meter's total is the sum of."""
    energy = frame[(frame.phase == "train") & (frame.quantity == "energy")].astype({"meter": str, "channel": str})
    parts = [energy[energy.meter == part] for part in meter.split(" + ")]
    return pd.concat([part[part.channel.isin(total_channels(set(part.channel)))] for part in parts])


def _trajectory(scores: _Rows, windows: _Rows, total: float) -> Trajectory:
    """A score belongs to the end of its window: stages follow each other, epochs do within a stage."""
    points = sorted(zip(map(tuple, scores.when[~scores.final]), scores.value[~scores.final], strict=True))
    order = np.lexsort(windows.when.T[::-1])
    ends = [tuple(end) for end in windows.when[order]]
    spent = np.concatenate([[0.0], np.cumsum(windows.value[order])])
    finals = scores.value[scores.final]
    return Trajectory(
        (*(float(error) for _, error in points), *(float(error) for error in finals)),
        (*(float(spent[bisect_right(ends, point)]) for point, _ in points), *[total] * len(finals)),
    )
