"""Sign symmetry: backpropagation whose error returns through matrices that share the weights' signs, not their sizes.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l,  P = f_L(A_L)                          forward
    D_L = E = P - T,  D_l = (D_{l+1} S_{l+1}) o f'(A_l)                              backward, S_l of the shape of W_l
    G_l = D_l^T H_{l-1} / N,  bias: mean of D_l over the batch                       update

    uSF     S_l = s_l sign(W_l),  s_l = sqrt(2 / (fan_in + fan_out))                 uniform
    brSF    S_l = |R_l| o sign(W_l),  R_l drawn again for every mini-batch           batch-wise random
    frSF    S_l = |R_l| o sign(W_l),  R_l drawn once                                 fixed random

Liao, Leibo and Poggio, AAAI 2016 (arXiv 1510.05067); settings of BioTorch (Sanfiz and Akrout 2021, arXiv 2108.13446).

Properties: weight transport of the signs only; locality none; update locking: layer l waits for the whole
forward pass and for the signals of layers L..l+1; frozen activity: all H_l are kept until the signal is there (S_l lives
while the signal passes its layer, of a large layer some rows at a time, and frSF keeps the magnitudes).

**Departures**

- sign(0) = 0: with `weight_init: zero` no signal ever leaves the output layer.
- BioTorch draws brSF again in every forward pass, evaluation included; here once in a training step. Its brSF without
  Xavier refers to an undefined name and fails; here `feedback_init` has the same choices for all three.
- uSF's s_l is the standard deviation of the distribution that R_l has in the other two; without it deep nets explode.
- brSF's |R_l| are drawn in steps of 2^-15 of their bound, four from 64 random bits: a number of full resolution each would
  cost more than a product of the signals does.
- R_l is called B_l in `state()`, where the first letter says that it is not trained.
- BioTorch clamps signals to [-1, 1] if asked; it is off by default there and absent here. Pools and sums pass the
  signal on exactly, as in all public codes.
- A reconstruction has a linear output and E = output - input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, derived, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_, output_of, scored, target
from fobench.learners.feedback import FEEDBACK_INITS, drawn, feedback_symbols, layers_above_another
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node, WeightedNode, build, symbols, weights, with_output
from fobench.learners.passes import Maps, backward, forward, kept_for_derivatives


@dataclass
class USF:
    """Uniform sign-concordant feedback."""

    network: Any  # hidden layers; published: LeNet, ResNet-18, -20, -56
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    output: str = checks.choice("softmax", OUTPUTS)  # f_L; cross-entropy, or with sigmoid binary cross-entropy
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("xavier-uniform", WEIGHT_INITS)
    feedback_init: str = checks.choice("xavier-uniform", FEEDBACK_INITS)  # R_l, s_l
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=0.1, mu=0.9, decay=1e-4)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, optimizer state and, where it is fixed, R."""
        checks.require(self, task)
        f = ACTIVATIONS[self.activation]
        self.nodes = build(with_output(self.network, task), f, self.weight_init, self.bias, generator, device)
        self.kept = kept_for_derivatives(self.nodes)
        self.task, self.p = task, output_of(self.output, task)
        self.R = self.fixed(generator, device)
        self.generator = generator
        self.steps = optimizers.make(self.optimizer, weights(self.nodes))

    def fixed(self, generator: torch.Generator, device: str) -> dict[int, Tensor]:
        """Return the R_l that are drawn once, by the index of their layer: none."""
        return {}

    def bound(self, node: WeightedNode) -> float:
        """Return the bound of U(+-bound), the distribution of R_l."""
        return FEEDBACK_INITS[self.feedback_init](node.fan_in, node.fan_out)

    def concordant(self, node: WeightedNode, rows: slice) -> Tensor:
        """Return some rows of `S_l / s_l = sign(W_l)`."""
        return node.W[rows].sign()

    def scale(self, node: WeightedNode) -> float:
        """Return `s_l`, the standard deviation of U(+-bound): what the signal is multiplied by in place of the matrix."""
        return self.bound(node) / 3**0.5

    def forward_pass(self, x: Tensor) -> Maps:
        """Return H_0 .. H_{L-1}, as far as the backward pass reads them, and A_L."""
        H = Maps(self.nodes, x, self.kept)
        forward(self.nodes, H)
        return H

    def carry(self, node: Node, D: Tensor, before: Tensor) -> Tensor:
        """Return `D_l S_l`; nodes without weights hand the signal on."""
        if not isinstance(node, WeightedNode):
            return node.adjoint(D, before)
        signal = derived.adjoint(node, D, before, partial(self.concordant, node))
        scale = self.scale(node)
        return signal if scale == 1 else signal.mul_(scale)

    def backward_pass(self, D: Tensor, H: Maps) -> None:
        """Carry the signal from D_L down and update each layer on the way; `H` is emptied."""
        backward(self.nodes, D, H, self.carry, self.steps)  # D_{l-1} = (D_l S_l) o f'(A_{l-1})

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        H = self.forward_pass(x)
        P = self.p(H.pop(self.nodes[-1]))
        self.backward_pass(error_(P, target(self.task, x, y)), H)  # D_L = E = P - T

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by its output P, or a reconstruction by its squared error."""
        H = Maps(self.nodes, x)
        forward(self.nodes, H)
        return Prediction(scored(self.task, self.p(H.pop(self.nodes[-1])), x))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... (last the output layer) and, where it is fixed, R as B2, ... of the shape of W2, ..."""
        return {**symbols(self.nodes), **feedback_symbols(self.nodes, self.R)}


