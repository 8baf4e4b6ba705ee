"""Cycles and picojoules per MAC of the chips in MLPerf Tiny, recomputed from the submitted results.

A profile's value is the median over all closed-division int8 submissions on the chip, in all rounds; low and high are the
extremes, absent where there is one submission. Cycles = clock / (inferences per second x MACs), energy = energy per
inference / MACs, with the MACs of convolutions and dense layers of the reference networks.
"""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median

from fobench.networks import dense, expand, layers, named_tasks

RESULTS = Path(__file__).parent / "data" / "mlperf_tiny_results.csv"
NETWORKS = {"kws": "ds-cnn", "vww": "mobilenet-v1-0.25", "ic": "resnet8", "ad": "autoencoder"}
SYSTEMS = {
    "STM32L4R5": "L4R5ZI",
    "STM32U575": "U575ZI",
    "STM32U385": "U385RG",
    "STM32H7A3": "H7A3ZI",
    "nRF5340": "NRF5340",
    "AndesCore-D25F": "AndesCore_d25_",
    "AndesCore-D45": "AndesCore_d45_",
}
"""What the systems of a chip have in their names."""

TOO_SHORT = {("v0.5", "ic"), ("v0.5", "ad")}
"""Energy runs of the reference submission that the runner itself marked as too short."""


def macs(kind: str) -> int:
    """Return the MACs of convolutions and dense layers of one forward pass."""
    task = named_tasks()[NETWORKS[kind]]
    return sum(layer.macs for layer in layers([*expand(NETWORKS[kind]), dense(task.outputs)], task))


def submissions(chip: str, kind: str) -> list[dict[str, str]]:
    """Return the rows of a chip, without those in float."""
    with RESULTS.open() as file:
        rows = list(csv.DictReader(file))
    return [
        row
        for row in rows
        if SYSTEMS[chip] in row["system"]
        and row["benchmark"] == kind
        and row["division"] == "closed"
        and not row["system"].endswith("_float")
    ]


def spread(values: list[float]) -> dict[str, float]:
    """Return value, low and high as a profile has them; nothing of nothing."""
    if len(values) < 2:
        return {"value": values[0]} if values else {}
    return {"value": median(values), "low": min(values), "high": max(values)}


def cycles_per_mac(chip: str, kind: str, clock: float) -> dict[str, float]:
    """Return the median with its extremes."""
    found = [float(row["throughput_inf_per_s"]) for row in submissions(chip, kind) if row["throughput_inf_per_s"]]
    return spread([clock / (rate * macs(kind)) for rate in found])


def energy_per_mac(chip: str, kind: str) -> dict[str, float]:
    """Return picojoules per MAC likewise."""
    rows = [row for row in submissions(chip, kind) if row["energy_per_inference"]]
    found = [row for row in rows if (row["round"], kind) not in TOO_SHORT]
    assert all(row["energy_unit"] == "uJ" for row in found)
    return spread([float(row["energy_per_inference"]) * 1e6 / macs(kind) for row in found])
