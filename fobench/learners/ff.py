"""Forward-Forward: each layer is to be active for a positive sample, one with its true label, and silent for a negative one.

    Z_0 = x with the label written into its first C values (`label_as: pattern`: x + a S_y),  rms(z) = z / (sqrt(mean z^2) + 1e-8)
    Z_l = relu(rms(Z_{l-1}) W_l^T + b_l)
    s = sum_j z_j^2 - n_l,   L_l = BCE(sigmoid(s), y),   y = 1 positive, 0 negative          goodness
    D_l = 2 (sigmoid(s) - y) o Z_l,   G_l = D_l^T rms(Z_{l-1}) / 2N
    r <- 0.9 r + 0.1 mean_pos(z),   L_l += 0.03 mean_j (mean(r) - r_j)^2                   peer normalisation
    multi-pass: argmax_c sum_l ||Z_l(x, c)||^2;   one-pass: softmax head V on rms(Z_l) of x with 1/C as label
    without labels: negative rows are hybrids x o m + x' o (1 - m); score: - sum_l ||Z_l(x)||^2

Hinton, arXiv 2212.13345; the supervised flavour of the public code of Loewe, also that of LightFF (arXiv 2404.05241)
and of the Bio-FO baselines (MLSys 2025); hybrids as in section 3 of Hinton's paper.

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
- Multi-pass scoring runs labels together, as many as keep a map small, not one after the other: fewer, larger products.
- Negative labels are drawn per step, uniformly among the wrong ones. With `label_amplitude: max` (CHB-MIT) the
  amplitude is the maximum of the sample as it is stored; the neutral label stays 1/C, as published, and never
  overwrites the stored sample.
- The head is kept as one block V_l per layer that it reads.
- Maps are not in the public code. A unit is one channel at one position: goodness, threshold n_l, root mean square and
  running mean are over all of them. Sums of residual blocks are neither normalised nor scored (as COINS'23 counts them).
- `goodness_of: mean` is this benchmark's: over a map of thousands of units the sum saturates the sigmoid, and hardly
  anything is learned; scores are then means, too, so that wide layers do not outvote narrow ones.
- `label_as: pattern` is not in the public code, where few positions of a map ever see the label: S_c is one plane wave over the
  whole sample, fixed before training, and `label_amplitude` times it is added (after the Fourier labels of Scodellaro et al.,
  arXiv 2312.14924, not checked against their code). The neutral sample gets the mean pattern.
- Hybrids are not in the public code. Masks are drawn anew for each sample and step, the other sample is one of the
  batch; a vector is blurred as one row, so that 5 frames of 128 bands are mixed band by band. The paper trains a softmax
  on top; here the data are scored by goodness itself, low goodness being strange, in one pass whatever `inference` is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, contrast, optimizers
from fobench.learners.activations import LINEAR, RELU, error_
from fobench.learners.contrast import goodness, per_row, rms_, units
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node, WeightedNode, build, symbols, weighted, weights
from fobench.learners.normalised import NormalisedPass, layer_goodness, multi_pass


@dataclass
class FF:
    """Forward-Forward with label in the input, goodness, peer normalisation and multi-pass or one-pass inference."""

    network: Any  # published: 4 x 2000
    inference: str = checks.choice("multi-pass", ("multi-pass", "one-pass"))
    score_layers: str = checks.choice("all", ("all", "from-second"))
    goodness_of: str = checks.choice("sum", ("sum", "mean"))  # mean: s = mean_j z_j^2 - 1, for maps
    label_as: str = checks.choice("first-values", ("first-values", "pattern"))  # pattern: Z_0 = x + a S_y
    wavelength: float = checks.between(4.0, 2, 1e4)  # of the patterns, in values
    label_amplitude: float | str = contrast.amplitude(1.0)  # max: of the sample (CHB-MIT)
    peer: float = checks.between(0.03, 0, 1e3)  # weight of the peer term
    peer_rate: float = checks.between(0.1, 0, 1)  # r <- (1 - rate) r + rate mean
    blurs: int = checks.choice(6, range(1, 65))  # of a hybrid's mask
    bias: bool = checks.choice(True, (True, False))
    weight_init: str = checks.choice("fan-out-normal", WEIGHT_INITS)  # N(0, 1/n_l)
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-3, mu=0.9, decay=3e-4)
    head_optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-2, mu=0.9, decay=3e-3)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        if self.label_as == "pattern":
            checks.hidden(self, task)
        else:
            contrast.fits(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate layers, running means, the head of one-pass inference and optimizer state."""
        checks.require(self, task, self._demand)
        layers = networks.layers(self.network, task)
        nodes = build(layers, RELU, self.weight_init, self.bias, generator, device)
        self.path = NormalisedPass(nodes, rms_)
        self.rows = contrast.Rows(task, self.label_amplitude, self.blurs, generator)
        if self.label_as == "pattern" and self.rows.labelled:
            self.rows.patterns = contrast.waves(task, self.wavelength, generator, device)
        shapes = [node.layer.output_shape for node in self.path.layers]
        self.first = 1 if self.score_layers == "from-second" and len(shapes) > 1 else 0
        self.r = [torch.full(shape, 0.5, device=device) for shape in shapes] if self.peer else []
        has_head = self.inference == "one-pass" and self.rows.labelled
        records = [networks.Layer(networks.dense(task.classes), shape, (task.classes,)) for shape in shapes]
        readers = records[self.first :] if has_head else []
        self.V = weighted(build(readers, LINEAR, "zero", False, generator, device))
        self.steps = optimizers.make(self.optimizer, weights(nodes))
        self.head_steps = optimizers.make(self.head_optimizer, weights(self.V))

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Hold both step sizes for half of the epochs, then lower them linearly."""
        factor = held_then_lowered(epoch, epochs)
        self.steps.eta = optimizers.make(self.optimizer).eta * factor
        self.head_steps.eta = optimizers.make(self.head_optimizer).eta * factor

    def overlay(self, x: Tensor, labels: Tensor) -> Tensor:
        """Repeat the batch once per N `labels` and give each row its label."""
        return self.rows.overlay(x, labels)

    def wrong_labels(self, y: Tensor) -> Tensor:
        """Draw a label other than the true one, uniformly."""
        return self.rows.wrong_labels(y)

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return N positive, then N negative rows."""
        return self.overlay(x, torch.cat([y, self.wrong_labels(y)])) if self.rows.labelled else self.rows.hybrids(x)

    def goodness(self, Z: Tensor) -> Tensor:
        """Return the sum of squares of each row, or their mean."""
        total = goodness(Z)
        return total if self.goodness_of == "sum" else total.div_(self.per(Z))

    def per(self, Z: Tensor) -> int:
        """Return what goodness, its threshold n_l and its slope are divided by: nothing, or the units."""
        return 1 if self.goodness_of == "sum" else units(Z)

    def layer_step(self, node: WeightedNode, before: Tensor) -> Tensor:
        """Update one layer on N positive, then N negative rows, and return its activity from before the update."""
        N = len(before) // 2
        Z = node.activity(before)
        gain = self.goodness(Z).sub_(units(Z) // self.per(Z)).sigmoid_()
        gain[:N].sub_(1)
        D = Z * per_row(gain, Z)  # D_l = 2 (sigmoid(s) - y) o Z_l, without the 2, which the step takes
        if self.peer:
            r = self.r[self.path.number[node.index]].lerp_(Z[:N].mean(0), self.peer_rate)
            # mean over N positive rows, in a sum that is divided by 2N
            D[:N].add_(r - r.mean(), alpha=2 * self.peer * self.peer_rate * self.per(Z) / r.numel())
        node.accumulate_(D, before, self.steps, N * self.per(Z))  # G_l = D_l^T rms(Z_{l-1}) / 2N
        return Z

    def neutral_pass(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the normalised activity of each scored layer for the neutral label."""
        H = self.path.begin(self.rows.neutral(x), own=True)
        for node in self.path.take(H, Node.activity):
            if self.path.number[node.index] >= self.first:
                yield self.path.normalised(H, node)

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
        if self.V:
            self.head_step(x, y)
        for _ in self.path.take(self.path.begin(self.pairs(x, y), own=True), self.layer_step):
            pass

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by goodness under every label (multi-pass), by the head (one-pass), or by minus the goodness."""
        if not self.V:
            return Prediction(multi_pass(self.path, self.rows, self.goodness, x, self.first))
        shares = (self.head(V, Z) for V, Z in zip(self.V, self.neutral_pass(x), strict=True))
        return Prediction(reduce(torch.add, shares))

    @torch.no_grad()
    def layer_goodness(self, x: Tensor, labels: Tensor) -> list[tuple[Tensor, float]]:
        """Return each layer's goodness and its threshold, n_l, or 1 for the mean of squares."""
        found = layer_goodness(self.path, self.rows, self.goodness, x, labels)
        thresholds = [node.layer.units if self.goodness_of == "sum" else 1 for node in self.path.layers]
        return [(values, float(threshold)) for values, threshold in zip(found, thresholds, strict=False)]

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ..., the running means r1, ..., the head's V1, ..., numbered by the layer they read, and patterns S."""
        patterns = self.rows.patterns
        return {
            **symbols(self.path.layers),
            **({} if patterns is None else {"S": patterns}),
            **{f"r{number}": r for number, r in enumerate(self.r, 1)},
            **{f"V{number}": V.W for number, V in enumerate(self.V, 1 + self.first)},
        }


def held_then_lowered(epoch: int, epochs: int) -> float:
    """Return the factor of the step size: 1 for half of the epochs, then falling linearly."""
    return 2 * (1 + epochs - epoch) / epochs if epoch > epochs / 2 else 1.0