@dataclass
class BRSF(USF):
    """Batch-wise random sign-concordant feedback."""

    def concordant(self, node: WeightedNode, rows: slice) -> Tensor:
        """Return some rows of `S_l = |R_l| o sign(W_l)` with a fresh R_l, in the scale of its draws."""
        W = node.W[rows]
        return zeroed_(fresh(W, self.generator).copysign_(W), W)

    def scale(self, node: WeightedNode) -> float:
        """Return the bound over that of the draws."""
        return self.bound(node) / bound_of_draws(node.W.dtype)


@dataclass
class FRSF(USF):
    """Fixed random sign-concordant feedback."""

    def fixed(self, generator: torch.Generator, device: str) -> dict[int, Tensor]:
        """Return R_l, drawn once, by the index of its layer."""
        layers = layers_above_another(self.nodes)
        return {node.index: drawn(node.W.shape, self.bound(node), generator, device) for node in layers}

    def concordant(self, node: WeightedNode, rows: slice) -> Tensor:
        """Return some rows of `S_l = |R_l| o sign(W_l)`."""
        W = node.W[rows]
        return zeroed_(torch.copysign(self.R[node.index][rows], W), W)

    def scale(self, node: WeightedNode) -> float:
        """Return 1: R_l has its own size."""
        return 1.0


def fresh(W: Tensor, generator: torch.Generator) -> Tensor:
    """Draw U(+-bound_of_draws), of the shape of W; of every fourth one only the size is meant."""
    words = torch.empty(-(-W.numel() // 4), dtype=torch.int64, device=W.device).random_(generator=generator)
    whole = words.view(torch.int16)[: W.numel()].view(W.shape).to(W.dtype)
    return whole.div_(2**15) if bound_of_draws(W.dtype) == 1 else whole


def bound_of_draws(dtype: torch.dtype) -> int:
    """Return the bound of what `fresh` draws: 2^15, whole numbers, or 1 in float16, whose products would overflow."""
    return 1 if dtype == torch.float16 else 2**15


def zeroed_(S: Tensor, W: Tensor) -> Tensor:
    """Set S to zero where W is, in place: sign(0) = 0."""
    # the derivative of a shrinkage of nothing: without a mask
    shrunk: Tensor = torch.ops.aten.hardshrink_backward.grad_input(S, W, 0, grad_input=S)
    return shrunk
