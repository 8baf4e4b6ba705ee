"""Which channels of a meter add up without overlap; meters, harness and report ask here."""

from __future__ import annotations

from collections.abc import Iterable

LEFT_OUT = ("core", "uncore", "ram")
"""Last parts of channels that another channel contains already (RAPL's core, uncore) or that are a constant guess (RAM)."""


def total_channels(channels: Iterable[str]) -> set[str]:
    """Return the disjoint channels of one meter that its total is the sum of.

    RAPL: packages with their DRAM, or psys (the whole board) where there is no package; CodeCarbon: CPU and GPU; a board's
    sensors: its input rails, or all rails where no input is read.
    """
    names = set(channels)
    inputs = {name for name in names if name.startswith("input/")}
    if inputs:
        return inputs
    kept = {name for name in names if name.rpartition("/")[2] not in LEFT_OUT}
    boards = {name for name in kept if name.startswith("psys")}
    if any(name.startswith("package") and "/" not in name for name in kept):
        orphans = {name for name in kept if name.endswith("/dram") and name.removesuffix("/dram") not in names}
        return kept - boards - orphans
    return boards or kept
