"""Forward-Forward in the flavour of mpezeshki: unit-length inputs, mean goodness, a fixed threshold, Adam.

    Z_0 = x with the label written into its first C values,   u(z) = z / (||z||_2 + 1e-4)
    Z_l = relu(u(Z_{l-1}) W_l^T + b_l),   g = mean_j z_j^2
    L_l = mean of softplus(theta - g) over positive and softplus(g - theta) over negative rows
    D_l = (2 / n_l) (sigmoid(g - theta) - y) o Z_l,   y = 1 positive, 0 negative;   G_l = D_l^T u(Z_{l-1}) / 2N
    prediction: argmax_c sum_l g_l(x, c)
    without labels: negative rows are hybrids; score: - sum_l g_l(x)

Hinton, arXiv 2212.13345; public code of mpezeshki, also that of LightFF (arXiv 2404.05241) in its "test" folder.

Properties: those of `ff`, without peer normalisation and without schedule.

**Departures**

- The gradient is the closed form, without autograd; a layer passes on its activity from before its step, the released code
  computes it once more after it (2 M_h more MACs), and in its first version trained layer after layer.
- Negative labels are drawn per step, wrong ones only. LightFF's code draws one wrong label per sample before training;
  mpezeshki's hands the labels of other samples round, once, of which one in C is the right one.
- The label is written into the first C values; LightFF's code writes it into each of the three channels of CIFAR-10. Its
  value is 1 there, 41.85 for CHB-MIT, and the largest value of the whole array for MIT-BIH and, in both codes, for MNIST:
  2.82, as they standardise it, 1 for values in [0, 1]. `label_amplitude: max` is the largest value of each sample.
- Labels are scored together, as many as keep a map small. Data without labels and maps: as `ff`, whose departures hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Prediction, Task
from fobench.learners import checks, contrast, optimizers
from fobench.learners.activations import RELU
from fobench.learners.contrast import goodness, length_, per_row, units
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import WeightedNode, build, symbols, weights
from fobench.learners.normalised import NormalisedPass, layer_goodness, multi_pass


@dataclass
class FFMpezeshki:
    """Forward-Forward with mean goodness against a fixed threshold, multi-pass inference."""

    network: Any  # published: 2 x 500; 4 x 2000 in LightFF
    theta: float = checks.between(2.0, 0, 1e6)
    label_amplitude: float | str = contrast.amplitude(1.0)  # CHB-MIT: 41.85, standardised MNIST: 2.82
    blurs: int = checks.choice(6, range(1, 65))  # of a hybrid's mask
    bias: bool = checks.choice(True, (True, False))
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=0.03)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, lambda task: contrast.fits(self, task))

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate layers and optimizer state."""
        checks.require(self, task, lambda task: contrast.fits(self, task))
        nodes = build(networks.layers(self.network, task), RELU, self.weight_init, self.bias, generator, device)
        self.path = NormalisedPass(nodes, length_)
        self.rows = contrast.Rows(task, self.label_amplitude, self.blurs, generator)
        self.first = 0  # layers from here on are scored: all
        self.steps = optimizers.make(self.optimizer, weights(nodes))

    def goodness(self, Z: Tensor) -> Tensor:
        """Return the mean square of each row."""
        return goodness(Z).div_(units(Z))

    def layer_step(self, node: WeightedNode, before: Tensor) -> Tensor:
        """Update one layer on N positive, then N negative rows, and return its activity from before the update."""
        Z = node.activity(before)
        gain = self.goodness(Z).sub_(self.theta).sigmoid_()
        N = len(Z) // 2
        gain[:N].sub_(1)
        # D_l = (2 / n_l) (sigmoid(g - theta) - y) o Z_l, without 2 / n_l, which the step takes
        D = Z * per_row(gain, Z)
        node.accumulate_(D, before, self.steps, N * units(Z))  # G_l = D_l^T u(Z_{l-1}) / 2N
        return Z

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Return N positive, then N negative rows."""
        wrong = self.rows.wrong_labels
        return self.rows.overlay(x, torch.cat([y, wrong(y)])) if self.rows.labelled else self.rows.hybrids(x)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch: positive and negative rows together, layer by layer."""
        for _ in self.path.take(self.path.begin(self.pairs(x, y), own=True), self.layer_step):
            pass

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by goodness under every label, or without labels by minus the goodness."""
        return Prediction(multi_pass(self.path, self.rows, self.goodness, x))

    @torch.no_grad()
    def layer_goodness(self, x: Tensor, labels: Tensor) -> list[tuple[Tensor, float]]:
        """Return each layer's goodness and the threshold theta."""
        return [(values, self.theta) for values in layer_goodness(self.path, self.rows, self.goodness, x, labels)]

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ..."""
        return symbols(self.path.layers)
