"""Direct random target projection: each hidden layer learns from a fixed random projection of the label, at once.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l
    D_l = (T B_l^T) o f'(A_l)          hidden layers, B_l: n_l x C; for one-hot T a row of B_l^T, picked by the label
    D_L = E = P - T                    output layer: its own true gradient
    G_l = D_l^T H_{l-1}

Frenkel, Lefebvre and Bol, Frontiers in Neuroscience 15 (2021), 629892 (arXiv 1909.01311).

Properties: weight transport none; locality: layer input, activity and label; update locking none: layer l is updated
during the forward pass; frozen activity: two neighbouring layers.

**Departures**

- The projection is an indexed read, no product: 0 MAC, where the released code multiplies and lets autograd compute
  (and discard) the backward products as well.
- `hidden_scale: sum` is the released code: the hidden signal carries no 1/N, while the output layer sees the loss
  averaged over the batch and, for binary cross-entropy, over the classes too; its step size of 1e-4 belongs to that.
  `hidden_scale: mean` averages every signal over the batch only, as the equations of this project do.
- Layer l+1 is fed by layer l from before its update, as in the released code.
- The signal enters each layer at its own output, before a pool, as in the released code; a map receives a value of its own
  at every position. A linear layer (in front of a sum, which the released code does not have) has f' = 1.
- The signal of a label never vanishes, and what it has in common for all classes gathers in the biases until units are
  saturated. DS-CNN and ResNet-8 learned with `bias: false` and stayed at chance with biases.
- `feedback_centred: true` is this benchmark's: B_l less its mean over classes, which is to project T - 1/C in place of T, so that
  the classes have nothing in common. MobileNet learned by it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_
from fobench.learners.feedback import FEEDBACK_INITS, HIDDEN_SCALES, direct, divisors, feedback_symbols
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node, WeightedNode, build, symbols, weighted, weights, with_output
from fobench.learners.passes import Maps, forward


@dataclass
class DRTP:
    """Direct random target projection."""

    network: Any  # hidden layers; published: k x 1000
    activation: str = checks.choice("tanh", ACTIVATIONS)  # f
    output: str = checks.choice("sigmoid", OUTPUTS)  # P; binary cross-entropy, or with softmax cross-entropy
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    feedback_init: str = checks.choice("he-uniform", FEEDBACK_INITS)  # B_l
    feedback_scale: float = checks.between(1.0, 0, 1e3)  # times that bound; published: 1
    feedback_centred: bool = checks.choice(False, (True, False))  # less its mean over classes
    hidden_scale: str = checks.choice("sum", HIDDEN_SCALES)
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-4, mu=0.9, nesterov=True)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, feedback and optimizer state."""
        checks.require(self, task, self._demand)
        f = ACTIVATIONS[self.activation]
        self.nodes = build(with_output(self.network, task), f, self.weight_init, self.bias, generator, device)
        *layers, self.top = weighted(self.nodes)
        self.B = direct(self, layers, task.classes, generator, device)
        if self.feedback_centred:
            for B in self.B.values():
                B.sub_(B.mean(1, keepdim=True))
        self.task, self.p = task, OUTPUTS[self.output]
        self.steps = optimizers.make(self.optimizer, weights(self.nodes))

    @role(Role.PROJECTION)
    def project(self, y: Tensor, node: Node, H: Tensor) -> Tensor:
        """Return T B_l^T, laid out in memory like the activity `H` of the layer."""
        rows = self.B[node.index].T.view(-1, *node.layer.output_shape)
        return torch.index_select(rows, 0, y, out=torch.empty_like(H))

    def layer_step(self, node: Node, H: Maps, y: Tensor, over: int) -> None:
        """Take one layer's activity into `H` and update the layer; what follows is fed from before the update."""
        before = H.before(node)
        Z = H[node] = node.activity(*before)
        if isinstance(node, WeightedNode):
            D = node.f.derive_(self.project(y, node, Z), Z)  # D_l = (T B_l^T) o f'(A_l)
            node.accumulate_(D, before[0], self.steps, over)  # G_l = D_l^T H_{l-1}

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch, layer by layer during the forward pass."""
        over, over_top = divisors(self, self.task, len(x))
        H = Maps(self.nodes, x)
        for node in self.nodes[:-1]:
            self.layer_step(node, H, y, over)
        (before,) = H.before(self.top)
        E = error_(self.p(self.top(before)), y)  # D_L = P - T
        self.top.accumulate_(E, before, self.steps, over_top)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by its output P."""
        H = Maps(self.nodes, x)
        forward(self.nodes, H)
        return Prediction(self.p(H.pop(self.top)))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... (last the output layer) and the feedback B1, ..., n_l x C."""
        return {**symbols(self.nodes), **feedback_symbols(self.nodes, self.B)}
