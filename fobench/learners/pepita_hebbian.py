"""PEPITA-Hebbian: the difference of two Hebbian products takes the place of PEPITA's product of a difference.

    H_l = f(H_{l-1} W_l^T),  P = H_L,  E = P - T                   standard pass
    X^err = X + s E F^T                                            modulated input
    H_l^err = f(H_{l-1}^err W_l^T)                                 modulated pass: same weights, same dropout masks
    G_l = (H_l^T H_{l-1} - (H_l^err)^T H_{l-1}^err) / N            hidden layers
    G_L = (P^T H_{L-1} - T^T H_{L-1}^err) / N                      output layer

Srinivasan et al., ICLR 2024 (arXiv 2302.05440). For ReLU, G_l is half the gradient of ||H_l||^2 - ||H_l^err||^2: the
goodness of the clean pass falls and that of the modulated pass rises, Forward-Forward without logistic or threshold.

Properties: weight transport none; locality: input and activity of the layer in both passes; update locking: a layer
waits for the standard pass; frozen activity: all H_l of the standard pass.

**Departures**

- The released code computes this update, then falls through into the branch of plain PEPITA, which overwrites it: its
  "mixed" mode is PEPITA. This file has the rule.
- A layer is updated as soon as its modulated activity exists; the result is that of updating all layers at the end.
- Dropout masks are not kept: the modulated pass draws those of the standard pass again.
- The modulated pass runs through the output layer, as published, although nothing reads its output.
- Convolutions are averaged over their positions, as in PEPITA.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_, target
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import WeightedNode, weights
from fobench.learners.modulation import NORMALISATIONS, Modulated, averaged_over, one_hot, schedule
from fobench.learners.passes import Maps


@dataclass
class HebbianPEPITA:
    """PEPITA with Hebbian and anti-Hebbian products."""

    network: Any  # hidden layers; published: 1024
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    output: str = checks.choice("softmax", OUTPUTS)  # P
    sign: int = checks.choice(1, (1, -1))  # s
    keep: float = checks.between(0.9, 0.01, 1)  # 1 - dropout rate, hidden layers
    normalisation: str = checks.choice("none", NORMALISATIONS)  # of hidden activity
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
        self.net = Modulated(self, task, generator, device)
        layers = [*self.net.hidden, self.net.top]
        self.steps = optimizers.make(self.optimizer, weights(layers))
        # an update reads what its layer read and gave in the standard pass
        self.uses = Counter(place for node in layers for place in (node.sources[0], node.index))

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Divide eta by ten at each of `decay_epochs`."""
        schedule(self.steps, self, epoch)

    def update(self, node: WeightedNode, clean: tuple[Tensor, Tensor], modulated: tuple[Tensor, Tensor]) -> None:
        """Update a layer: G_l = (H_l^T H_{l-1} - (H_l^err)^T H_{l-1}^err) / N, from two pairs (H_l, H_{l-1})."""
        node.accumulate_(*clean, self.steps, averaged_over(node, clean[0]), minus=modulated)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        net, T, again, left = self.net, target(self.net.task, x, y), self.net.twin(), self.uses.copy()
        H = net.standard_pass(x, lambda node: net.draw(node, len(x), net.generator), kept=self.uses)
        P, rows = H[net.top.index], one_hot(T, H[net.top.index])
        H_err = net.modulated_maps(x, error_(P.clone(), T))  # X^err
        for node in net.nodes:
            before = H_err.before(node)
            after = net.modulated_pass(node, before, net.draw(node, len(x), again))  # H_l^err
            if isinstance(node, WeightedNode):
                clean = H[node.index], H[node.sources[0]]
                self.update(node, clean, (rows if node is net.top else after, before[0]))
                del clean
                release(H, left, node)
            H_err[node] = after

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the output of one standard pass, without masks."""
        return self.net.predict(x)

    def state(self) -> dict[str, Tensor]:
        """Return W1, ... (last the output layer) and F."""
        return self.net.state()


def release(H: Maps, left: Counter[int], node: WeightedNode) -> None:
    """Let go of what no update after that of `node` reads."""
    for place in (node.sources[0], node.index):
        left[place] -= 1
        if not left[place]:
            del H.held[place]
