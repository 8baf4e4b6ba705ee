"""PEPITA: a second forward pass on an input modulated by the error takes the place of the backward pass.

    H_l = f(H_{l-1} W_l^T),  E = H_L - T                           standard pass, H_L = softmax
    X^err = X + s E F^T                                            modulated input
    H_l^err = f(H_{l-1}^err W_l^T)                                 modulated pass: same weights, same dropout masks
    G_l = (H_l - H_l^err)^T H_{l-1}^err / N                        hidden layers
    G_l[o,i,u,v] = sum_{b,r,c} (H_l - H_l^err)[b,o,r,c] H_{l-1}^err[b,i,r+u,c+v] / (N R_l C_l)      convolutions
    G_L = (E^err)^T H_{L-1}^err / N,  E^err = H_L^err - T          output layer
    V_l <- mu V_l + eta G_l,  W_l <- W_l - V_l

Dellaferrera and Kreiman, ICML 2022 (arXiv 2201.11665); released code of the paper and of Srinivasan et al., ICLR 2024
(arXiv 2302.05440), from which activation normalisation, weight decay (the optimizer's) and weight mirroring are.

Properties: weight transport none; locality: two activities of the layer and its modulated input; update locking: a
layer waits for the standard pass; frozen activity: all H_l of the standard pass, and the masks.

**Departures**

- A layer is updated as soon as its modulated activity exists, which no later product reads the old weights of; the
  result is that of updating all layers at the end.
- Masks name the kept units, in one byte each, and are applied to some samples at a time (the kernel of the product
  makes values of them); 1/keep is applied to the activity. The released numpy code multiplies the hidden difference by
  the mask once more, this one does not. Convolutions are masked like any hidden layer; the released ones ignore their
  masks, which is `keep: 1`.
- `output_error: standard` puts E in place of E^err (slides, ICLR code, released convolutional nets), `sign: -1` is the
  ICLR code's s. The modulated output is computed either way, as published.
- A short last batch is divided by its own size, where the released code divides by the nominal one.
- Convolutions follow the formula above. The released script adds their update with the opposite sign and divides it by
  the batch size twice; both are slips beside the paper and are not reproduced, so the published convolutional accuracy
  needs step sizes of its own. The ICLR code sums over the positions, which is R_l C_l times the step. A locally connected
  layer, whose weights no two positions share, is divided by N only.
- The difference is taken after activation and before pooling. A layer in front of a residual sum has no activation:
  its difference is that of its sums. Sums and pools are neither masked nor normalised.
- `normalisation: batch` is the published form, over samples and features together, so that a result depends on the
  batch, at test time too; `per-sample` divides each sample by its own norm. Published order: linear, dropout, ReLU,
  normalisation; here the mask follows f, which for ReLU is the same.
- A reconstruction has a linear output and E = H_L - X.
- `feedback: shuffled` hands each sample the error of another, `zero` none; `train_hidden: false` leaves hidden layers as
  they began. They are ablations, of no paper, and cost what the rule costs (but for the updates left out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, mirroring, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_, target
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import WeightedNode, weights
from fobench.learners.modulation import NORMALISATIONS, Modulated, averaged_over, schedule


@dataclass
class PEPITA:
    """Present the error to perturb the input to modulate activity."""

    network: Any  # hidden layers; published: 1024, up to 3 x 1024; pepita-conv
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    output: str = checks.choice("softmax", OUTPUTS)  # H_L
    sign: int = checks.choice(1, (1, -1))  # s
    output_error: str = checks.choice("modulated", ("modulated", "standard"))  # E^err or E
    keep: float = checks.between(0.9, 0.01, 1)  # 1 - dropout rate, hidden layers
    normalisation: str = checks.choice("none", NORMALISATIONS)  # of hidden activity
    feedback_scale: float = checks.between(0.05, 0, 1e3)  # F = 0.05 U(+-sqrt(6/n_0))
    feedback: str = checks.choice("error", ("error", "shuffled", "zero"))
    train_hidden: bool = checks.choice(True, (True, False))
    mirror: Mapping[str, Any] | None = field(default=None, metadata={"check": mirroring.check})  # how F is learned
    bias: bool = checks.choice(False, (True, False))
    weight_init: str = checks.choice("he-uniform", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=0.01, mu=0.9, eta_in_buffer=True)
    decay_epochs: Sequence[int] = checks.epochs(60, 90)  # eta x 0.1 from these epochs on

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        if self.mirror is not None:
            mirroring.demand(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, F (with mirroring, its factors) and optimizer state."""
        checks.require(self, task, self._demand)
        self.net = Modulated(self, task, generator, device)
        self.steps = optimizers.make(self.optimizer, weights(self.net.nodes))
        self.mirrors = None if self.mirror is None else mirroring.Mirrors(self.net, self.mirror, self.feedback_scale)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Divide eta by ten at each of `decay_epochs`; say whether this epoch mirrors."""
        schedule(self.steps, self, epoch)
        if self.mirrors is not None:
            self.mirrors.begin_epoch(epoch)

    def dropout_masks(self, samples: int) -> list[Tensor | None]:
        """Draw one mask of kept units per hidden layer, N x its shape, and none for the output."""
        net = self.net
        return [*(net.draw(node, samples, net.generator) for node in net.hidden), None]

    def fed_back(self, E: Tensor) -> Tensor:
        """Return E, or what an ablation feeds back in its place."""
        if self.feedback == "shuffled":
            return E[torch.randperm(len(E), generator=self.net.generator, device=E.device)]
        return E if self.feedback == "error" else torch.zeros_like(E)

    def hidden_step(self, node: WeightedNode, D: Tensor, before: Tensor) -> None:
        """Update a hidden layer: G_l = D^T H_{l-1}^err / N, over the positions of a convolution too."""
        if self.train_hidden:
            node.accumulate_(D, before, self.steps, averaged_over(node, D))

    def output_step(self, E: Tensor, E_err: Tensor, before: Tensor) -> None:
        """Update the output layer: G_L = (E^err)^T H_{L-1}^err / N."""
        self.net.top.accumulate_(E_err if self.output_error == "modulated" else E, before, self.steps)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch; in a mirroring epoch F does, too."""
        if self.mirrors is None or self.mirrors.weights_learn:
            self.learn(x, y)
        if self.mirrors is not None and self.mirrors.learn:
            self.mirrors.step(len(x))

    def learn(self, x: Tensor, y: Tensor) -> None:
        """Take the standard pass and, updating layer after layer, the modulated pass."""
        net, T = self.net, target(self.net.task, x, y)
        drawn = zip([*net.hidden, net.top], self.dropout_masks(len(x)), strict=True)
        masks = {node.index: mask for node, mask in drawn}
        H = net.standard_pass(x, lambda node: masks.get(node.index), kept=net.own)
        E = error_(H.pop(net.top), T)  # E = H_L - T
        H_err = net.modulated_maps(x, self.fed_back(E))  # X^err
        for node in net.nodes:
            before = H_err.before(node)
            after = net.modulated_pass(node, before, masks.pop(node.index, None))  # H_l^err
            if node is net.top:
                self.output_step(E, error_(after, T), before[0])
            elif isinstance(node, WeightedNode):
                self.hidden_step(node, H.pop(node).sub_(after), before[0])  # H_l - H_l^err
            H_err[node] = after

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the output of one standard pass, without masks."""
        return self.net.predict(x)

    def state(self) -> dict[str, Tensor]:
        """Return W1, ... (last the output layer), F and, with mirroring, its factors F1, ..."""
        return {**self.net.state(), **({} if self.mirrors is None else self.mirrors.state())}
