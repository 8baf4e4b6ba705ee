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
from fobench.learners.layers import Node, WeightedNode, build, weighted
from fobench.learners.passes import Maps


def several_hidden(learner: Any, task: Task) -> None:
    """Raise for a net with no layer to leave early: a demand for `require`."""
    if sum(layer.has_weights for layer in networks.layers(learner.network, task)) < 2:
        raise checks.LearnerError(
            f"{type(learner).__name__} exits before its last hidden layer, and its network has not two; give it more widths"
        )


class Heads:
    """One linear layer per depth; each reads all layers up to its depth (`concatenated`), or its own layer only.

    V_l is kept as one block per layer that it reads, so that activities are never concatenated, and the block of a
    convolution in the order in which its map lies in memory, channels last, so that neither is ever copied.
    """

    def __init__(self, layers: Sequence[WeightedNode], classes: int, concatenated: bool) -> None:
        """Take the layers that are read."""
        self.shapes = [node.layer.output_shape for node in layers]
        self.is_map = [node.layer.kind in ("conv", "depthwise") for node in layers]
        self.units = [node.layer.units for node in layers]
        self.first = [0 if concatenated else depth for depth in range(len(layers))]
        widths = [sum(self.units[first : depth + 1]) for depth, first in enumerate(self.first)]
        self.layers = [networks.Layer(networks.dense(classes), (width,), (classes,)) for width in widths]
        self.blocks: list[tuple[Tensor, ...]] = []
        self.c: list[Tensor | None] = []

    def allocate(
        self, init: str, bias: bool, optimizer: Mapping[str, Any], generator: torch.Generator, device: str
    ) -> None:
        """Allocate and initialise weights and optimizer state."""
        drawn = weighted(build(self.layers, LINEAR, init, bias, generator, device))
        self.blocks = []
        for depth, (first, V) in enumerate(zip(self.first, drawn, strict=True)):
            parts = torch.split(V.W, self.units[first : depth + 1], 1)
            self.blocks.append(tuple(self._kept(part, layer) for layer, part in enumerate(parts, first)))
        self.c = [V.b for V in drawn]
        biases = [c for c in self.c if c is not None]
        self.steps = optimizers.make(optimizer, [*(block for blocks in self.blocks for block in blocks), *biases])

    def _kept(self, block: Tensor, layer: int) -> Tensor:
        """Return a copy of a block in the order of the layer's map in memory."""
        if not self.is_map[layer]:
            return block.clone()
        return block.reshape(len(block), *self.shapes[layer]).permute(0, 2, 3, 1).flatten(1).contiguous()

    def _live(self, block: Tensor, layer: int) -> Tensor:
        """Return a block as it is shown, C x n_l or C x the shape of the map: a view."""
        if not self.is_map[layer]:
            return block
        channels, *sides = self.shapes[layer]
        return block.view(len(block), *sides, channels).permute(0, 3, 1, 2)

    def seen(self, depth: int, layers: Sequence[WeightedNode], H: Maps) -> list[Tensor]:
        """Return the activities that the head at a depth, counted from 0, reads, as N x n_l in the order of its blocks."""
        read = range(self.first[depth], depth + 1)
        maps = ((H[layers[layer].index], self.is_map[layer]) for layer in read)
        return [(found.permute(0, 2, 3, 1) if is_map else found).flatten(1) for found, is_map in maps]

    @role(Role.HEAD)
    def logits(self, depth: int, seen: Sequence[Tensor]) -> Tensor:
        """Return o_l, N x C, from the activities that the head reads."""
        (H, V), *rest = zip(seen, self.blocks[depth], strict=True)
        o = torch.mm(H, V.T)
        for H, V in rest:
            o.addmm_(H, V.T)
        c = self.c[depth]
        return o if c is None else o.add_(c)

    @role(Role.HEAD)
    def step(self, depth: int, seen: Sequence[Tensor], y: Tensor) -> None:
        """Update the head at a depth on one batch."""
        E = error_(torch.softmax(self.logits(depth, seen), 1), y)  # E_l = softmax(o_l) - T
        for H, V in zip(seen, self.blocks[depth], strict=True):
            self.steps.correlate_(V, E, H, len(E))  # G_l = E_l^T [H_1; ..; H_l] / N
        c = self.c[depth]
        if c is not None:
            self.steps.step_(c, E.sum(0), len(E))

    def state(self) -> dict[str, Tensor]:
        """Return V1, c1, ..., by depth; where a head reads several layers, its blocks V2_1, V2_2, ... by layer.

        The block of a convolution has the shape C x channels x rows x columns.
        """
        named = {}
        for depth, (blocks, c) in enumerate(zip(self.blocks, self.c, strict=True), 1):
            for number, block in enumerate(blocks, 1):
                shown = self._live(block, self.first[depth - 1] + number - 1)
                named[f"V{depth}_{number}" if len(blocks) > 1 else f"V{depth}"] = shown
            if c is not None:
                named[f"c{depth}"] = c
        return named


Activity = Callable[[Node, tuple[Tensor, ...]], Tensor]
"""What takes a node and what it reads to its activity; of the output layer, to P."""


class EarlyNet:
    """A trained net with an output layer, and heads at its hidden layers but the last, whose exit is the output itself."""

    def __init__(self, nodes: Sequence[Node], activity: Activity, classes: int, concatenated: bool) -> None:
        """Take the net as it stands; its weights are read, never written."""
        self.nodes, self.activity = nodes, activity
        *self.read, self.last, self.top = weighted(nodes)
        self.heads, self.concatenated = Heads(self.read, classes, concatenated), concatenated
        self.depths = len(self.read) + 1

    def begin(self, x: Tensor) -> Maps:
        """Start a pass in which what several heads read stays alive."""
        return Maps.passing(self.nodes, x, [node.index for node in self.read] if self.concatenated else [])

    def train_heads(self, x: Tensor, y: Tensor) -> None:
        """Run the net no further than its last head, and update each head as soon as there is what it reads."""
        H = self.begin(x)
        for node in self.nodes[: self.read[-1].index + 1]:
            H[node] = self.activity(node, H.before(node))
            if node in self.read:
                depth = self.read.index(node)
                self.heads.step(depth, self.heads.seen(depth, self.read, H), y)

    def exits(self, x: Tensor) -> Exits:
        """Yield the logits of each head while the net runs, and last its output."""
        H = self.begin(x)
        for node in self.nodes:
            H[node] = self.activity(node, H.before(node))
            if node in self.read:
                depth = self.read.index(node)
                keep_(H, (yield self.heads.logits(depth, self.heads.seen(depth, self.read, H))))
        yield H.pop(self.top)

    def depth_macs(self) -> list[int]:
        """Return the MACs that each depth adds for a sample that reaches it: m_l and its head's, last m_{L-1} + m_L."""
        early = [node.layer.macs + head.macs for node, head in zip(self.read, self.heads.layers, strict=True)]
        return [*early, self.last.layer.macs + self.top.layer.macs]
