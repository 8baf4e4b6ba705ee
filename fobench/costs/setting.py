"""What every rule's costs depend on beside its own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fobench.costs.program import CostError

STATES: Mapping[str, tuple[str, ...]] = {"none": (), "sgd": (), "momentum": ("V",), "adam": ("m", "v")}
"""Buffers that an optimizer keeps per weight; `none` and `sgd` are one."""


@dataclass(frozen=True)
class Setting:
    """Biases, optimizer (a name, or a learner's `{name: ..., ...}`), and how memory is used.

    `padded`: a convolution with padding reads a padded copy. `seeded`: fixed random matrices are drawn again from a seed
    where they are used, instead of stored. `apart`: versions of a sample (positive and negative; one per candidate
    label) go through the network one after the other, instead of in one batch. `fused`: an update's products are summed
    into the weight or its momentum (Adam needs them by themselves); without, into a gradient first.
    """

    bias: bool = True
    optimizer: str | Mapping[str, Any] = "none"
    padded: bool = False
    seeded: bool = False
    apart: bool = False
    fused: bool = True

    @property
    def states(self) -> tuple[str, ...]:
        """Prefixes of the optimizer's buffers; CostError for an unknown optimizer."""
        name = self.optimizer if isinstance(self.optimizer, str) else str(self.optimizer.get("name"))
        if name not in STATES:
            raise CostError(f"unknown optimizer {name!r}; expected one of {', '.join(STATES)}")
        return STATES[name]


PLAIN = Setting()
UNBIASED = Setting(bias=False)
"""The rule is published without biases."""
