"""Mono-Forward: each layer classifies by itself through a projection of its own, and both learn from that error alone.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l
    O_l = H_l M_l^T,  E_l = softmax(O_l) - T                        goodness of each class; M_l: C x n_l, trained
    D_l = (E_l M_l) o f'(A_l),  G_l = D_l^T H_{l-1} / N             with M_l from before its update
    G_l^M = E_l^T H_l / N
    prediction: argmax O_L of the last layer, or of sum_l O_l

Gong, Li and Waleed, arXiv 2501.09238.

Properties: weight transport within a layer only (M_l forth and back); locality: layer input, activity and C local errors;
update locking none; frozen activity: two neighbouring layers.

**Departures**

- The paper's hyperparameters were not to be had: Adam at eta 1e-3, M_l initialised as nn.Linear is, without bias.
- `order: sweep` trains all layers in each step, layer l+1 fed by layer l from before its update; `greedy` one after the
  other, each with a fresh optimizer. The result is that of the paper's greedy layers only where a layer waits for the
  ones below.
- A layer is read behind the pools that follow it; of residual nets the two addends of a sum are layers of
  their own. Nodes that no layer in training (or in predicting) reads are not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners import stages as local
from fobench.learners.activations import ACTIVATIONS
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node, build, symbols
from fobench.learners.stages import ReadOut, correlate_units_


@dataclass
class MonoForward:
    """Layer-wise local classification through trained matrices."""

    network: Any
    order: str = checks.choice("sweep", ("sweep", "greedy"))
    prediction: str = checks.choice("last", ("last", "sum"))
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-3)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        checks.hidden(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate layers and projections; optimizer state belongs to the stage."""
        checks.require(self, task, self._demand)
        f, layers = ACTIVATIONS[self.activation], networks.layers(self.network, task)
        self.nodes = build(layers, f, self.weight_init, self.bias, generator, device)
        self.layers = local.stages(self.nodes)
        self.M = [_projection(task.classes, stage.units, generator, device) for stage in self.layers]
        self.stages = len(self.layers) if self.order == "greedy" else 1
        self.begin_stage(0)

    def begin_stage(self, stage: int) -> None:
        """Turn to the next layer, with a fresh optimizer; in one sweep to all layers."""
        active = [stage] if self.order == "greedy" else range(len(self.layers))
        self.last = active[-1]
        trained = [[*self.layers[number].node.weights, self.M[number].B] for number in active]
        self.steps = optimizers.make(self.optimizer, [tensor for tensors in trained for tensor in tensors])

    def layer_step(self, y: Tensor, number: int, before: Tensor) -> Tensor:
        """Update one layer and its projection, and return its activity from before the update, behind its tail."""
        stage, M = self.layers[number], self.M[number]
        H = stage.node.activity(before)
        maps = stage.ascend(H)
        E, _ = M.error(maps[-1], y)  # E_l = softmax(O_l) - T
        D = stage.derived(M.feed_back(E, maps[-1]), maps)  # D_l = (E_l M_l) o f'(A_l)
        read = maps.pop()
        del H, maps
        self.project_step(M, E, read)  # G_l^M = E_l^T H_l / N
        stage.node.accumulate_(D, before, self.steps)  # G_l = D_l^T H_{l-1} / N
        return read

    @role(Role.WEIGHT_UPDATE)
    def project_step(self, M: ReadOut, E: Tensor, H: Tensor) -> None:
        """Update a projection."""
        correlate_units_(self.steps, M.B, E, H)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch: all layers on the way up, or the layer of this stage."""
        if self.order == "greedy":
            self.layer_step(y, self.last, local.arrive(self.layers[self.last], x, Node.activity))
        else:
            local.sweep(self.layers, x, partial(self.layer_step, y), Node.activity)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the logits of the last layer trained so far, or by the sum up to it."""
        if self.prediction == "last":
            stage = self.layers[self.last]
            H = stage.node.activity(local.arrive(stage, x, Node.activity))
            return Prediction(self.M[self.last].logits(stage.ascend(H)[-1]))
        scores = torch.zeros(len(x), len(self.M[0].B), device=x.device, dtype=self.M[0].B.dtype)

        def add(number: int, before: Tensor) -> Tensor:
            stage = self.layers[number]
            read = stage.ascend(stage.node.activity(before))[-1]
            scores.add_(self.M[number].logits(read))
            return read

        local.sweep(self.layers[: self.last + 1], x, add, Node.activity)
        return Prediction(scores)

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... and the projections M1, ..."""
        return {**symbols(self.nodes), **{f"M{number}": M.B for number, M in enumerate(self.M, 1)}}


def _projection(classes: int, units: int, generator: torch.Generator, device: str) -> ReadOut:
    """Draw U(+-1/sqrt(n_l))."""
    bound = units**-0.5
    return ReadOut(torch.empty(classes, units, device=device).uniform_(-bound, bound, generator=generator))
