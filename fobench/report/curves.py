"""Test errors in the course of a training, greedy stages one after the other, by epochs, samples and joules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fobench.contracts import Part
from fobench.report.inputs import ReportInput
from fobench.report.trajectory import trajectories

Array = NDArray[Any]

KEYS = ["label", "dataset", "seed"]


def curves(report: ReportInput, meter: str = "") -> pd.DataFrame:
    """Return one row per score: `KEYS`, `error` (a share), `epochs`, `samples` and, where `meter` is whole, `joules`.

    Epochs and samples count every pass of every stage; the final score is the last of the training, taken once more.
    """
    frame = report.frame
    scored = (frame.quantity == "error") & (frame.phase == "train") & (frame.channel == "test") & frame.epoch.notna()
    rows = frame[scored].sort_values(["stage", "epoch"], kind="stable").astype({"label": str, "dataset": str})
    made = rows[KEYS].assign(error=rows.value, epochs=epochs_passed(report, rows))
    per_epoch = _samples_per_epoch(report)
    made["samples"] = made.epochs * rows.cell.map(per_epoch).astype(float)
    joules = _joules(report, meter)
    places = made.groupby(KEYS).cumcount()
    keys = zip(made.label, made.dataset, made.seed, places, strict=True)
    return made.assign(joules=[joules.get(key) for key in keys]).reset_index(drop=True)


def epochs_passed(report: ReportInput, rows: pd.DataFrame) -> pd.Series:
    """Return how many epochs of all stages lie before each row of `ReportInput.frame`."""
    stages = {header.id: header.cell.recipe.epochs for header in report.headers}
    return rows.stage.fillna(0).astype(float) * rows.cell.map(stages).astype(float) + rows.epoch.astype(float)


def _samples_per_epoch(report: ReportInput) -> dict[str, int]:
    """Return the samples of an epoch, whole batches only, by cell."""
    headers = [header for header in report.headers if header.part == Part.MEASURE and "train" in header.samples]
    sizes = {header.id: header.cell.recipe.batch_size for header in headers}
    return {h.id: h.samples["train"] // sizes[h.id] * sizes[h.id] for h in headers}


def _joules(report: ReportInput, meter: str) -> dict[tuple[str, str, int, int], float]:
    """Return the joules spent before each score, by label, data set, seed and place in the training."""
    paths = trajectories(report, meter) if meter else {}
    return {(*key, place): joules for key, path in paths.items() for place, joules in enumerate(path.joules)}


def joined(rows: pd.DataFrame, x: str, y: str) -> tuple[Array, Array]:
    """Return the lines of all seeds as one with gaps: one thing to draw, however many blocks there are."""
    rows = rows.sort_values("seed", kind="stable")
    seeds = rows.seed.to_numpy()
    gaps = np.flatnonzero(seeds[1:] != seeds[:-1]) + 1
    return np.insert(rows[x].to_numpy(float), gaps, np.nan), np.insert(rows[y].to_numpy(float), gaps, np.nan)
