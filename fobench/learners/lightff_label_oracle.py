"""ORACLE, NOT A METHOD: LightFF whose samples exit by their true test label, as in the released code of LightFF.

    exit at the first l with o_l(y) >= tau_l, y the true label of the test sample
    tau_l = mu_l - sigma_l of o_l(y) over all training samples; one-pass: o_l with its row's maximum subtracted

Released code of LightFF (arXiv 2404.05241) on the Loewe flavour. With the maximum subtracted, o_l(y) is 0 where the answer is
right and negative where it is wrong: the test asks whether the answer is right already, and goes on while it is wrong. Its
one-pass error is a bound from below that nothing without the labels can be expected to reach; in multi-pass the label leaks
in by the height of its goodness.

Properties: those of `lightff`, except that its exits need what is asked for.

**Departures**

- `predict` has no labels, so that it never exits: in a suite this learner has the error, depth and cost of FF, and no
  table can show the oracle's by mistake. The released rule is `predict_given_labels`, and `figures` its error, depth and
  MACs on labelled samples, from a script.
- `calibrate` fits on the samples that it is given; to reproduce the released thresholds, give it all training samples, and
  for multi-pass `trunk: {score_layers: from-second}`.
- Depths are not left out where a sample would exit: what is wanted is the figure, not its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners.early_exit import ExitPoint, ExitRule, accepts, point
from fobench.learners.lightff import FLAVOURS, LightFF


@dataclass
class LabelUsingExitOracle:
    """LightFF that looks at the true labels of what it is asked; for reproducing published figures only."""

    network: Any
    inference: str = checks.choice("multi-pass", ("multi-pass", "one-pass"))
    flavour: str = checks.choice("loewe", FLAVOURS)
    k: float = checks.between(1.0, -1e3, 1e3)  # tau = mu - k sigma
    trunk: Mapping[str, Any] = field(default_factory=dict)  # fields of `ff` or `ff-mpezeshki`
    head_optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-2, mu=0.9, decay=3e-3)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, lambda task: accepts(self._lightff(), task))

    def _lightff(self) -> LightFF:
        return LightFF(self.network, self.inference, self.flavour, trunk=self.trunk, head_optimizer=self.head_optimizer)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate what LightFF has."""
        self.lightff = self._lightff()
        self.lightff.setup(task, generator, device)
        self.rule = ExitRule("mean-k*std", self.k)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Follow LightFF's schedule."""
        self.lightff.begin_epoch(epoch, epochs)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch as LightFF does."""
        self.lightff.train_step(x, y)

    def compared(self, scores: Tensor) -> Tensor:
        """Return what is compared with tau_l: goodness, or logits with each row's maximum subtracted."""
        return scores - scores.amax(1, keepdim=True) if self.inference == "one-pass" else scores

    def calibrate(self, x: Tensor, y: Tensor) -> None:
        """Fit the thresholds on all the given samples."""
        self.rule.fit([self.compared(scores) for scores in self.lightff.scores_by_depth(x)], y)

    def predict(self, x: Tensor) -> Prediction:
        """Score one batch without labels, that is, without any exit."""
        return self.lightff.predict(x)

    @torch.no_grad()
    def predict_given_labels(self, x: Tensor, y: Tensor) -> Prediction:
        """Score one batch by the released rule, which reads the labels `y` of what it is asked."""
        scores = torch.stack(self.lightff.scores_by_depth(x))
        if not self.rule.tau:
            raise checks.LearnerError("the oracle has no thresholds; call calibrate with the training samples first")
        tau = scores.new_tensor(self.rule.tau)[:, None]
        true = torch.stack([self.compared(found).gather(1, y[:, None]).squeeze(1) for found in scores])
        stops = true >= tau
        stops[-1] = True
        depth = stops.int().argmax(0)
        return Prediction(scores[depth, torch.arange(len(x), device=x.device)], depth + 1)

    def figures(self, x: Tensor, y: Tensor) -> ExitPoint:
        """Return the released rule's error, mean depth and mean MACs per sample."""
        macs = torch.tensor(self.lightff.depth_macs(), dtype=torch.float64).cumsum(0)
        return point(self.k, self.predict_given_labels(x, y), y, macs)

    def state(self) -> dict[str, Tensor]:
        """Return what LightFF has."""
        return self.lightff.state()
