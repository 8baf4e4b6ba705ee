"""Direct random target projection: each hidden layer learns from a fixed random projection of the label, at once.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l
    D_l = (T B_l^T) o f'(A_l)          hidden layers: for one-hot T a row of B_l^T, picked by the label
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
from fobench.learners.initialisation import WEIGHT_INITS, uniform_
from fobench.learners.layers import build, symbols, weighted, weights, with_output


@dataclass
class DRTP:
    """Direct random target projection."""

    network: Any  # hidden layers; published: k x 1000
    activation: str = checks.choice("tanh", ACTIVATIONS)  # f
    output: str = checks.choice("sigmoid", OUTPUTS)  # P; binary cross-entropy, or with softmax cross-entropy
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    hidden_scale: str = checks.choice("sum", ("sum", "mean"))
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-4, mu=0.9, nesterov=True)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, feedback and optimizer state."""
        checks.require(self, task)
        f = ACTIVATIONS[self.activation]
        nodes = build(with_output(self.network, task), f, self.weight_init, self.bias, generator, device)
        *self.hidden, self.top = weighted(nodes)
        self.f, self.p = ACTIVATIONS[self.activation], OUTPUTS[self.output]
        # B_l: n_l x C, U(+-sqrt(6/n_l)); kept transposed, so that a label's projection is one contiguous row
        self.B = [
            uniform_(torch.empty(task.classes, layer.layer.units, device=device), layer.layer.units, generator).T
            for layer in self.hidden
        ]
        self.steps = optimizers.make(self.optimizer, weights([*self.hidden, self.top]))

    @role(Role.PROJECTION)
    def project(self, y: Tensor, B: Tensor) -> Tensor:
        """Return T B^T, N x n_l."""
        return B.T.index_select(0, y)

    def layer_step(self, number: int, before: Tensor, y: Tensor, over: int) -> Tensor:
        """Update one hidden layer and return its activity from before the update."""
        layer = self.hidden[number]
        H = self.f.apply_(layer(before))
        D = self.f.derive_(self.project(y, self.B[number]), H)  # D_l = (T B_l^T) o f'(A_l)
        layer.accumulate_(D, before, self.steps, over)  # G_l = D_l^T H_{l-1}
        return H

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch, layer by layer during the forward pass."""
        over, over_top = self._divisors(len(x))
        before = x.flatten(1)
        for number in range(len(self.hidden)):
            before = self.layer_step(number, before, y, over)
        E = error_(self.p(self.top(before)), y)  # D_L = P - T
        self.top.accumulate_(E, before, self.steps, over_top)

    def _divisors(self, samples: int) -> tuple[int, int]:
        """What the hidden and the output correlations are divided by."""
        if self.hidden_scale == "mean":
            return samples, samples
        return 1, samples * (len(self.top.W) if self.output == "sigmoid" else 1)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by its output P."""
        H = x.flatten(1)
        for layer in self.hidden:
            H = self.f.apply_(layer(H))
        return Prediction(self.p(self.top(H)))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... (last the output layer) and the feedback B1, ..."""
        return {
            **symbols([*self.hidden, self.top]),
            **{f"B{number}": B for number, B in enumerate(self.B, 1)},
        }
