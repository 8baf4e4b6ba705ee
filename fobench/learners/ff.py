"""Forward-Forward, supervised: each layer is to be active for a sample with its true label, and silent for a false one.

    Z_0 = x with the label written into its first C values,   rms(z) = z / (sqrt(mean z^2) + 1e-8)
    Z_l = relu(rms(Z_{l-1}) W_l^T + b_l)
    s = sum_j z_j^2 - n_l,   L_l = BCE(sigmoid(s), y),   y = 1 positive, 0 negative          goodness
    D_l = 2 (sigmoid(s) - y) o Z_l,   G_l = D_l^T rms(Z_{l-1}) / 2N
    r <- 0.9 r + 0.1 mean_pos(z),   L_l += 0.03 mean_j (mean(r) - r_j)^2                   peer normalisation
    multi-pass: argmax_c sum_l ||Z_l(x, c)||^2;   one-pass: softmax head V on rms(Z_l) of x with 1/C as label

Hinton, arXiv 2212.13345; the supervised flavour of the public code of Loewe, also that of LightFF (arXiv 2404.05241)
and of the Bio-FO baselines (MLSys 2025).

Properties: weight transport none; locality: the layer's own input and activity (batch mean for the peer term); update
locking none: layer l is updated during the forward pass; frozen activity: two neighbouring layers of 2N rows, and all
of the neutral sample if a head is trained.

**Departures**

- The gradient is the closed form, without autograd; the straight-through ReLU shows only in the peer term, which
  reaches silent units.
- `inference: multi-pass` trains no head, `one-pass` no more than its one head; the released training step also scores
  every sample under all labels at each depth, which is no part of learning.
- `score_layers: all` is the Bio-FO baseline, `from-second` (where there is a second) the original code; both for scores
  and head.
- Multi-pass scoring runs all labels as one batch of C N rows, not label after label: fewer, larger products, and 2 C
  instead of 2 layer maps alive.
- Negative labels are drawn per step, uniformly among the wrong ones. With `label_amplitude: max` (CHB-MIT) the
  amplitude is the maximum of the sample as it is stored; the neutral label stays 1/C, as published, and never
  overwrites the stored sample.
- The head is kept as one block V_l per layer that it reads; the short last batch is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners.activations import LINEAR, RELU, error_
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import WeightedNode, build, symbols, weighted, weights


def _amplitude(name: str, value: Any) -> None:
    if value != "max" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise checks.LearnerError(f"{name} is {value!r}; expected a number or max, the largest value of the sample")


@dataclass
class FF:
    """Forward-Forward with label in the input, goodness, peer normalisation and multi-pass or one-pass inference."""

    network: Any  # published: 4 x 2000
    inference: str = checks.choice("multi-pass", ("multi-pass", "one-pass"))
    score_layers: str = checks.choice("all", ("all", "from-second"))
    label_amplitude: float | str = field(default=1.0, metadata={"check": _amplitude})  # max: of the sample (CHB-MIT)
    peer: float = checks.between(0.03, 0, 1e3)  # weight of the peer term
    peer_rate: float = checks.between(0.1, 0, 1)  # r <- (1 - rate) r + rate mean
    bias: bool = checks.choice(True, (True, False))
    weight_init: str = checks.choice("fan-out-normal", WEIGHT_INITS)  # N(0, 1/n_l)
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-3, mu=0.9, decay=3e-4)
    head_optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-2, mu=0.9, decay=3e-3)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.hidden(self, task)
        if task.inputs < task.classes:
            raise checks.LearnerError(
                f"FF writes the label into the first {task.classes} input values, the task has only {task.inputs}; "
                "take a task with more inputs than classes"
            )

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate layers, running means, the head of one-pass inference and optimizer state."""
        checks.require(self, task, self._demand)
        shapes = [layer for layer in networks.layers(self.network, task) if layer.has_weights]
        self.layers = weighted(build(shapes, RELU, self.weight_init, self.bias, generator, device))
        self.first = 1 if self.score_layers == "from-second" and len(shapes) > 1 else 0
        self.r = [torch.full((layer.units,), 0.5, device=device) for layer in shapes] if self.peer else []
        records = [
            networks.Layer(networks.dense(task.classes), layer.output_shape, (task.classes,)) for layer in shapes
        ]
        readers = records[self.first :] if self.inference == "one-pass" else []
        self.V = weighted(build(readers, LINEAR, "zero", False, generator, device))
        self.steps = optimizers.make(self.optimizer, weights(self.layers))
        self.head_steps = optimizers.make(self.head_optimizer, weights(self.V))
        self.classes, self.generator = task.classes, generator

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Hold both step sizes for half of the epochs, then lower them linearly."""
        factor = 2 * (1 + epochs - epoch) / epochs if epoch > epochs / 2 else 1.0
        self.steps.eta = optimizers.make(self.optimizer).eta * factor
        self.head_steps.eta = optimizers.make(self.head_optimizer).eta * factor

    def overlay(self, x: Tensor, labels: Tensor) -> Tensor:
        """Repeat the batch once per N `labels` and write each row's label into its first C values."""
        copies = len(labels) // len(x)
        rows = x.repeat(copies, 1)
        amplitude = (
            x.amax(1, keepdim=True).repeat(copies, 1) if self.label_amplitude == "max" else float(self.label_amplitude)
        )
        rows[:, : self.classes] = 0
        return rows.scatter_(1, labels[:, None], amplitude)

    def wrong_labels(self, y: Tensor) -> Tensor:
        """Draw a label other than the true one, uniformly."""
        shift = torch.randint(1, self.classes, y.shape, generator=self.generator, device=y.device)
        return shift.add_(y).remainder_(self.classes)

    def layer_step(self, number: int, Z: Tensor) -> Tensor:
        """Update one layer on N positive, then N negative rows, and return its activity from before the update."""
        layer, before = self.layers[number], rms_(Z)
        N = len(Z) // 2
        Z = layer(before).relu_()
        gain = (goodness(Z) - Z.shape[1]).sigmoid_()
        gain[:N] -= 1
        D = Z * gain.mul_(2)[:, None]  # D_l = 2 (sigmoid(s) - y) o Z_l
        if self.peer:
            r = self.r[number].lerp_(Z[:N].mean(0), self.peer_rate)
            # mean over N positive rows, in a sum that is divided by 2N
            D[:N] += (r - r.mean()).mul_(2 * self.peer * self.peer_rate * 2 / len(r))
        layer.accumulate_(D, before, self.steps)  # G_l = D_l^T rms(Z_{l-1}) / 2N
        return Z

    def neutral_pass(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the normalised activity of each scored layer for the neutral label."""
        Z = x.clone()
        Z[:, : self.classes] = 1 / self.classes
        Z = rms_(Z)
        for number, layer in enumerate(self.layers):
            Z = rms_(layer(Z).relu_())
            if number >= self.first:
                yield Z

    @role(Role.HEAD)
    def head(self, V: WeightedNode, Z: Tensor) -> Tensor:
        """Return one layer's share of the logits, N x C."""
        return V(Z)

    @role(Role.HEAD)
    def head_step(self, x: Tensor, y: Tensor) -> None:
        """Update the softmax head on the neutral sample."""
        activities = list(self.neutral_pass(x))
        logits = reduce(torch.add, (self.head(V, Z) for V, Z in zip(self.V, activities, strict=True)))
        E = error_(torch.softmax(logits, 1), y)
        for V, Z in zip(self.V, activities, strict=True):
            V.accumulate_(E, Z, self.head_steps)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch: positive and negative rows together, layer by layer."""
        if self.inference == "one-pass":
            self.head_step(x.flatten(1), y)
        Z = self.overlay(x.flatten(1), torch.cat([y, self.wrong_labels(y)]))
        for number in range(len(self.layers)):
            Z = self.layer_step(number, Z)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by goodness under every label (multi-pass) or by the head (one-pass)."""
        x = x.flatten(1)
        if self.inference == "one-pass":
            shares = (self.head(V, Z) for V, Z in zip(self.V, self.neutral_pass(x), strict=True))
            return Prediction(reduce(torch.add, shares))
        Z = self.overlay(x, torch.arange(self.classes, device=x.device).repeat_interleave(len(x)))
        scores = x.new_zeros(len(Z))
        for number, layer in enumerate(self.layers):
            Z = layer(rms_(Z)).relu_()
            if number >= self.first:
                scores += goodness(Z)
        return Prediction(scores.view(self.classes, len(x)).T)

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ..., the running means r1, ... and the head's V1, ..., numbered by the layer they read."""
        return {
            **symbols(self.layers),
            **{f"r{number}": r for number, r in enumerate(self.r, 1)},
            **{f"V{number}": V.W for number, V in enumerate(self.V, 1 + self.first)},
        }


def goodness(Z: Tensor) -> Tensor:
    """Return the sum of squares of each row."""
    norm: Tensor = torch.linalg.vector_norm(Z, dim=1)
    return norm.square_()


def rms_(Z: Tensor) -> Tensor:
    """Divide each row by its root mean square, in place."""
    norm = torch.linalg.vector_norm(Z, dim=1, keepdim=True)
    return Z.div_(norm.mul_(Z.shape[1] ** -0.5).add_(1e-8))
