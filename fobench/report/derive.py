"""From the long frame to one value per label, data set and seed: sums over windows, channels and stages, with provenance.

The derived frame is long as well: `DERIVED` names its columns. A value of phase `train` is per training of the stated budget
(`energy` J, `duration` s) or per training sample (`macs`, `elementwise`, the mean over stages); one of phase `infer` is per
sample. `batch` is `single` or `recipe`. Nothing here is stored.
"""

from __future__ import annotations

import pandas as pd

from fobench.contracts import Provenance, total_channels
from fobench.report.extrapolate import PROCESS, extrapolated
from fobench.report.provenance import WEAKNESS

CELL = PROCESS
DERIVED = [
    "label",
    "dataset",
    "seed",
    "phase",
    "batch",
    "quantity",
    "channel",
    "meter",
    "value",
    "provenance",
    "partial",
]
"""`seed` is empty for exact values; `partial` marks a sum that lacks a window or a channel and is therefore too small."""

SUMMED = ["value", "weakness", "partial"]


def derive(frame: pd.DataFrame) -> pd.DataFrame:
    """Return all derived values of `ReportInput.frame`, one row each."""
    coded = frame.assign(
        weakness=frame.provenance.astype(str).map({str(part): rank for rank, part in enumerate(WEAKNESS)}),
        meter=frame.meter.astype(str),
        channel=frame.channel.astype(str),
    )
    parts = [
        *(_training_totals(coded, quantity) for quantity in ("energy", "duration")),
        *(_per_sample(coded, quantity) for quantity in ("energy", "duration")),
        _counts(coded),
        _memory(coded),
        _scores(coded),
    ]
    whole = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    whole["provenance"] = [str(WEAKNESS[int(rank)]) for rank in whole.weakness]
    whole["partial"] = whole.partial.astype(bool)
    return whole[DERIVED]


def is_gpu(channel: str) -> bool:
    """Say whether a channel reads a GPU."""
    return channel.startswith("gpu")


def _training_totals(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Sum the valid windows of all stages; a cell with a window missing or invalid is partial, a sampled one extrapolated."""
    sampled = set(frame.cell[frame.quantity == "budget"])
    train = frame[(frame.phase == "train") & frame.quantity.isin(["energy", "duration"]) & frame.window.notna()]
    train = train[~train.cell.isin(sampled)]
    asked = train.groupby(CELL, observed=True).window.nunique().rename("asked")
    rows = train[(train.quantity == quantity) & (train.invalid == "")]
    sums = rows.groupby([*CELL, "meter", "channel"], observed=True).agg(
        value=("value", "sum"), windows=("window", "nunique"), weakness=("weakness", "max")
    )
    sums = sums.reset_index().merge(asked.reset_index(), on=CELL)
    sums["partial"] = sums.windows < sums.asked
    if sampled:
        made = extrapolated(frame[frame.cell.isin(sampled)], quantity).assign(partial=False)
        sums = pd.concat([part for part in (sums, made) if len(part)] or [sums])[[*CELL, "meter", "channel", *SUMMED]]
    sums["batch"] = "recipe"
    return _over_channels(sums, quantity).assign(phase="train")


def _per_sample(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Divide the sum over valid inference windows by the samples predicted in them, for each batch size."""
    rows = frame[(frame.phase == "infer") & (frame.quantity == quantity) & (frame.invalid == "") & (frame.samples > 0)]
    rows = rows.assign(batch=rows.batch_size.eq(1).map({True: "single", False: "recipe"}))
    sums = rows.groupby([*CELL, "meter", "channel", "batch"], observed=True).agg(
        value=("value", "sum"), samples=("samples", "sum"), weakness=("weakness", "max")
    )
    sums = sums.reset_index().assign(partial=False)
    sums["value"] = sums.value / sums.samples.astype(float)
    return _over_channels(sums, quantity).assign(phase="infer")


def _over_channels(sums: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Add up each meter's disjoint channels; a cell that lacks one of them is partial."""
    if sums.empty:
        return sums.assign(quantity=quantity, channel="total")
    channels = {meter: total_channels(set(rows.channel)) for meter, rows in sums.groupby("meter")}
    pairs = zip(sums.meter, sums.channel, strict=True)
    wanted = pd.Series([channel in channels[meter] for meter, channel in pairs], index=sums.index, dtype=bool)
    totals = (
        sums[wanted]
        .groupby([*CELL, "meter", "batch"], observed=True)
        .agg(
            value=("value", "sum"),
            weakness=("weakness", "max"),
            partial=("partial", "any"),
            found=("channel", "nunique"),
        )
    )
    totals = totals.reset_index()
    totals["partial"] |= totals.found < totals.meter.map({meter: len(names) for meter, names in channels.items()})
    if quantity == "energy":
        totals = _whole_machine(totals, channels)
    return totals.assign(quantity=quantity, channel="total")


def _whole_machine(totals: pd.DataFrame, channels: dict[str, set[str]]) -> pd.DataFrame:
    """Add `A + B` of a measured host meter and a GPU meter where a GPU computes; drop a GPU's idling where it does not."""
    gpu_meters = {meter for meter, names in channels.items() if all(is_gpu(name) for name in names)}
    on_gpu = totals.device.astype(str).str.startswith("cuda")
    measured = totals.weakness <= WEAKNESS.index(Provenance.MEASURED)
    host = totals[on_gpu & measured & ~totals.meter.isin(gpu_meters)]
    gpu = totals[on_gpu & measured & totals.meter.isin(gpu_meters)]
    both = host.merge(gpu, on=[*CELL, "batch"], suffixes=("", "_gpu"))
    both["meter"] = both.meter + " + " + both.meter_gpu
    both["value"] += both.value_gpu
    both["partial"] |= both.partial_gpu
    alone = totals[on_gpu | ~totals.meter.isin(gpu_meters)]
    return pd.concat([alone, both[totals.columns]], ignore_index=True) if len(both) else alone


def _counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Add up a step's operations over passes and roles, divide by its samples and take the mean over stages."""
    rows = frame[frame.quantity.isin(["macs", "elementwise"]) & (frame.samples > 0)]
    keys = [*CELL, "phase", "quantity", "meter"]
    stages = rows.groupby([*keys, "stage"], observed=True, dropna=False).agg(
        value=("value", "sum"), samples=("samples", "max"), weakness=("weakness", "max")
    )
    stages["value"] = stages.value / stages.samples.astype(float)
    means = stages.groupby(keys, observed=True, dropna=False).agg(value=("value", "mean"), weakness=("weakness", "max"))
    return means.reset_index().assign(batch="recipe", channel="total", partial=False)


def _memory(frame: pd.DataFrame) -> pd.DataFrame:
    """Take the maximum over stages of every peak and of the persistent state."""
    rows = frame[frame.quantity.isin(["memory_peak", "memory"])]
    keys = [*CELL, "phase", "quantity", "meter", "channel"]
    peaks = rows.groupby(keys, observed=True, dropna=False).agg(value=("value", "max"), weakness=("weakness", "max"))
    return peaks.reset_index().assign(batch="recipe", partial=False)


def _scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Take the final score on the test split."""
    rows = frame[(frame.phase == "infer") & frame.quantity.isin(["error", "auc"]) & (frame.channel == "test")]
    return rows[[*CELL, "phase", "quantity", "meter", "channel", "value", "weakness"]].assign(
        batch="recipe", partial=False
    )
