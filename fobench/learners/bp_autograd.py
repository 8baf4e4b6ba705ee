"""Backpropagation as practised: autograd for the gradients, torch's fused optimizer for the step.

    loss = CE(A_L, y) = -mean log softmax(A_L)_y,   G_l = d loss / d W_l                 by reverse-mode differentiation

Paszke et al., NeurIPS 2019 (arXiv 1912.01703); published settings of the Bio-FO baselines (MLSys 2025).

Properties: those of `bp`; in addition all gradients exist at once, between the backward pass and the optimizer's step.

**Departures**

- Gradients are set to None at the end of a step, not at the beginning of the next, so that between steps nothing lives
  but weights and optimizer state; within a step this changes nothing.
- With `output: sigmoid` binary cross-entropy is summed over classes and averaged over the batch, so that E = P - T as
  for softmax; torch's own mean over both would divide by C as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners.activations import LINEAR, OUTPUTS, output_of, scored, target
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import build, symbols, weights, with_output
from fobench.learners.passes import Maps

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "linear": lambda A: A,
}  # fmt: skip


@dataclass
class BPAutograd:
    """Backpropagation with autograd and a fused optimizer of torch."""

    network: Any  # hidden layers; published: k x 2000, k = 1..6
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    output: str = checks.choice("softmax", OUTPUTS)  # P; cross-entropy, or with sigmoid binary cross-entropy
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-4)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        if self.optimizer.get("eta_in_buffer"):
            raise checks.LearnerError("torch has no momentum with eta_in_buffer; leave it out, or take the learner bp")

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate the weights; torch's optimizer allocates its state in the first step."""
        checks.require(self, task, self._demand)
        self.nodes = build(with_output(self.network, task), LINEAR, self.weight_init, self.bias, generator, device)
        self.f, self.task = ACTIVATIONS[self.activation], task
        self.steps = fused(optimizers.make(self.optimizer), [W.requires_grad_() for W in weights(self.nodes)])

    def forward_pass(self, x: Tensor) -> Tensor:
        """Return the output layer's A_L."""
        H = Maps(self.nodes, x)
        for node in self.nodes:
            A = node(*H.before(node))
            H[node] = self.f(A) if node.layer.activated else A
        return H.pop(self.nodes[-1])

    def loss(self, A: Tensor, T: Tensor) -> Tensor:
        """Return the mean loss over the batch; T is N class numbers, or N x C values to reconstruct."""
        if T.is_floating_point():
            return functional.mse_loss(A, T, reduction="sum") / (2 * len(A))
        if self.output == "softmax":
            return functional.cross_entropy(A, T)
        one_hot = functional.one_hot(T, A.shape[1]).to(A.dtype)
        return functional.binary_cross_entropy_with_logits(A, one_hot, reduction="sum") / len(A)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        self.loss(self.forward_pass(x), target(self.task, x, y)).backward()  # type: ignore[no-untyped-call]
        self.steps.step()
        self.steps.zero_grad(set_to_none=True)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by its output P, or a reconstruction by its squared error."""
        return Prediction(scored(self.task, output_of(self.output, self.task)(self.forward_pass(x)), x))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... of the hidden layers and, last, of the output layer."""
        return {name: tensor.detach() for name, tensor in symbols(self.nodes).items()}


def fused(rule: optimizers.Optimizer, leaves: list[Tensor]) -> torch.optim.Optimizer:
    """Return torch's fused optimizer that takes the same steps as `rule`."""
    match rule:
        case optimizers.Adam(eta, beta1, beta2, epsilon, decay):
            return torch.optim.Adam(leaves, eta, (beta1, beta2), epsilon, decay, fused=True)
        case optimizers.Momentum(eta, mu, decay, nesterov):
            return torch.optim.SGD(leaves, eta, mu, weight_decay=decay, nesterov=nesterov and mu > 0, fused=True)
        case _:
            return torch.optim.SGD(leaves, rule.eta, weight_decay=getattr(rule, "decay", 0.0), fused=True)
