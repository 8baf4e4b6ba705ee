"""Weights that are made from W for one product, such as sign(W): a few rows at a time, so that a large one never exists whole."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from fobench.contracts import Role, role
from fobench.learners.layers import Dense, WeightedNode

VALUES = 2**18
"""Values that are made at once: they and what they are made of stay in a processor's cache."""

Derived = Callable[[slice], Tensor]
"""What makes some rows of the weights, in order."""


def blocks(W: Tensor) -> list[slice]:
    """Return the rows of W in slices of at most `VALUES` values, or of one row."""
    rows = max(1, VALUES // W[0].numel())
    return [slice(first, first + rows) for first in range(0, len(W), rows)]


@role(Role.FORWARD)
def forward(node: WeightedNode, before: Tensor, derived: Derived) -> Tensor:
    """Return A of a layer with derived weights in the place of its own."""
    if not isinstance(node, Dense):
        other = copy.copy(node)
        other.W = derived(slice(None))
        return other(before)
    H, A = before.flatten(1), before.new_empty(len(before), node.layer.units)
    for rows in blocks(node.W):
        Q, part = derived(rows).T, A[:, rows]
        if node.b is None:
            torch.mm(H, Q, out=part)
        else:
            torch.addmm(node.b[rows], H, Q, out=part)
    return A


@role(Role.INPUT_GRADIENT)
def adjoint(node: WeightedNode, delta: Tensor, before: Tensor, derived: Derived) -> Tensor:
    """Return the signal one layer down through derived weights, N x the source's shape."""
    if not isinstance(node, Dense):
        return node.adjoint(delta, before, derived(slice(None)))
    first, *rest = blocks(node.W)
    signal = torch.mm(delta[:, first], derived(first))
    for rows in rest:
        signal.addmm_(delta[:, rows], derived(rows))
    return signal.view(len(delta), *node.layer.input_shape)
