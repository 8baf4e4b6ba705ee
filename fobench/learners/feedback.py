"""Fixed random feedback: how large it is drawn, for which layers, and what signals are divided by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Role, Task, role
from fobench.learners.initialisation import BOUNDS
from fobench.learners.layers import Dense, Node, WeightedNode, weighted
from fobench.learners.passes import reached_by_signals

FEEDBACK_INITS: Mapping[str, Callable[[float, float], float]] = BOUNDS
"""Bounds of U(+-bound) from the sizes of the layer that receives a signal and of the one that sends it.

`linear`: 1/sqrt(receiver), Nokland's code; `he-uniform`: sqrt(6/receiver), the codes of DRTP and PEPITA;
`xavier-uniform`: sqrt(6/(receiver + sender)), BioTorch. Within a layer's W, receiver and sender are fan_in and fan_out.
"""

HIDDEN_SCALES = ("sum", "mean")


def drawn(shape: Sequence[int], bound: float, generator: torch.Generator, device: str | torch.device) -> Tensor:
    """Return a tensor of U(+-bound)."""
    return torch.empty(*shape, device=device).uniform_(-bound, bound, generator=generator)


def layers_above_another(nodes: Sequence[Node]) -> list[WeightedNode]:
    """Return the layers whose signal is carried further down: those that stand above another one."""
    reached = reached_by_signals(nodes)
    return [node for node in weighted(nodes) if reached.intersection(node.sources)]


def direct(
    learner: Any, layers: Sequence[WeightedNode], senders: int, generator: torch.Generator, device: str
) -> dict[int, Tensor]:
    """Draw B_l, n_l x senders, by the index of its layer; a map counts as the n_l values that it flattens to.

    Kept transposed, so that what one sender reaches is one contiguous row.
    """
    B = {}
    for node in layers:
        bound = FEEDBACK_INITS[learner.feedback_init](node.layer.units, senders) * learner.feedback_scale
        B[node.index] = drawn((senders, node.layer.units), bound, generator, device).T
    return B


@role(Role.PROJECTION)
def project(E: Tensor, B: Tensor, node: Node) -> Tensor:
    """Return `E B^T` in the shape of a layer's output."""
    return torch.mm(E, B.T).view(len(E), *node.layer.output_shape)


def divisors(learner: Any, task: Task, samples: int) -> tuple[int, int]:
    """Return what a learner's hidden correlations and its output correlation are divided by.

    `hidden_scale: sum` is the released code of DRTP: the injected signals carry no 1/N, while the output layer sees a loss
    averaged over the batch and, for binary cross-entropy, over the classes too.
    """
    if learner.hidden_scale == "mean":
        return samples, samples
    binary = task.kind == "classification" and learner.output == "sigmoid"
    return 1, samples * (task.classes if binary else 1)


def feedback_symbols(nodes: Sequence[Node], B: Mapping[int, Tensor], transposed: bool = False) -> dict[str, Tensor]:
    """Name the live feedback of layers 1, 2, ...: `B1`, ...; `transposed` turns that of dense layers round."""
    return {
        f"B{number}": B[node.index].T if transposed and isinstance(node, Dense) else B[node.index]
        for number, node in enumerate(weighted(nodes), 1)
        if node.index in B
    }
