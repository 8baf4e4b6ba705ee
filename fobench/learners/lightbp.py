"""LightBP: a net trained by backpropagation answers from a head at the first hidden layer that is sure enough.

    o_l = V_l [H_1; ..; H_l] + c_l   at hidden layers l < L - 1;   the last exit is the net's own output P
    exit at the first l with max_c o_l(c) >= tau_l; tau_l = mu_l - sigma_l of o_l(y) over held-out samples that l gets right
    cost  sum_l p_l (m_l + C sum_{k<=l} n_k), the last term (m_{L-1} + m_L); p_l: share that reaches layer l

Baseline of LightFF (arXiv 2404.05241) and its released code.

Properties: those of `bp`, which trains the net (stage 0); the heads are trained on its activities (stage 1) and change
nothing in it. Inference keeps all activities up to the current depth, of unfinished samples only.

**Departures**

- The trunk is the trained net. In the released code each layer computes with an inner linear module of its own, while
  the trained weights are copied into the outer one that nothing uses: its heads sit on random features.
- Thresholds come from samples that neither trunk nor heads were trained on; the released "validation" split is part of the
  array that the heads are trained on.
- The loss is the cross-entropy of the logits; the released code applies it to the output of a softmax, for trunk and heads.
- The released code has a head at the last hidden layer, too, and answers by it where nothing exits; the output layer that
  was trained with the trunk is not used. Here that output is the last exit, and the head is left out.
- The threshold of a depth is one for all classes; the released code averages those of the classes, of MIT-BIH's five over
  ten, which halves mu and sigma.
- Inputs of layers are not scaled to unit length: the trunk is `bp` as it stands.
- All heads are trained together, in one stage of as many epochs as the trunk's; no signal passes between them, so that
  this is training them one after the other.
- Without any exit the answer is the trunk's, to the bit. Before `calibrate` every sample goes to the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners.bp import BP
from fobench.learners.early_exit import PARAMETERS, accepts, answer, everything, parameter, rule_of, trunk_of
from fobench.learners.exit_heads import EarlyNet, several_hidden
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node


@dataclass
class LightBP:
    """Backpropagation with early exit."""

    network: Any  # published: 6 x 2000, CHB-MIT 4 x 2000
    threshold: str = checks.choice("mean-k*std", PARAMETERS)
    parameter: float | None = parameter(None)  # k or q; published k = 1
    trunk: Mapping[str, Any] = field(default_factory=dict)  # fields of `bp`
    head_init: str = checks.choice("linear", WEIGHT_INITS)
    head_optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=0.03)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        rule_of(self)
        several_hidden(self, task)
        accepts(trunk_of(self, BP), task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate the net and a head at each hidden layer but the last, with their optimizer state."""
        checks.require(self, task, self._demand)
        self.bp = trunk_of(self, BP)
        self.bp.setup(task, generator, device)
        self.rule = rule_of(self, correct_only=True)
        self.net = EarlyNet(self.bp.nodes, self.activity, task.classes, concatenated=True)
        self.net.heads.allocate(self.head_init, True, self.head_optimizer, generator, device)
        self.stages = 2
        self.begin_stage(0)

    def begin_stage(self, stage: int) -> None:
        """Turn to the net (stage 0), then to the heads (stage 1)."""
        self.stage = stage

    def activity(self, node: Node, before: tuple[Tensor, ...]) -> Tensor:
        """Return H_l; of the output layer, P."""
        H = node.activity(*before)
        return self.bp.p(H) if node is self.bp.nodes[-1] else H

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        if self.stage == 0:
            self.bp.train_step(x, y)
        else:
            self.net.train_heads(x, y)

    @torch.no_grad()
    def scores_by_depth(self, x: Tensor) -> list[Tensor]:
        """Score one batch at every depth, N x C each."""
        return everything([self.net.exits(x)])

    @torch.no_grad()
    def calibrate(self, x: Tensor, y: Tensor) -> None:
        """Fit the thresholds on held-out samples."""
        self.rule.fit(self.scores_by_depth(x), y)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch, each sample as deep as it needs."""
        return answer(self.net.exits(x), self.rule, self.net.depths)

    def depth_macs(self) -> list[int]:
        """Return the MACs that each depth adds for a sample that reaches it."""
        return self.net.depth_macs()

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ..., last the output layer, and the heads V1, c1, ..."""
        return {**self.bp.state(), **self.net.heads.state()}
