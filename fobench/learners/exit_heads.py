"""Linear heads that let samples out of a net early: one per depth, trained by cross-entropy on activities as they are.

o_l = V_l [H_1; ..; H_l] + c_l   (or of H_l alone)
E_l = softmax(o_l) - T,   G_l = E_l^T [H_1; ..; H_l] / N
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners.activations import LINEAR, error_
from fobench.learners.early_exit import Exits, keep_
from fobench.learners.layers import Node, WeightedNode, build, weighted, weights
from fobench.learners.passes import Maps


def several_hidden(learner: Any, task: Task) -> None:
    """Raise for a net with no layer to leave early: a demand for `require`."""
    if sum(layer.has_weights for layer in networks.layers(learner.network, task)) < 2:
        raise checks.LearnerError(
            f"{type(learner).__name__} exits before its last hidden layer, and its network has not two; give it more widths"
        )


class Heads:
    """One linear layer per depth; each reads all layers up to its depth (`concatenated`), or its own layer only."""

    def __init__(self, layers: Sequence[WeightedNode], classes: int, concatenated: bool) -> None:
        """Take the layers that are read."""
        units = [node.layer.units for node in layers]
        self.first = [0 if concatenated else depth for depth in range(len(units))]
        widths = [sum(units[first : depth + 1]) for depth, first in enumerate(self.first)]
        self.layers = [networks.Layer(networks.dense(classes), (width,), (classes,)) for width in widths]
        self.nodes: list[WeightedNode] = []

    def allocate(
        self, init: str, bias: bool, optimizer: Mapping[str, Any], generator: torch.Generator, device: str
    ) -> None:
        """Allocate and initialise weights and optimizer state."""
        self.nodes = weighted(build(self.layers, LINEAR, init, bias, generator, device))
        self.steps = optimizers.make(optimizer, weights(self.nodes))

    def read(self, depth: int, activities: Sequence[Tensor]) -> Tensor:
        """Return what the head at a depth, counted from 0, reads, N x its inputs."""
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


Activity = Callable[[Node, tuple[Tensor, ...]], Tensor]
"""What takes a node and what it reads to its activity; of the output layer, to P."""


class EarlyNet:
    """A trained net with an output layer, and heads at its hidden layers but the last, whose exit is the output itself."""

    def __init__(self, nodes: Sequence[Node], activity: Activity, classes: int, concatenated: bool) -> None:
        """Take the net as it stands; its weights are read, never written."""
        self.nodes, self.activity = nodes, activity
        *self.read, self.last, self.top = weighted(nodes)
        self.heads = Heads(self.read, classes, concatenated)
        self.depths = len(self.read) + 1

    def activities(self, x: Tensor) -> list[Tensor]:
        """Return the activities that heads read."""
        H = Maps(self.nodes, x, [node.index for node in self.read])
        for node in self.nodes[: self.read[-1].index + 1]:
            H[node] = self.activity(node, H.before(node))
        return [H[node.index] for node in self.read]

    def exits(self, x: Tensor) -> Exits:
        """Yield the logits of each head while the net runs, and last its output."""
        H = Maps(self.nodes, x, [node.index for node in self.read])
        for node in self.nodes:
            H[node] = self.activity(node, H.before(node))
            if node in self.read:
                depth = self.read.index(node)
                keep_(H, (yield self.heads.logits(depth, [H[read.index] for read in self.read[: depth + 1]])))
        yield H.pop(self.top)

    def depth_macs(self) -> list[int]:
        """Return the MACs that each depth adds for a sample that reaches it: m_l and its head's, last m_{L-1} + m_L."""
        early = [node.layer.macs + head.macs for node, head in zip(self.read, self.heads.layers, strict=True)]
        return [*early, self.last.layer.macs + self.top.layer.macs]
