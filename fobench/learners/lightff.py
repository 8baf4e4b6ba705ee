"""LightFF: a Forward-Forward net answers at the first layer that is sure enough; only the other samples go on.

    multi-pass   o_l(c) = sum_{k<=l} ||Z_k(x, c)||^2, for all labels c at once
    one-pass     o_l = V_l [Z_1; ..; Z_l] of x with 1/C as label, one head per depth
    exit         at the first l with max_c o_l(c) >= tau_l; tau_l = mu_l - sigma_l of o_l(y) over held-out samples
    cost         multi-pass C sum_l p_l m_l, one-pass sum_l p_l (m_l + C sum_{k<=l} n_k); p_l: share that reaches layer l

Aminifar, Huang, Abtahi and Aminifar, LightFF, ECAI 2024 (arXiv 2404.05241), and its released code.

Properties: those of `ff`, which trains the layers; `trunk` are its fields, `goodness: mean` takes the flavour of
`ff-mpezeshki`. Inference keeps the current activity under all C labels (multi-pass), or all activities up to the current
depth (one-pass), of unfinished samples only.

**Departures**

- Whether a sample exits depends on its own scores only. The released code on the Loewe flavour compares the score of the
  true test label with tau_l, which asks whether the answer is already right: `lightff-label-oracle` is that.
- Logits are raw. The released code subtracts each row's maximum, after which a label-free maximum is 0 and always exits.
- Thresholds come from held-out samples (`calibrate`), as in the code on the mpezeshki flavour; the Loewe-based code takes
  all training samples. `mean-k*std` uses all of them in multi-pass, in one-pass those that the depth gets right; one
  threshold for all classes, where the code on the mpezeshki flavour averages those of the classes.
- A layer once computed is never computed again; the released timing recomputes from the input at each depth.
- `score_layers: from-second` leaves the first layer out of o_2, o_3, ...; o_1 is its own goodness, as in the released code.
- Heads read activities that are not normalised, as released, and are trained together with the layers. Before
  `calibrate` every sample goes to the last layer.
- Samples are taken in parts where C N maps would be large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from fobench.contracts import Task
from fobench.learners import checks, contrast, optimizers
from fobench.learners.early_exit import (
    PARAMETERS,
    parameter,
    rule_of,
)
from fobench.learners.exit_heads import ExitHeads
from fobench.learners.ff import FF
from fobench.learners.ff_mpezeshki import FFMpezeshki
from fobench.learners.normalised import NormalisedPass

FLAVOURS = {"sum": FF, "mean": FFMpezeshki}
VALUES = 2**21
"""Values of the largest map, over labels and samples, that are under way together."""


@dataclass
class LightFF:
    """Forward-Forward with early exit, multi-pass or one-pass."""

    network: Any  # published: 4 x 2000; one-pass 3 x 100 (MNIST, MIT-BIH), 3 x 1000 (CIFAR), 4 x 200 (CHB-MIT)
    inference: str = checks.choice("multi-pass", ("multi-pass", "one-pass"))
    goodness: str = checks.choice("sum", FLAVOURS)
    threshold: str = checks.choice("mean-k*std", PARAMETERS)
    parameter: float | None = parameter()  # k or q; published k = 1
    trunk: Mapping[str, Any] = field(default_factory=dict)  # fields of `ff` or `ff-mpezeshki`
    head_optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-2, mu=0.9, decay=3e-3)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        rule_of(self)
        checks.require(self._trunk(), task, lambda task: contrast.fits(self, task))

    def _trunk(self) -> FF | FFMpezeshki:
        kind = checks.lookup("goodness", self.goodness, FLAVOURS)
        own = {"network": self.network}
        return kind(
            **checks.fields_of("trunk", self.trunk, kind, without=("network", "inference", "head_optimizer")), **own
        )

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate the layers and, for one-pass inference, a head per depth, with their optimizer state."""
        checks.require(self, task, self._demand)
        self.ff, self.task = self._trunk(), task
        self.ff.setup(task, generator, device)
        self.layers = self.ff.path.layers
        self.rule = rule_of(self, correct_only=self.inference == "one-pass")
        self.path = NormalisedPass(self.ff.path.nodes, self.ff.path.norm_, keep=True)
        self.heads = ExitHeads(self.layers if self.inference == "one-pass" else [], task, concatenated=True)
        self.heads.allocate("zero", False, self.head_optimizer, generator, device)
