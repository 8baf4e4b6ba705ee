"""Indirect feedback alignment: the error enters the first hidden layer and travels forward through the weights.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l,  P = f_L(A_L),  E = P - T              forward
    D_1 = (E B_1^T) o f'(A_1),  B_1: n_1 x C                                         the error's own forward pass
    D_l = (D_{l-1} W_l^T) o f'(A_l),  l = 2 .. L-1
    D_L = E                                                                          output layer
    G_l = D_l^T H_{l-1} / N,  bias: mean of D_l over the batch                       update

Nokland, NeurIPS 2016 (arXiv 1609.01596), section 2.

Properties: weight transport none (a layer sends through its own weights, in their own direction); locality none; update
locking: layer l waits for E and the signals of layers 1 .. l-1; frozen activity: all H_l are kept until the signal is
there.

**Departures**

- No released code exists; hyperparameters are those of the author's code for DFA, with RMSprop as Adam without first moment
  (`beta1: 0, beta2: 0.99`), whose running mean begins unbiased, and `weight_init: zero` not taken over: D_2 = 0 where
  W_2 = 0, and hidden layers above the first would never move.
- `feedback_scale` is not published; below 1 it slows hidden layers down beside the output layer.
- A layer is updated as soon as the signal above it exists, W_l carrying it from before its update.
- On a general network D is what a small change of the first layer's output does to every layer: a maximum pool hands on the
  signal of its maxima, a sum adds signals. Every layer with no other layer below it counts as first and has a B of its own.
- A reconstruction has a linear output and E = output - input.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_, output_of, scored, target
from fobench.learners.feedback import FEEDBACK_INITS, direct, feedback_symbols, layers_above_another, project
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node, Pool, WeightedNode, build, symbols, weighted, weights, with_output
from fobench.learners.passes import Maps, forward, kept_for_derivatives, reached_by_signals


@dataclass
class IFA:
    """Indirect feedback alignment."""

    network: Any  # hidden layers
    activation: str = checks.choice("tanh", ACTIVATIONS)  # f
    output: str = checks.choice("sigmoid", OUTPUTS)  # f_L; binary cross-entropy, or with softmax cross-entropy
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    feedback_init: str = checks.choice("linear", FEEDBACK_INITS)  # B_1
    feedback_scale: float = checks.between(1.0, 0, 1e3)  # times that bound; published: 1
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-4, beta1=0.0, beta2=0.99)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, feedback and optimizer state."""
        checks.require(self, task)
        f = ACTIVATIONS[self.activation]
        self.nodes = build(with_output(self.network, task), f, self.weight_init, self.bias, generator, device)
        self.kept, self.reached = kept_for_derivatives(self.nodes), reached_by_signals(self.nodes)
        above = layers_above_another(self.nodes)
        *layers, self.top = weighted(self.nodes)
        readers = [node for node in self.nodes if node.weights or isinstance(node, Pool)]
        self.last_reader = {source: node.index for node in readers for source in node.sources}
        first = [node for node in layers if node not in above]
        self.B = direct(self, first, task.outputs, generator, device)
        self.senders = {node.index: without_bias(node) for node in above}
        self.task, self.p = task, output_of(self.output, task)
        self.steps = optimizers.make(self.optimizer, weights(self.nodes))

    def forward_pass(self, x: Tensor) -> Maps:
        """Return H_0 .. H_{L-1}, as far as the error's pass reads them, and A_L."""
        H = Maps(self.nodes, x, self.kept)
        forward(self.nodes, H)
        return H

    @role(Role.SECOND_PASS)
    def send(self, node: Node, D: tuple[Tensor, ...], H: Maps) -> Tensor:
        """Return `D_{l-1} W_l^T`, or what becomes of the signal in a node without weights."""
        if node.index in self.senders:
            return self.senders[node.index](*D)
        if isinstance(node, Pool) and node.largest:
            return node.taken(D[0], H[node.sources[0]])
        signals = [signal for signal, source in zip(D, node.sources, strict=True) if source in self.reached]
        return node(*signals) if len(signals) == len(D) else signals[0].clone()

    def update(self, node: Node, E: Tensor, D: Maps, H: Maps) -> None:
        """Take the signal through one node and, if it has weights, update it."""
        below = D.before(node)
        D[node] = project(E, self.B[node.index], node) if node.index in self.B else self.send(node, below, H)
        if node.f.reads_activity:
            node.f.derive_(D[node.index], H[node.index])  # D_l = (D_{l-1} W_l^T) o f'(A_l)
        if node.weights:
            node.accumulate_(D[node.index], H[node.sources[0]], self.steps)  # G_l = D_l^T H_{l-1} / N

    def error_pass(self, E: Tensor, H: Maps) -> None:
        """Send the error through the hidden layers, the first one first, and update each; `H` is emptied."""
        D = Maps(self.nodes, E)
        for node in self.nodes[:-1]:
            if node.index in self.reached:
                self.update(node, E, D, H)
            else:
                D[node] = D.before(node)[0]  # E waits below the first layer
            for index in (*node.sources, node.index):
                if self.last_reader.get(index, node.index) <= node.index:
                    H.held.pop(index, None)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        H = self.forward_pass(x)
        E = error_(self.p(H.pop(self.top)), target(self.task, x, y))  # D_L = E = P - T
        self.error_pass(E, H)
        self.top.accumulate_(E, H[self.top.sources[0]], self.steps)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by its output P, or a reconstruction by its squared error."""
        H = Maps(self.nodes, x)
        forward(self.nodes, H)
        return Prediction(scored(self.task, self.p(H.pop(self.top)), x))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... (last the output layer) and the feedback B1, n_1 x C."""
        return {**symbols(self.nodes), **feedback_symbols(self.nodes, self.B)}


def without_bias(node: WeightedNode) -> WeightedNode:
    """Return a layer with the same weights that adds nothing."""
    bare = copy(node)
    bare.b = None
    return bare
