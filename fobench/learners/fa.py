"""Feedback alignment: backpropagation whose error returns through fixed random matrices in place of the weights.

    H_l = f(A_l),  A_l = H_{l-1} W_l^T + b_l,  P = f_L(A_L)                          forward
    D_L = E = P - T,  D_l = (D_{l+1} B_{l+1}^T) o f'(A_l)                            backward, B_{l+1}: n_l x n_{l+1}
    G_l = D_l^T H_{l-1} / N,  bias: mean of D_l over the batch                       update

Lillicrap, Cownden, Tweed and Akerman, Nature Communications 7 (2016), 13276; settings of Nokland, NeurIPS 2016
(arXiv 1609.01596), as released.

Properties: weight transport none; locality none (the signal needs all later feedback); update locking: layer l
waits for the whole forward pass and for the signals of layers L..l+1; frozen activity: all H_l are kept until the signal
is there.

**Departures**

- B is always drawn independently. The released code copies the initial weights into the feedback (magnitude 0, its
  default), which is an aligned start; its nets with tanh and logistic units then begin at zero above the first layer
  (`weight_init: zero` begins there at zero, too).
- RMSprop is Adam without first moment (`beta1: 0, beta2: 0.99`), whose running mean begins unbiased; the released gradients
  are sums over the batch, which RMSprop but for its epsilon does not see.
- The feedback of a convolution is a kernel of the shape of its weights, that of a local layer likewise, as in the codes
  of DRTP and BioTorch; pools and sums pass the signal on exactly. With B_l = W_l the rule is backpropagation, bit for bit.
- A reconstruction has a linear output and E = output - input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners.activations import ACTIVATIONS, OUTPUTS, error_, output_of, scored, target
from fobench.learners.feedback import FEEDBACK_INITS, drawn, feedback_symbols, layers_above_another
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node, build, symbols, weights, with_output
from fobench.learners.passes import Maps, backward, forward, kept_for_derivatives


@dataclass
class FA:
    """Feedback alignment."""

    network: Any  # hidden layers; published: 1..7 x 240 or 800
    activation: str = checks.choice("tanh", ACTIVATIONS)  # f
    output: str = checks.choice("sigmoid", OUTPUTS)  # f_L; binary cross-entropy, or with softmax cross-entropy
    bias: bool = checks.choice(True, (True, False))  # b_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    feedback_init: str = checks.choice("linear", FEEDBACK_INITS)  # B
    optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-4, beta1=0.0, beta2=0.99)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate hidden layers, output layer, feedback and optimizer state."""
        checks.require(self, task)
        f = ACTIVATIONS[self.activation]
        self.nodes = build(with_output(self.network, task), f, self.weight_init, self.bias, generator, device)
        self.kept = kept_for_derivatives(self.nodes)
        bound = FEEDBACK_INITS[self.feedback_init]
        self.B = {
            node.index: drawn(node.W.shape, bound(node.fan_in, node.fan_out), generator, device)
            for node in layers_above_another(self.nodes)
        }
        self.task, self.p = task, output_of(self.output, task)
        self.steps = optimizers.make(self.optimizer, weights(self.nodes))

    def forward_pass(self, x: Tensor) -> Maps:
        """Return H_0 .. H_{L-1}, as far as the backward pass reads them, and A_L."""
        H = Maps(self.nodes, x, self.kept)
        forward(self.nodes, H)
        return H

    def carry(self, node: Node, D: Tensor, before: Tensor) -> Tensor:
        """Return `D_l B_l^T`, through the feedback of a layer; nodes without weights hand the signal on."""
        return node.adjoint(D, before, self.B.get(node.index))

    def backward_pass(self, D: Tensor, H: Maps) -> None:
        """Carry the signal from D_L down and update each layer on the way; `H` is emptied."""
        backward(self.nodes, D, H, self.carry, self.steps)  # D_{l-1} = (D_l B_l^T) o f'(A_{l-1})

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        H = self.forward_pass(x)
        P = self.p(H.pop(self.nodes[-1]))
        self.backward_pass(error_(P, target(self.task, x, y)), H)  # D_L = E = P - T

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by its output P, or a reconstruction by its squared error."""
        H = Maps(self.nodes, x)
        forward(self.nodes, H)
        return Prediction(scored(self.task, self.p(H.pop(self.nodes[-1])), x))

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... (last the output layer) and the feedback B2, ...: n_{l-1} x n_l, a map's of the shape of W_l."""
        return {**symbols(self.nodes), **feedback_symbols(self.nodes, self.B, transposed=True)}
