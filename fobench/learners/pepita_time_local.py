"""Time-local PEPITA: each pass takes its own half of the update, so that no activity waits for the other pass.

    H_l = f(H_{l-1} W_l^T),  P = H_L                               standard pass
    W+_l = W_l - eta H_l^T H_{l-1} / N,  W+_L = W_L - eta P^T H_{L-1} / N
    E = P - T,  X^err = X + s E F^T                                modulated input
    H_l^err = f(H_{l-1}^err W+_l^T)                                modulated pass, with the new weights
    W_l = W+_l + eta (H_l^err)^T H_{l-1}^err / N,  W_L = W+_L + eta T^T H_{L-1}^err / N

Srinivasan et al., ICLR 2024 (arXiv 2302.05440), and Dellaferrera's talk (Algorithm 2, "PEPITA 2.0").

Properties: weight transport none; locality: the layer's own input and activity, each in its own pass; update locking: a
layer's second half waits for the standard pass; frozen activity: two neighbouring layers.

**Departures**

- The slide has plain descent; with `momentum` each half is a step of its own on the one buffer of its weight, as in the
  released code, which is not the algorithm of the slide.
- The released code draws new dropout masks inside the first pass, so that the two passes see different ones; here the
  second pass draws the same masks again.
- The modulated pass runs through the output layer, as published, although nothing reads its output.
- Each half is large: keep eta ||x||^2 well below ||F e|| / ||x|| (small eta, centred inputs, or a larger F), or the
  first half outweighs what F tells. The default eta is small for that reason; no published one was to be had.
- Convolutions are averaged over their positions, as in PEPITA.
"""

from __future__ import annotations

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
class TimeLocalPEPITA:
    """PEPITA in two half-updates."""

    network: Any  # hidden layers; published: 1024
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    output: str = checks.choice("softmax", OUTPUTS)  # P
    sign: int = checks.choice(1, (1, -1))  # s
    keep: float = checks.between(0.9, 0.01, 1)  # 1 - dropout rate, hidden layers
    normalisation: str = checks.choice("none", NORMALISATIONS)  # of hidden activity
    feedback_scale: float = checks.between(0.05, 0, 1e3)  # F = 0.05 U(+-sqrt(6/n_0))
    bias: bool = checks.choice(False, (True, False))
    weight_init: str = checks.choice("he-uniform", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="sgd", eta=1e-3)
    decay_epochs: Sequence[int] = checks.epochs(60, 90)  # eta x 0.1 from these epochs on

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, F and optimizer state."""
        checks.require(self, task)
        self.net = Modulated(self, task, generator, device)
        self.steps = optimizers.make(self.optimizer, weights(self.net.nodes))

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Divide eta by ten at each of `decay_epochs`."""
        schedule(self.steps, self, epoch)

    def half_step(self, node: WeightedNode, after: Tensor, before: Tensor, sign: int) -> None:
        """Update a layer by half: G_l = +-H_l^T H_{l-1} / N."""
        node.accumulate_(after, before, self.steps, sign * averaged_over(node, after))

    def standard_pass(self, x: Tensor) -> Tensor:
        """Take the standard pass and the first half of every layer's update, and return P."""
        net, H = self.net, Maps(self.net.nodes, x)
        for node in net.nodes:
            before = H.before(node)
            H[node] = net.activity(node, before, net.draw_once(node, len(x), net.generator))
            if isinstance(node, WeightedNode):
                self.half_step(node, H[node.index], before[0], 1)  # W+_l = W_l - eta H_l^T H_{l-1} / N
        return H.pop(net.top)

    def modulated_pass(self, H: Maps, T: Tensor, again: torch.Generator) -> None:
        """Take the modulated pass from X^err in `H`, and the second half of every layer's update."""
        net, samples = self.net, len(T)
        for node in net.nodes:
            before = H.before(node)
            H[node] = net.modulated_pass(node, before, net.draw_once(node, samples, again))
            if isinstance(node, WeightedNode):
                self.half_step(node, T if node is net.top else H[node.index], before[0], -1)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        again, T = self.net.twin(), target(self.net.task, x, y)
        P = self.standard_pass(x)
        rows = one_hot(T, P)
        H_err = self.net.modulated_maps(x, error_(P, T))  # E = P - T
        del P
        self.modulated_pass(H_err, rows, again)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the output of one standard pass, without masks."""
        return self.net.predict(x)

    def state(self) -> dict[str, Tensor]:
        """Return W1, ... (last the output layer) and F."""
        return self.net.state()
