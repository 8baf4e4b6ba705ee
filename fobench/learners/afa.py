"""Adaptive feedback alignment: PEPITA to first order around the standard pass; an oracle to test and to analyse it.

    H_l = f(A_l),  E = H_L - T                                     standard pass
    D_0 = -s E F^T,  D_l = (D_{l-1} W_l^T) o f'(A_l)               H_l - H_l^err, to first order
    G_l = D_l^T H_{l-1} / N,  G_L = E^T H_{L-1} / N                updates

Srinivasan et al., ICLR 2024 (arXiv 2302.05440), written there with s = -1: the feedback of layer 1 is W_1 F, which the
weights adapt, hence the name. For ReLU, D_l is exact as long as no unit changes sign, and `presynaptic: modulated` is
then PEPITA with `output_error: standard`, without dropout.

Properties: weight transport none; locality none; update locking: a layer waits for the standard pass; frozen activity:
all H_l.

**Departures**

- `presynaptic: modulated` puts H_{l-1} - D_{l-1}, H_{l-1}^err to first order, in place of H_{l-1}.
- Layers beyond the paper's dense ones: a maximum pool hands on D from where its maximum was, sums and mean pools are
  linear; kernels are averaged over their positions, as in PEPITA. There are no biases, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_, target
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node, Pool, WeightedNode, weights
from fobench.learners.modulation import Modulated, averaged_over, schedule
from fobench.learners.passes import Maps, kept_for_derivatives, reads_again


@dataclass
class AFA:
    """Adaptive feedback alignment."""

    network: Any  # hidden layers
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    output: str = checks.choice("softmax", OUTPUTS)  # H_L
    sign: int = checks.choice(-1, (-1, 1))  # s
    presynaptic: str = checks.choice("standard", ("standard", "modulated"))
    feedback_scale: float = checks.between(0.05, 0, 1e3)  # F = 0.05 U(+-sqrt(6/n_0))
    weight_init: str = checks.choice("he-uniform", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=0.01, mu=0.9, eta_in_buffer=True)
    decay_epochs: Sequence[int] = checks.epochs(60, 90)  # eta x 0.1 from these epochs on

    # what the expansion has not
    keep = 1.0
    normalisation = "none"
    bias = False

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

    @role(Role.PROJECTION)
    def project(self, E: Tensor) -> Tensor:
        """Return D_0 = -s E F^T, N x the input's shape."""
        return torch.mm(E, self.net.F.T).mul_(-self.net.sign).view(len(E), *self.net.task.input_shape)

    @role(Role.SECOND_PASS)
    def propagate(self, node: Node, D: tuple[Tensor, ...], before: tuple[Tensor, ...], H: Maps) -> Tensor:
        """Return D_l = (D_{l-1} W_l^T) o f'(A_l), from what the layer read and gave in the standard pass."""
        signal = node.taken(D[0], before[0]) if isinstance(node, Pool) and node.largest else node(*D)
        return node.f.derive_(signal, H[node.index]) if node.f.reads_activity else signal

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        net = self.net
        H = net.standard_pass(x, lambda node: None, kept=kept_for_derivatives(net.nodes))
        E = error_(H.pop(net.top), target(net.task, x, y))  # E = H_L - T
        H, D = H.again([node for node in net.nodes if reads_again(node)]), Maps.passing(net.nodes, self.project(E))
        for node in net.nodes:
            below, before = D.before(node), H.before(node) if reads_again(node) else ()
            D[node] = signal = E if node is net.top else self.propagate(node, below, before, H)
            if H.free(node.index):
                H.held.pop(node.index, None)
            if isinstance(node, WeightedNode):
                self.update(node, signal, before[0], below[0])

    def update(self, node: WeightedNode, D: Tensor, before: Tensor, below: Tensor) -> None:
        """Update a layer: G_l = D_l^T H_{l-1} / N, over the positions of a convolution too."""
        H = before - below if self.presynaptic == "modulated" else before
        node.accumulate_(D, H, self.steps, averaged_over(node, D))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the output of one standard pass."""
        return self.net.predict(x)

    def state(self) -> dict[str, Tensor]:
        """Return W1, ... (last the output layer) and F."""
        return self.net.state()
