"""Activations with their derivatives, output functions with their losses, and the error that both meet in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fobench.contracts import Task
from fobench.learners.checks import lookup


@dataclass(frozen=True)
class Activation:
    """`apply_(A)` turns A into H = f(A); `derivative_(delta, H, to)` writes delta o f'(A) into `to`, which may be either.

    The derivative is a function of the activity `H`, so that `A` need not be kept; `reads_activity` is False where it is not
    read at all.
    """

    apply_: Callable[[Tensor], Tensor]
    derivative_: Callable[[Tensor, Tensor, Tensor], Tensor]
    reads_activity: bool = True

    def derive_(self, delta: Tensor, H: Tensor) -> Tensor:
        """Turn delta into delta o f'(A), in place."""
        return self.derivative_(delta, H, delta)


# The kernels that autograd itself uses for these derivatives: no mask, no temporary.
aten = torch.ops.aten
RELU = Activation(torch.relu_, lambda D, H, to: aten.threshold_backward.grad_input(D, H, 0, grad_input=to))
LINEAR = Activation(lambda A: A, lambda D, H, to: D, reads_activity=False)
ACTIVATIONS: dict[str, Activation] = {
    "relu": RELU,
    "tanh": Activation(torch.tanh_, lambda D, H, to: aten.tanh_backward.grad_input(D, H, grad_input=to)),
    "sigmoid": Activation(torch.sigmoid_, lambda D, H, to: aten.sigmoid_backward.grad_input(D, H, grad_input=to)),
    "linear": LINEAR,
}

Output = Callable[[Tensor], Tensor]
OUTPUTS: dict[str, Output] = {
    "softmax": lambda A: torch.softmax(A, 1),
    "sigmoid": torch.sigmoid_,
}
"""Output functions; each with the loss (cross-entropy, binary cross-entropy) whose derivative by A is `E = P - T`."""


def output_of(name: str, task: Task) -> Output:
    """Return the output function for a task; a reconstruction's is linear, with half the squared error as loss."""
    return lookup("output", name, OUTPUTS) if task.kind == "classification" else LINEAR.apply_


def target(task: Task, x: Tensor, y: Tensor) -> Tensor:
    """Return what the output is compared with: class numbers, or the input itself as N x n_0."""
    return y if task.kind == "classification" else x.flatten(1)


def error_(P: Tensor, T: Tensor) -> Tensor:
    """Turn the output P, N x C, into `E = P - T`, in place; T is N class numbers (one-hot rows are meant) or N x C."""
    if T.is_floating_point():
        return P.sub_(T)
    return P.scatter_add_(1, T[:, None], P.new_full((1, 1), -1).expand(len(T), 1))


def scored(task: Task, P: Tensor, x: Tensor) -> Tensor:
    """Return a prediction's scores: P itself, or for a reconstruction the mean squared error of each sample."""
    return P if task.kind == "classification" else P.sub_(x.flatten(1)).square_().mean(1)
