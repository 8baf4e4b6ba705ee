"""Fully connected layers from layer records, with the three verbs that every rule is written in.

    call            A_l = H_{l-1} W_l^T + b_l
    adjoint         D_l W_l, the signal one layer down (backpropagation only)
    accumulate_     W_l takes its step along D_l^T H_{l-1} / N, fused into the weight or its buffer

Rows are samples; `W_l` is n_l x n_{l-1}. Activations and their derivatives work in place; a derivative is a function of
the activity `H = f(A)`, so that `A` need not be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Role, Task, role
from fobench.learners.checks import lookup
from fobench.learners.optimizers import Optimizer
from fobench.networks import Layer


class Dense:
    """One fully connected layer: `W` units x inputs and, with bias, `b`."""

    def __init__(self, layer: Layer, bias: bool, device: str) -> None:
        """Allocate without initialising."""
        self.W = torch.empty(layer.units, layer.inputs, device=device)
        self.b = torch.empty(layer.units, device=device) if bias else None

    @property
    def weights(self) -> list[Tensor]:
        """The trained tensors."""
        return [self.W] if self.b is None else [self.W, self.b]

    @role(Role.FORWARD)
    def __call__(self, before: Tensor) -> Tensor:
        """Return `A = H W^T + b`, N x units."""
        return torch.mm(before, self.W.T) if self.b is None else torch.addmm(self.b, before, self.W.T)

    @role(Role.INPUT_GRADIENT)
    def adjoint(self, delta: Tensor) -> Tensor:
        """Return `D W`, N x inputs."""
        return torch.mm(delta, self.W)

    @role(Role.WEIGHT_UPDATE)
    def accumulate_(self, delta: Tensor, before: Tensor, optimizer: Optimizer, over: float | None = None) -> None:
        """Step along `D^T H / over`, and the bias along the column sums of `D / over`; `over` is the batch size N."""
        over = len(delta) if over is None else over
        optimizer.correlate_(self.W, delta, before, over)
        if self.b is not None:
            optimizer.step_(self.b, delta.sum(0).div_(over))


def build(
    layers: Iterable[Layer], weight_init: str, bias: bool, generator: torch.Generator, device: str
) -> list[Dense]:
    """Allocate and initialise the dense layers of a network; a `flatten` needs nothing."""
    initialise_ = lookup("weight_init", weight_init, WEIGHT_INITS)
    built = [Dense(layer, bias, device) for layer in layers if layer.has_weights]
    for layer in built:
        initialise_(layer, generator)
    return built


def with_output(network: Any, task: Task) -> tuple[Layer, ...]:
    """Return the layers of `network` and a dense output layer on top."""
    return networks.layers([*networks.expand(network), networks.dense(task.outputs)], task)


def weights(layers: Iterable[Dense]) -> list[Tensor]:
    """Return the trained tensors of all layers."""
    return [tensor for layer in layers for tensor in layer.weights]


def symbols(layers: Iterable[Dense]) -> dict[str, Tensor]:
    """Name the live tensors of layers 1, 2, ...: `W1`, `b1`, ..."""
    named = {}
    for number, layer in enumerate(layers, 1):
        named[f"W{number}"] = layer.W
        if layer.b is not None:
            named[f"b{number}"] = layer.b
    return named


def flat(x: Tensor) -> Tensor:
    """View a batch as N x n_0."""
    return x.flatten(1)


# --- initialisation ---------------------------------------------------------------------------------------------------


def _linear(layer: Dense, generator: torch.Generator) -> None:
    """U(+-1/sqrt(fan_in)), bias too: the default of nn.Linear."""
    for tensor in layer.weights:
        bound = layer.W.shape[1] ** -0.5
        tensor.uniform_(-bound, bound, generator=generator)


def _he_uniform(layer: Dense, generator: torch.Generator) -> None:
    """U(+-sqrt(6/fan_in)), bias 0."""
    uniform_(layer.W, layer.W.shape[1], generator)
    _zero_bias(layer)


def _fan_out_normal(layer: Dense, generator: torch.Generator) -> None:
    """N(0, 1/fan_out), bias 0: the released Forward-Forward code."""
    layer.W.normal_(0, layer.W.shape[0] ** -0.5, generator=generator)
    _zero_bias(layer)


def _zero(layer: Dense, generator: torch.Generator) -> None:
    layer.W.zero_()
    _zero_bias(layer)


def _zero_bias(layer: Dense) -> None:
    if layer.b is not None:
        layer.b.zero_()


def uniform_(tensor: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Fill with U(+-sqrt(6/size)), in place."""
    bound = (6 / size) ** 0.5
    return tensor.uniform_(-bound, bound, generator=generator)


WEIGHT_INITS: dict[str, Callable[[Dense, torch.Generator], None]] = {
    "linear": _linear,
    "he-uniform": _he_uniform,
    "fan-out-normal": _fan_out_normal,
    "zero": _zero,
}


# --- activations and outputs ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activation:
    """`apply_(A)` turns A into H = f(A); `derive_(delta, H)` turns delta into delta o f'(A); both in place."""

    apply_: Callable[[Tensor], Tensor]
    derive_: Callable[[Tensor, Tensor], Tensor]


# The kernels that autograd itself uses for these derivatives, writing into their argument: no mask, no temporary.
ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(torch.relu_, lambda D, H: torch.ops.aten.threshold_backward.grad_input(D, H, 0, grad_input=D)),
    "tanh": Activation(torch.tanh_, lambda D, H: torch.ops.aten.tanh_backward.grad_input(D, H, grad_input=D)),
    "sigmoid": Activation(torch.sigmoid_, lambda D, H: torch.ops.aten.sigmoid_backward.grad_input(D, H, grad_input=D)),
    "linear": Activation(lambda A: A, lambda D, H: D),
}

OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda A: torch.softmax(A, 1),
    "sigmoid": torch.sigmoid_,
}
"""Output functions; each with the loss (cross-entropy, binary cross-entropy) whose derivative by A is `E = P - T`."""


def error_(P: Tensor, y: Tensor) -> Tensor:
    """Turn the output P, N x C, into `E = P - T` for class numbers `y`, in place."""
    return P.scatter_add_(1, y[:, None], P.new_full((1, 1), -1).expand(len(y), 1))
