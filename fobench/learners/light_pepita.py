"""Light-PEPITA: a net trained by PEPITA answers from a head at the first hidden layer that is sure enough.

    o_l = V_l H_l + c_l   at hidden layers l < L - 1, each of its own layer alone;   the last exit is the net's own output P
    exit at the first l with max_c o_l(c) >= tau_l; tau_l = mu_l - sigma_l of o_l(y) over held-out samples that l gets right
    cost  sum_l p_l (m_l + C n_l), the last term (m_{L-1} + m_L); p_l: share that reaches layer l

Released code of LightFF (arXiv 2404.05241), "Lightweight-PT"; published with three hidden layers of 1024.

Properties: those of `pepita`, which trains the net (stage 0); the heads are trained on its activities (stage 1) and change
nothing in it. Inference keeps the current activity of unfinished samples only.

**Departures**

- The heads are trained together, in one stage of as many epochs as the net's; no signal passes between them, so that this is
  training them one after the other. They see activities without dropout.
- The threshold of a depth is one for all classes; the released code averages those of the classes.
- Without any exit the answer is PEPITA's, to the bit. Before `calibrate` every sample goes to the output.
- Biases of heads begin at 0; the released ones as those of nn.Linear.
- Inputs are those of the data set; the released CHB-MIT script squares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners.early_exit import PARAMETERS, accepts, answer, everything, parameter, rule_of, trunk_of
from fobench.learners.exit_heads import EarlyNet, several_hidden
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.layers import Node
from fobench.learners.pepita import PEPITA


@dataclass
class LightPEPITA:
    """PEPITA with early exit."""

    network: Any  # published: 3 x 1024
    threshold: str = checks.choice("mean-k*std", PARAMETERS)
    parameter: float | None = parameter(None)  # k or q; published k = 1
    trunk: Mapping[str, Any] = field(default_factory=dict)  # fields of `pepita`; published eta 0.001, CIFAR 0.01
    head_init: str = checks.choice("xavier-uniform", WEIGHT_INITS)
    head_optimizer: Mapping[str, Any] = optimizers.default(name="adam", eta=1e-3)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        rule_of(self)
        several_hidden(self, task)
        trunk = trunk_of(self, PEPITA)
        if trunk.normalisation == "batch":
            raise checks.LearnerError(
                "normalisation: batch makes a sample's activity depend on which others go on; take per-sample or none"
            )
        accepts(trunk, task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate the net and a head at each hidden layer but the last, with their optimizer state."""
        checks.require(self, task, self._demand)
        self.pepita = trunk_of(self, PEPITA)
        self.pepita.setup(task, generator, device)
        self.rule = rule_of(self, correct_only=True)
        self.net = EarlyNet(self.pepita.net.nodes, self.activity, task.classes, concatenated=False)
        self.net.heads.allocate(self.head_init, True, self.head_optimizer, generator, device)
        self.stages = 2
        self.begin_stage(0)

    def begin_stage(self, stage: int) -> None:
        """Turn to the net (stage 0), then to the heads (stage 1)."""
        self.stage = stage

    def activity(self, node: Node, before: tuple[Tensor, ...]) -> Tensor:
        """Return H_l without mask; of the output layer, P."""
        return self.pepita.net.activity(node, before, None)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Follow PEPITA's schedule; the heads have none."""
        if self.stage == 0:
            self.pepita.begin_epoch(epoch, epochs)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        if self.stage == 0:
            self.pepita.train_step(x, y)
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
        """Return W1, ..., last the output layer, F, and the heads V1, c1, ..."""
        return {**self.pepita.state(), **self.net.heads.state()}
