"""Light-Bio-FO: every layer of Bio-FO classifies by itself, so that every layer is an exit that costs nothing to train.

    O_l = H_l B_l^T, the local logits that the layer was trained by
    exit at the first l with max_c O_l(c) >= tau_l; tau_l = mu_l - sigma_l of O_l(y) over held-out samples that l gets right
    cost  sum_l p_l (m_l + C n_l); p_l: share that reaches layer l

Bio-FO, MLSys 2025, with the exit rule of LightFF (arXiv 2404.05241); no code of this pair was released.

Properties: those of `biofo`, which trains the layers. Inference keeps the current activity of unfinished samples only.

**Departures**

- Bio-FO as published answers from its last layer alone; the exits and their thresholds are LightFF's. Before `calibrate` every
  sample goes to the last layer.
- B_l is not rescaled, as in Bio-FO: logits of different depths are not comparable, and each depth has its own tau_l.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks
from fobench.learners.biofo import BioFO
from fobench.learners.early_exit import (
    PARAMETERS,
    Exits,
    accepts,
    answer,
    everything,
    keep_,
    parameter,
    rule_of,
    trunk_of,
)
from fobench.learners.passes import Maps


@dataclass
class LightBioFO:
    """Bio-FO with early exit."""

    network: Any  # as in `biofo`
    threshold: str = checks.choice("mean-k*std", PARAMETERS)
    parameter: float | None = parameter(None)  # k or q; LightFF's k = 1
    trunk: Mapping[str, Any] = field(default_factory=dict)  # fields of `biofo`

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        rule_of(self)
        accepts(trunk_of(self, BioFO), task)

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate what Bio-FO has."""
        checks.require(self, task, self._demand)
        self.biofo = trunk_of(self, BioFO)
        self.biofo.setup(task, generator, device)
        self.rule = rule_of(self, correct_only=True)
        self.stages = self.biofo.stages
        exits = sorted(zip(self.biofo.layers, self.biofo.read_outs, strict=True), key=lambda pair: pair[0].end.index)
        self.read_outs = {layer.end.index: read_out for layer, read_out in exits}
        self.macs = [layer.node.layer.macs + read_out.B.numel() for layer, read_out in exits]

    def begin_stage(self, stage: int) -> None:
        """Turn to the next layer."""
        self.biofo.begin_stage(stage)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch."""
        self.biofo.train_step(x, y)

    def exits(self, x: Tensor) -> Exits:
        """Yield the local logits of layer after layer."""
        nodes = self.biofo.nodes[: max(self.read_outs) + 1]
        H = Maps.passing(nodes, x)
        for node in nodes:
            H[node] = self.biofo.activity(node, *H.before(node))
            if node.index in self.read_outs:
                keep_(H, (yield self.read_outs[node.index].logits(H[node.index])))

    @torch.no_grad()
    def scores_by_depth(self, x: Tensor) -> list[Tensor]:
        """Score one batch at every depth, N x C each."""
        return everything([self.exits(x)])

    @torch.no_grad()
    def calibrate(self, x: Tensor, y: Tensor) -> None:
        """Fit the thresholds on held-out samples."""
        self.rule.fit(self.scores_by_depth(x), y)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch, each sample as deep as it needs."""
        return answer(self.exits(x), self.rule, len(self.read_outs))

    def depth_macs(self) -> list[int]:
        """Return the MACs that each depth adds for a sample that reaches it: m_l + C n_l."""
        return self.macs

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ... and the feedback B1, ..."""
        return self.biofo.state()
