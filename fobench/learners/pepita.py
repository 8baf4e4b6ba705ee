"""PEPITA: a second forward pass on an input modulated by the error takes the place of the backward pass.

    H_l = f(H_{l-1} W_l^T),  E = H_L - T                           standard pass, H_L = softmax
    X^err = X + s E F^T                                            modulated input
    H_l^err = f(H_{l-1}^err W_l^T)                                 modulated pass: same weights, same dropout masks
    G_l = (H_l - H_l^err)^T H_{l-1}^err / N                        hidden layers
    G_L = (E^err)^T H_{L-1}^err / N,  E^err = H_L^err - T          output layer
    V_l <- mu V_l + eta G_l,  W_l <- W_l - V_l

Dellaferrera and Kreiman, ICML 2022 (arXiv 2201.11665); released code of the paper and of Srinivasan et al., ICLR 2024
(arXiv 2302.05440).

Properties: weight transport none; locality: two activities of the layer and its modulated input; update locking: a
layer waits for the standard pass; frozen activity: all H_l of the standard pass, and the masks.

**Departures**

- A layer is updated as soon as its modulated activity exists, which no later product reads the old weights of; the
  result is that of updating all layers at the end.
- Masks name the dropped units, in one byte each, and fill them with 0 (in a product, the kernel would convert the mask
  to a map of its own); 1/keep is applied to the activity. The released numpy code multiplies the hidden difference by
  the mask once more, this one does not.
- `output_error: standard` puts E in place of E^err (slides, ICLR code), `sign: -1` is the ICLR code's s. The modulated
  output is computed either way, as published.
- A short last batch is divided by its own size, where the released code divides by the nominal one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_
from fobench.learners.initialisation import WEIGHT_INITS, uniform_
from fobench.learners.layers import WeightedNode, build, symbols, weighted, weights, with_output


@dataclass
class PEPITA:
    """Present the error to perturb the input to modulate activity; fully connected."""

    network: Any  # hidden layers; published: 1024, up to 3 x 1024
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    output: str = checks.choice("softmax", OUTPUTS)  # H_L
    sign: int = checks.choice(1, (1, -1))  # s
    output_error: str = checks.choice("modulated", ("modulated", "standard"))  # E^err or E
    keep: float = checks.between(0.9, 0.01, 1)  # 1 - dropout rate, hidden layers
    feedback_scale: float = checks.between(0.05, 0, 1e3)  # F = 0.05 U(+-sqrt(6/n_0))
    bias: bool = checks.choice(False, (True, False))
    weight_init: str = checks.choice("he-uniform", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=0.01, mu=0.9, eta_in_buffer=True)
    decay_epochs: Sequence[int] = checks.epochs(60, 90)  # eta x 0.1 from these epochs on

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, F and optimizer state."""
        checks.require(self, task)
        f = ACTIVATIONS[self.activation]
        self.layers = weighted(
            build(with_output(self.network, task), f, self.weight_init, self.bias, generator, device)
        )
        self.F = uniform_(torch.empty(task.inputs, task.classes, device=device), task.inputs, generator)
        self.F.mul_(self.feedback_scale)
        self.f, self.p, self.generator = ACTIVATIONS[self.activation], OUTPUTS[self.output], generator
        self.steps = optimizers.make(self.optimizer, weights(self.layers))

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Divide eta by ten at each of `decay_epochs`."""
        eta = optimizers.make(self.optimizer).eta
        self.steps.eta = eta * 0.1 ** sum(epoch >= start for start in self.decay_epochs)

    def dropout_masks(self, samples: int) -> list[Tensor | None]:
        """Draw one mask of dropped units per hidden layer, N x n_l, and none for the output."""
        if self.keep == 1:
            return [None] * len(self.layers)
        sizes = [(samples, layer.layer.units) for layer in self.layers[:-1]]
        masks = [torch.empty(size, dtype=torch.bool, device=self.F.device) for size in sizes]
        return [*(mask.bernoulli_(1 - self.keep, generator=self.generator) for mask in masks), None]

    def activity(self, layer: WeightedNode, before: Tensor, mask: Tensor | None) -> Tensor:
        """Return H_l after activation and mask; of the output layer, P."""
        A = layer(before)
        if layer is self.layers[-1]:
            return self.p(A)
        H = self.f.apply_(A)
        return H if mask is None else H.masked_fill_(mask, 0).div_(self.keep)

    def standard_pass(self, x: Tensor, masks: Sequence[Tensor | None]) -> list[Tensor]:
        """Return H_1 .. H_L."""
        H = [x]
        for layer, mask in zip(self.layers, masks, strict=True):
            H.append(self.activity(layer, H[-1], mask))
        return H[1:]

    @role(Role.PROJECTION)
    def modulate(self, x: Tensor, E: Tensor) -> Tensor:
        """Return X^err = X + s E F^T."""
        return torch.addmm(x, E, self.F.T, alpha=self.sign)

    @role(Role.SECOND_PASS)
    def modulated_pass(self, layer: WeightedNode, before: Tensor, mask: Tensor | None) -> Tensor:
        """Take the modulated pass one layer on: H_l^err."""
        return self.activity(layer, before, mask)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        masks = self.dropout_masks(len(x))
        H = self.standard_pass(x.flatten(1), masks)
        E = error_(H.pop(), y)  # E = H_L - T
        before = self.modulate(x.flatten(1), E)  # X^err
        for layer in self.layers[:-1]:
            after = self.modulated_pass(layer, before, masks.pop(0))  # H_l^err
            layer.accumulate_(H.pop(0).sub_(after), before, self.steps)  # G_l = (H_l - H_l^err)^T H_{l-1}^err / N
            before = after
        E_err = error_(self.modulated_pass(self.layers[-1], before, None), y)
        self.layers[-1].accumulate_(E_err if self.output_error == "modulated" else E, before, self.steps)  # G_L

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the output of one standard pass, without masks."""
        H = x.flatten(1)
        for layer in self.layers:
            H = self.activity(layer, H, None)
        return Prediction(H)

    def state(self) -> dict[str, Tensor]:
        """Return W1, ... (last the output layer) and F."""
        return {**symbols(self.layers), "F": self.F}
