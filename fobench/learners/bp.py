"""Backpropagation by hand: the output error returns through the transposed weights, layer by layer.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l,  P = softmax(A_L)                      forward
    D_L = E = P - T,  D_l = (D_{l+1} W_{l+1}) o f'(A_l)                              backward
    G_l = D_l^T H_{l-1} / N,  bias: mean of D_l over the batch                       update

Rumelhart, Hinton and Williams, Nature 323 (1986), 533; published settings of the Bio-FO baselines (MLSys 2025).

Properties: weight transport yes; locality none (the signal needs all later weights); update locking: layer l waits for
the whole forward pass and for the signals of layers L..l+1; frozen activity: all H_l are kept until the signal is
there.

**Departures**

- A layer is updated as soon as the signal below it has been computed with its old weights; no gradient is stored. The
  result is that of autograd followed by one optimizer step.
- ReLU's mask and the derivatives of tanh and sigmoid are read off H_l; A_l is overwritten by it. The places of a maximum
  pool's maxima are found again in the backward pass.
- A reconstruction has a linear output and half the squared error as loss, so that E = output - input.
- `train_hidden: false` leaves hidden layers as they began and trains the output layer alone: random features, against which
  other rules are held. No signal is carried down then.
- The released scripts declare dropout but never call it, and do not shuffle MNIST and CIFAR; there is no dropout here,
  and the order of samples is the recipe's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_, output_of, scored, target
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import build, symbols, weights, with_output
from fobench.learners.passes import Maps, backward, forward, kept_for_derivatives


@dataclass
class BP:
    """Backpropagation, without autograd."""

    network: Any  # hidden layers; published: k x 2000, k = 1..6
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    output: str = checks.choice("softmax", OUTPUTS)  # P; cross-entropy, or with sigmoid binary cross-entropy
    train_hidden: bool = checks.choice(True, (True, False))
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-4)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer and optimizer state."""
        checks.require(self, task)
        f = ACTIVATIONS[self.activation]
        self.nodes = build(with_output(self.network, task), f, self.weight_init, self.bias, generator, device)
        trained = self.nodes if self.train_hidden else self.nodes[-1:]
        self.kept = kept_for_derivatives(trained)
        self.task, self.p = task, output_of(self.output, task)
        self.steps = optimizers.make(self.optimizer, weights(trained))

    def forward_pass(self, x: Tensor) -> Maps:
        """Return H_0 .. H_{L-1}, as far as the backward pass reads them, and A_L."""
        H = Maps(self.nodes, x, self.kept)
        forward(self.nodes, H)
        return H

    def backward_pass(self, D: Tensor, H: Maps) -> None:
        """Carry the signal from D_L down and update each layer on the way; `H` is emptied."""
        backward(
            self.nodes, D, H, lambda node, D, before: node.adjoint(D, before), self.steps
        )  # D_{l-1} = (D_l W_l) o f'(A_{l-1})

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        H = self.forward_pass(x)
        P = self.p(H.pop(self.nodes[-1]))
        D = error_(P, target(self.task, x, y))  # D_L = E = P - T
        if self.train_hidden:
            self.backward_pass(D, H)
        else:
            self.nodes[-1].accumulate_(D, H[self.nodes[-1].sources[0]], self.steps)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by its output P, or a reconstruction by its squared error."""
        H = Maps(self.nodes, x)
        forward(self.nodes, H)
        return Prediction(scored(self.task, self.p(H.pop(self.nodes[-1])), x))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... of the hidden layers and, last, of the output layer."""
        return symbols(self.nodes)
