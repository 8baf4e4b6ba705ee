"""Direct feedback alignment: the output error goes to every hidden layer at once, through a fixed random matrix each.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l,  P = f_L(A_L),  E = P - T              forward
    DFA     D_l = (E B_l^T) o f'(A_l)                                                hidden layers, B_l: n_l x C
    sDFA    D_l = (sign(E) B_l^T) o f'(A_l)                                          hidden layers
    D_L = E                                                                          output layer, in both
    G_l = D_l^T H_{l-1} / N,  bias: mean of D_l over the batch                       update

DFA: Nokland, NeurIPS 2016 (arXiv 1609.01596). sDFA: Frenkel, Lefebvre and Bol, Frontiers in Neuroscience 15 (2021),
629892 (arXiv 1909.01311).

Properties: weight transport none; locality: layer input, activity and global error (its signs); update locking: all
layers wait for E, not for one another; frozen activity: all H_l are kept until E is there.

**Departures**

- The signal enters each layer at its own output, before a pool, as in the code of DRTP; a map receives a value of its own at
  every position. Nokland's convolutional nets receive it after pooling. A linear layer (in front of a sum) has f' = 1.
- `hidden_scale: mean` averages every signal over the batch, as the equations do. `sum` is the released code of DRTP, which
  sDFA comes from: hidden signals carry no 1/N, while the output layer sees the loss averaged over the batch and, for binary
  cross-entropy, over the classes too, so that hidden layers take steps larger by N or N C; its eta of 1e-4 belongs to that.
- RMSprop of Nokland's code is Adam without first moment (`beta1: 0, beta2: 0.99`), whose running mean begins unbiased; his
  gradients are sums over the batch, which RMSprop but for its epsilon does not see. His nets with tanh and logistic units
  begin at zero (`weight_init: zero`), those with ReLU as here.
- sDFA's projection needs additions only, and no hardware that adds would multiply for it; here it is a matrix product, and
  C per hidden unit are counted as for DFA.
- The output layer is updated first and the others from the top down, each map being let go at once; E and every D_l are
  those of the weights from before the step.
- `feedback_scale` is not published; below 1 it slows hidden layers down beside the output layer.
- A reconstruction has a linear output and E = output - input.
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
from fobench.learners.feedback import FEEDBACK_INITS, HIDDEN_SCALES, direct, divisors, feedback_symbols, project
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import WeightedNode, build, symbols, weighted, weights, with_output
from fobench.learners.passes import Maps, forward


@dataclass
class DFA:
    """Direct feedback alignment."""

    network: Any  # hidden layers; published: 1..4, 7, 100 x 240 or 800
    activation: str = checks.choice("tanh", ACTIVATIONS)  # f
    output: str = checks.choice("sigmoid", OUTPUTS)  # f_L; binary cross-entropy, or with softmax cross-entropy
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    feedback_init: str = checks.choice("linear", FEEDBACK_INITS)  # B_l
    feedback_scale: float = checks.between(1.0, 0, 1e3)  # times that bound; published: 1
    hidden_scale: str = checks.choice("mean", HIDDEN_SCALES)
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-4, beta1=0.0, beta2=0.99)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, feedback and optimizer state."""
        checks.require(self, task)
        f = ACTIVATIONS[self.activation]
        self.nodes = build(with_output(self.network, task), f, self.weight_init, self.bias, generator, device)
        *layers, self.top = weighted(self.nodes)
        self.kept = {node.index for node in layers if node.f.reads_activity}
        self.kept |= {node.sources[0] for node in [*layers, self.top]} - {-1}
        self.B = direct(self, layers, task.outputs, generator, device)
        self.task, self.p = task, output_of(self.output, task)
        self.steps = optimizers.make(self.optimizer, weights(self.nodes))

    def forward_pass(self, x: Tensor) -> Maps:
        """Return the H_l that updates read, and A_L."""
        H = Maps(self.nodes, x, self.kept)
        forward(self.nodes, H)
        return H

    def broadcast_(self, E: Tensor) -> Tensor:
        """Return what every hidden layer is sent: E itself."""
        return E

    def update(self, node: WeightedNode, E: Tensor, H: Maps, over: int) -> None:
        """Project the error to a hidden layer and update it."""
        D = project(E, self.B[node.index], node)
        if node.f.reads_activity:
            D = node.f.derive_(D, H.pop(node))  # D_l = (E B_l^T) o f'(A_l)
        node.accumulate_(D, H[node.sources[0]], self.steps, over)  # G_l = D_l^T H_{l-1}

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        H = self.forward_pass(x)
        over, over_top = divisors(self, self.task, len(x))
        E = error_(self.p(H.pop(self.top)), target(self.task, x, y))  # D_L = E = P - T
        self.top.accumulate_(E, H[self.top.sources[0]], self.steps, over_top)
        E = self.broadcast_(E)
        for node in reversed(self.nodes[:-1]):
            if isinstance(node, WeightedNode):
                self.update(node, E, H, over)
            H.held.pop(node.index, None)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by its output P, or a reconstruction by its squared error."""
        H = Maps(self.nodes, x)
        forward(self.nodes, H)
        return Prediction(scored(self.task, self.p(H.pop(self.top)), x))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... (last the output layer) and the feedback B1, ..., n_l x C."""
        return {**symbols(self.nodes), **feedback_symbols(self.nodes, self.B)}


@dataclass
class SDFA(DFA):
    """Direct feedback alignment by the error's signs."""

    feedback_init: str = checks.choice("he-uniform", FEEDBACK_INITS)  # B_l
    hidden_scale: str = checks.choice("sum", HIDDEN_SCALES)
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-4, mu=0.9, nesterov=True)

    def broadcast_(self, E: Tensor) -> Tensor:
        """Return `sign(E)`, in place."""
        return E.sign_()
