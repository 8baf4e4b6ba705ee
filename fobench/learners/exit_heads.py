"""Linear heads that let samples out of a trunk early: one per depth, trained by cross-entropy on activities as they are.

o_l = V_l [H_1; ..; H_l] + c_l   (or of H_l alone),   G_l = (softmax(o_l) - T)^T [H_1; ..; H_l] / N
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Role, Task, role
from fobench.learners import optimizers
from fobench.learners.activations import LINEAR, Output, error_
from fobench.learners.early_exit import Exits, keep_
from fobench.learners.layers import Node, WeightedNode, build, weighted, weights
from fobench.learners.passes import Maps


class ExitHeads:
    """Heads at depths 1, 2, ...; each reads all layers up to its depth (`concatenated`) or its own layer only."""

    def __init__(self, layers: Sequence[WeightedNode], task: Task, concatenated: bool) -> None:
        """Take the layers that are read."""
        units = [node.layer.units for node in layers]
        self.first = [0 if concatenated else depth for depth in range(len(units))]
        widths = [sum(units[self.first[depth] : depth + 1]) for depth in range(len(units))]
        self.shapes = [networks.Layer(networks.dense(task.classes), (width,), (task.classes,)) for width in widths]
        self.nodes: list[WeightedNode] = []

    def allocate(
        self, init: str, bias: bool, optimizer: Mapping[str, Any], generator: torch.Generator, device: str
    ) -> None:
        """Allocate and initialise heads and optimizer state."""
        self.nodes = weighted(build(self.shapes, LINEAR, init, bias, generator, device))
        self.steps = optimizers.make(optimizer, weights(self.nodes))

    @property
    def macs(self) -> list[int]:
        """MACs of each head for one sample."""
        return [shape.macs for shape in self.shapes]

    def read(self, depth: int, activities: Sequence[Tensor]) -> Tensor:
        """Return what the head at a depth reads, N x its inputs."""
        seen = activities[self.first[depth] : depth + 1]
        return seen[0].flatten(1) if len(seen) == 1 else torch.cat([H.flatten(1) for H in seen], 1)

    @role(Role.HEAD)
    def logits(self, depth: int, activities: Sequence[Tensor]) -> Tensor:
        """Return o_l, N x C, from the activities of layers 1, 2, ..."""
        return self.nodes[depth](self.read(depth, activities))

    @role(Role.HEAD)
    def step(self, activities: Sequence[Tensor], y: Tensor) -> None:
        """Update all heads on one batch."""
        for depth, V in enumerate(self.nodes):
            seen = self.read(depth, activities)
            V.accumulate_(error_(torch.softmax(V(seen), 1), y), seen, self.steps)  # E_l = softmax(o_l) - T

    def state(self) -> dict[str, Tensor]:
        """Return V1, c1, V2, ..., by depth."""
        named = {}
        for depth, V in enumerate(self.nodes, 1):
            named[f"V{depth}"] = V.W
            if V.b is not None:
                named[f"c{depth}"] = V.b
        return named


def activities(nodes: Sequence[Node], x: Tensor, read: Sequence[WeightedNode]) -> list[Tensor]:
    """Take a pass as far as the last layer that is read, and return the activities of those."""
    H = Maps(nodes, x, [node.index for node in read])
    for node in nodes[: read[-1].index + 1]:
        H[node] = node.activity(*H.before(node))
    return [H[node.index] for node in read]


def exits(nodes: Sequence[Node], heads: ExitHeads, output: Output, x: Tensor) -> Exits:
    """Yield the logits of each head while a net with an output layer runs, and last the output itself."""
    layers = weighted(nodes)[: len(heads.nodes)]
    H, seen = Maps(nodes, x, [node.index for node in layers]), 0
    for node in nodes:
        H[node] = node.activity(*H.before(node))
        if seen < len(layers) and node is layers[seen]:
            rows = yield heads.logits(seen, [H[node.index] for node in layers[: seen + 1]])
            keep_(H, rows)
            seen += 1
    yield output(H.pop(nodes[-1]))
