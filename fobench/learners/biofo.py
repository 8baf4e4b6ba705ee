"""Bio-FO: each layer classifies by itself, through a fixed random read-out, and learns from that error alone.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l
    O_l = H_l B_l^T,  E_l = softmax(O_l) - T                        local logits; B_l: C x n_l, fixed
    D_l = (E_l B_l) o f'(A_l),  G_l = D_l^T H_{l-1} / N
    prediction: argmax O_L of the last trained layer

Bio-FO, MLSys 2025, and its released code (fully connected).

Properties: weight transport none: B_l is never trained; locality: layer input, activity and C local errors; update
locking none; frozen activity: two neighbouring layers, with the optimizer state of one layer only when trained
greedily.

**Departures**

- `order: greedy` is the released code: layer 1 for all epochs, then layer 2 on top of it, ..., each with a fresh
  optimizer; one stage per layer. The frozen layers are recomputed in each step, as there, but without a graph. `order:
  sweep` trains all layers in each step, as the paper's figure shows; layer l+1 is fed by layer l from before its
  update.
- `feedback: gaussian` is N(0, 1) for each layer (MNIST, MIT-BIH), `ternary` floor(n C / 6) entries each of +1 and -1
  and else 0, one matrix for all layers of a width (CIFAR, CHB-MIT). Neither is rescaled. The released code assumes
  equal widths.
- The structural mask S_l is all ones for dense layers and left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners.activations import ACTIVATIONS, error_
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import build, symbols, weighted, weights


@dataclass
class BioFO:
    """Layer-wise local classification through fixed random matrices; fully connected."""

    network: Any  # published: k x 2000, k = 4 or 6
    order: str = checks.choice("greedy", ("greedy", "sweep"))
    feedback: str = checks.choice("gaussian", ("gaussian", "ternary"))  # B_l
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-4)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.hidden(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate layers and feedback; optimizer state belongs to the stage."""
        checks.require(self, task, self._demand)
        layers = networks.layers(self.network, task)
        self.layers = weighted(
            build(layers, ACTIVATIONS[self.activation], self.weight_init, self.bias, generator, device)
        )
        self.B = self._feedback(task.classes, generator, device)
        self.f = ACTIVATIONS[self.activation]
        self.stages = len(self.layers) if self.order == "greedy" else 1
        self.begin_stage(0)

    def _feedback(self, classes: int, generator: torch.Generator, device: str) -> list[Tensor]:
        widths = [layer.layer.units for layer in self.layers]
        if self.feedback == "gaussian":
            return [torch.empty(classes, n, device=device).normal_(generator=generator) for n in widths]
        shared = {n: _ternary(classes, n, generator, device) for n in dict.fromkeys(widths)}
        return [shared[n] for n in widths]

    def begin_stage(self, stage: int) -> None:
        """Turn to the next layer, with a fresh optimizer; in one sweep to all layers."""
        self.depth = stage + 1 if self.order == "greedy" else len(self.layers)  # layers in use
        self.active = [stage] if self.order == "greedy" else list(range(self.depth))
        self.steps = optimizers.make(self.optimizer, weights(self.layers[number] for number in self.active))

    def forward_pass(self, x: Tensor, depth: int) -> Tensor:
        """Return H of layer `depth`, counted from 1; of 0, the input."""
        H = x.flatten(1)
        for layer in self.layers[:depth]:
            H = self.f.apply_(layer(H))
        return H

    @role(Role.PROJECTION)
    def local_logits(self, H: Tensor, B: Tensor) -> Tensor:
        """Return O_l = H_l B_l^T, N x C."""
        return torch.mm(H, B.T)

    @role(Role.PROJECTION)
    def feed_back(self, E: Tensor, B: Tensor) -> Tensor:
        """Return E_l B_l, N x n_l."""
        return torch.mm(E, B)

    def layer_step(self, number: int, before: Tensor, y: Tensor) -> Tensor:
        """Update one layer and return its activity from before the update."""
        layer, B = self.layers[number], self.B[number]
        H = self.f.apply_(layer(before))
        E = error_(torch.softmax(self.local_logits(H, B), 1), y)  # E_l = softmax(O_l) - T
        D = self.f.derive_(self.feed_back(E, B), H)  # D_l = (E_l B_l) o f'(A_l)
        layer.accumulate_(D, before, self.steps)  # G_l = D_l^T H_{l-1} / N
        return H

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch: the layer of this stage, or all layers on the way up."""
        H = self.forward_pass(x, self.active[0])
        for number in self.active:
            H = self.layer_step(number, H, y)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the local logits of the last layer trained so far."""
        return Prediction(self.local_logits(self.forward_pass(x, self.depth), self.B[self.depth - 1]))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... and the feedback B1, ..."""
        return {**symbols(self.layers), **{f"B{number}": B for number, B in enumerate(self.B, 1)}}


def _ternary(classes: int, units: int, generator: torch.Generator, device: str) -> Tensor:
    """Return C x n with floor(n C / 6) entries +1, as many -1, the rest 0, at random places."""
    places = torch.randperm(classes * units, generator=generator, device=device)
    share = classes * units // 6
    B = torch.zeros(classes * units, device=device)
    B[places[:share]] = 1
    B[places[share : 2 * share]] = -1
    return B.view(classes, units)
