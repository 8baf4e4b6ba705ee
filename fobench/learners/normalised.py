"""One pass in which every layer with weights reads its input normalised, as Forward-Forward has it.

What weightless layers read (a pool, a sum at the end of a residual block) stays as it is, and so does what they give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from fobench.learners.contrast import Rows
from fobench.learners.layers import Node, WeightedNode, weighted
from fobench.learners.passes import Maps

TOGETHER = 2**15
"""Values of the largest map that one sample may have under all labels that are scored together."""


class NormalisedPass:
    """The nodes of a network up to its last layer with weights, and how each comes by its input.

    An activity that only layers with weights read is normalised where it stands, once; any other is copied for its reader.
    """

    def __init__(self, nodes: Sequence[Node], norm_: Callable[[Tensor], Tensor], keep: bool = False) -> None:
        """Take the norm; with `keep`, all activities of layers with weights stay as they are, to be read again."""
        self.layers = weighted(nodes)
        self.number = {node.index: number for number, node in enumerate(self.layers)}
        self.nodes = nodes[: self.layers[-1].index + 1]
        self.norm_ = norm_
        self.kept = set(self.number) if keep else set()
        bare = {source for node in self.nodes if not node.weights for source in node.sources}
        read = {source for node in self.nodes for source in node.sources}
        self.in_place = (read & set(self.number)) - bare - self.kept

    def begin(self, x: Tensor, own: bool) -> Maps:
        """Start at the rows `x`; where they are our `own`, they are let go and written into like any activity."""
        return Maps.passing(self.nodes, x, self.kept) if own else Maps(self.nodes, x, self.kept)

    def before(self, H: Maps, node: Node) -> Tensor:
        """Return the normalised input of a layer with weights."""
        if node.sources[0] in self.in_place:
            return H.before(node)[0]
        Z = H.own(node)
        # a flattened map is a view
        shared = any(held.data_ptr() == Z.data_ptr() for held in H.held.values())
        return self.norm_(Z.clone() if shared else Z)

    def hold(self, H: Maps, node: Node, Z: Tensor) -> None:
        """Keep the activity of a layer with weights for its readers."""
        H[node] = self.norm_(Z) if node.index in self.in_place else Z

    def normalised(self, H: Maps, node: Node) -> Tensor:
        """Return the activity that is held for a layer with weights, normalised."""
        Z = H[node.index]
        if node.index in self.in_place:
            return Z
        return self.norm_(Z.clone() if H.readers[node.index] > 0 or node.index in self.kept else Z)

    def take(self, H: Maps, step: Callable[[WeightedNode, Tensor], Tensor]) -> Iterator[WeightedNode]:
        """Go up the nodes; `step` takes a layer with weights and its input to its activity. Yields each when it is held."""
        for node in self.nodes:
            if isinstance(node, WeightedNode):
                self.hold(H, node, step(node, self.before(H, node)))
                yield node
            else:
                H[node] = node.activity(*H.before(node))

    def total(self, H: Maps, goodness: Callable[[Tensor], Tensor], first: int = 0) -> Tensor:
        """Return the goodness of each row, summed over the layers from number `first` on."""
        total = H[-1].new_zeros(len(H[-1]))

        def activity(node: WeightedNode, before: Tensor) -> Tensor:
            Z = node.activity(before)
            if self.number[node.index] >= first:
                total.add_(goodness(Z))
            return Z

        for _ in self.take(H, activity):
            pass
        return total


def multi_pass(
    path: NormalisedPass, rows: Rows, goodness: Callable[[Tensor], Tensor], x: Tensor, first: int = 0
) -> Tensor:
    """Return the summed goodness of each sample under every label, N x C; without labels minus the summed goodness, N."""
    if not rows.labelled:
        return path.total(path.begin(rows.shaped(x), own=False), goodness, first).neg_()
    together = max(1, TOGETHER // max(node.layer.units for node in path.layers))
    labels = torch.arange(rows.task.classes, device=x.device)
    parts = [part.repeat_interleave(len(x)) for part in torch.split(labels, together)]
    scores = torch.cat([path.total(path.begin(rows.overlay(x, part), own=True), goodness, first) for part in parts])
    return scores.view(rows.task.classes, len(x)).T


def layer_goodness(
    path: NormalisedPass, rows: Rows, goodness: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor
) -> list[Tensor]:
    """Return the goodness of each sample under its label, layer by layer; none where the task has no labels."""
    if not rows.labelled:
        return []
    found: list[Tensor] = []

    def activity(node: WeightedNode, before: Tensor) -> Tensor:
        Z = node.activity(before)
        found.append(goodness(Z))
        return Z

    for _ in path.take(path.begin(rows.overlay(x, labels), own=True), activity):
        pass
    return found
