"""CaFo: blocks of random convolutions that are never trained, each with a linear classifier of its own.

    H_l = pool(f(H_{l-1} * F_l + c_l)),  Phi_l = normalised H_l, which the next block reads     fixed
    P_l = softmax(Phi_l W_l)                                                                    W_l: d_l x C, trained
    CE:   E_l = P_l - T,  G_l = Phi_l^T E_l / N
    MSE:  W_l = (lambda I + sum Phi_l^T Phi_l)^-1 sum Phi_l^T T         over all samples so far, in closed form:
          K = R_l Phi_l^T,  Q = (I + Phi_l K)^-1,  W_l <- W_l + K Q (T - Phi_l W_l),  R_l <- R_l - K Q K^T
    prediction: argmax sum_l P_l

Zhao et al., arXiv 2303.09728, and its released code. Published: `conv` of 32, 128 and 512 channels, 3x3, padding 1, each
with ReLU and 2x2 pool; W_l from all ones (CE) with gradient descent at 0.01, or Adam, or MSE.

Properties: weight transport none; locality: each classifier sees its block only; update locking none; frozen activity: one
block.

**Departures**

- The released code normalises each block by the statistics of the whole split, training and test by their own. Here each
  sample's map has zero mean and unit variance (`normalise: sample`, epsilon 1e-4), or is left as it is (`none`).
- Blocks are computed anew for each batch and nothing of them is kept, where the released code computes the features of all
  samples once and descends on the full batch.
- MSE is solved recursively (Woodbury), so that W_l is the closed form after every step; the released code collects all
  features, inverts once, and falls back on a pseudo-inverse where lambda = 0 is singular. `ridge` is lambda. It costs
  2 d^2 N + 2 d C N + d N^2 multiply-accumulates a batch and one N x N solve, twice the products of collecting, but no
  d x d solve, and holds d^2 values a block. R_l and the solve are in double precision. Several epochs count each sample as
  often.
- The losses CE and MSE are here; sparsemax is not. The variant with blocks trained by DFA is not in the released code.
- With `optimizer: adam` W_l begins at ones, too; the released code then begins as nn.Linear does, with epsilon 1e-4.
- The released options for step, blocks and lambda are parsed and ignored; the ones here are obeyed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fobench import networks
from fobench.contracts import Prediction, Role, Task, role
from fobench.learners import checks, optimizers
from fobench.learners import stages as local
from fobench.learners.activations import ACTIVATIONS, error_
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node, build, weighted
from fobench.learners.normalisation import standardise_
from fobench.learners.stages import in_memory, in_order_of, in_order_of_units

EPSILON = 1e-4


@dataclass
class CaFo:
    """Cascaded random features with a linear classifier each."""

    network: Any  # published: three blocks of conv and pool
    loss: str = checks.choice("ce", ("ce", "mse"))
    normalise: str = checks.choice("sample", ("sample", "none"))
    ridge: float = checks.between(1.0, 1e-6, 1e9)  # lambda, of MSE
    activation: str = checks.choice("relu", ACTIVATIONS)  # f
    bias: bool = checks.choice(True, (True, False))  # c_l
    weight_init: str = checks.choice("linear", WEIGHT_INITS)
    optimizer: Mapping[str, Any] = optimizers.default(name="sgd", eta=0.01)  # of CE

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        if not any(layer.has_weights for layer in networks.layers(self.network, task)):
            raise checks.LearnerError("CaFo reads blocks of random layers, and its network has none; give it some")

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Draw the blocks; allocate the classifiers and what their updates remember."""
        checks.require(self, task, self._demand)
        f, layers = ACTIVATIONS[self.activation], networks.layers(self.network, task)
        self.nodes = build(layers, f, self.weight_init, self.bias, generator, device)
        self.layers = local.stages(self.nodes)
        sizes = [stage.units for stage in self.layers]
        if self.loss == "mse":
            self.W = [torch.zeros(d, task.classes, device=device) for d in sizes]
            self.R = [torch.eye(d, device=device, dtype=torch.float64).div_(self.ridge) for d in sizes]
        else:
            self.W = [torch.ones(d, task.classes, device=device) for d in sizes]
            self.steps = optimizers.make(self.optimizer, self.W)

    def features(self, number: int, before: Tensor) -> Tensor:
        """Return Phi_l as a map."""
        stage = self.layers[number]
        Phi = stage.ascend(stage.node.activity(before))[-1]
        return standardise_(Phi, EPSILON) if self.normalise == "sample" else Phi

    @role(Role.HEAD)
    def descend(self, W: Tensor, Phi: Tensor, y: Tensor) -> None:
        """Take one step of a classifier down its cross-entropy."""
        E = error_(self.classify(W, Phi), y)  # E_l = P_l - T
        if Phi.dim() == 2:
            self.steps.correlate_(W, Phi, E, len(Phi))  # G_l = Phi_l^T E_l / N
        else:
            G = torch.mm(E.T, in_memory(Phi))
            self.steps.step_(W, in_order_of_units(Phi, G).T, len(Phi))

    @role(Role.HEAD)
    def solve(self, W: Tensor, R: Tensor, Phi: Tensor, y: Tensor) -> None:
        """Take one batch into a classifier's least squares."""
        K = torch.mm(R, Phi.T)
        S = torch.addmm(torch.eye(len(Phi), device=Phi.device, dtype=Phi.dtype), Phi, K)
        QK = torch.linalg.solve(S, K.T)  # Q K^T
        T = functional.one_hot(y, W.shape[1]).to(R.dtype)
        W.add_(torch.mm(QK.T, T.addmm_(Phi, W.to(R.dtype), alpha=-1)))  # W_l <- W_l + K Q (T - Phi_l W_l)
        R.addmm_(K, QK, alpha=-1)  # R_l <- R_l - K Q K^T

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch, block by block."""

        def step(number: int, before: Tensor) -> Tensor:
            Phi = self.features(number, before)
            if self.loss == "mse":
                self.solve(self.W[number], self.R[number], Phi.flatten(1).double(), y)
            else:
                self.descend(self.W[number], Phi, y)
            return Phi

        local.sweep(self.layers, x, step, Node.activity)

    @role(Role.HEAD)
    def classify(self, W: Tensor, Phi: Tensor) -> Tensor:
        """Return P_l, N x C."""
        return torch.softmax(torch.mm(in_memory(Phi), in_order_of(Phi, W.T).T), 1)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the sum of all blocks' P_l."""
        scores = x.new_zeros(len(x), self.W[0].shape[1])

        def step(number: int, before: Tensor) -> Tensor:
            Phi = self.features(number, before)
            scores.add_(self.classify(self.W[number], Phi))
            return Phi

        local.sweep(self.layers, x, step, Node.activity)
        return Prediction(scores)

    def state(self) -> dict[str, Tensor]:
        """Return the classifiers W1, ... and the fixed blocks F1, ... with their biases Fb1, ..."""
        nodes = weighted(self.nodes)
        biases = {f"Fb{number}": node.b for number, node in enumerate(nodes, 1) if node.b is not None}
        return {
            **{f"W{number}": W for number, W in enumerate(self.W, 1)},
            **{f"F{number}": node.W for number, node in enumerate(nodes, 1)},
            **biases,
        }
