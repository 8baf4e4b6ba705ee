"""Small networks, one of each kind, with the toy tasks that learners are examined on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fobench.contracts import Task
from fobench.networks import add, conv, flatten, local, pool
from fobench.testing.budget import Budget

MAPS = Task("classification", (1, 8, 8), 3)

NETS: Mapping[str, tuple[list[Any], Task]] = {
    "dense": ([24, 20], Task("classification", (14,), 3)),
    "conv": ([conv(12, padding="same"), pool(2), conv(16, stride=2, padding="same"), flatten()], MAPS),
    "residual": (
        [conv(12, padding="same"), conv(12, padding="same", activate=False), add(0, activate=True), pool(mode="mean")],
        MAPS,
    ),
    "local": ([local(6, stride=2), local(8)], MAPS),
    "auto-encoder": ([24, 12, 24], Task("reconstruction", (16,))),
}

DENSE, OTHERS = Budget(epochs=15), Budget(epochs=15, error=0.6, auc=0.65)
"""On maps, and on a reconstruction, better than chance (2/3, 1/2) will do: what rules learn there, their own tests say."""
