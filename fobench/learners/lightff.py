"""LightFF: a Forward-Forward net answers at the first layer that is sure enough; only the other samples go on.

    multi-pass   o_l(c) = sum_{k<=l} ||Z_k(x, c)||^2, for all labels c at once
    one-pass     o_l = V_l [Z_1; ..; Z_l] of x with 1/C as label, one head per depth
    exit         at the first l with max_c o_l(c) >= tau_l; tau_l = mu_l - sigma_l of o_l(y) over held-out samples
    cost         multi-pass C sum_l p_l m_l, one-pass sum_l p_l (m_l + C sum_{k<=l} n_k); p_l: share that reaches layer l

Aminifar, Huang, Abtahi and Aminifar, LightFF, ECAI 2024 (arXiv 2404.05241), and its released code.

Properties: those of `ff`, or `ff-mpezeshki`, which trains the layers; `trunk` are its fields. Inference keeps the current
activity under all C labels (multi-pass), or all activities up to the current
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
- Heads read activities that are not normalised, begin at zero without bias and are trained together with the layers, as in
  the code on the Loewe flavour. That on the mpezeshki flavour trains them after the layers, by Adam at 0.03 from
  Xavier-uniform weights, with biases, and its neutral label is 0.1 whatever C is.
- Before `calibrate` every sample goes to the last layer.
- Samples are taken in parts where C N maps would be large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Prediction, Task
from fobench.learners import checks, optimizers
from fobench.learners.early_exit import (
    PARAMETERS,
    Exits,
    accepts,
    answer,
    everything,
    joined,
    keep_,
    parameter,
    rule_of,
    trunk_of,
)
from fobench.learners.exit_heads import Heads
from fobench.learners.ff import FF, held_then_lowered
from fobench.learners.ff_mpezeshki import FFMpezeshki
from fobench.learners.layers import Node, WeightedNode
from fobench.learners.normalised import NormalisedPass

FLAVOURS: dict[str, Any] = {"loewe": FF, "mpezeshki": FFMpezeshki}
VALUES = 2**21
"""Values of the largest map, over labels and samples, that are under way together."""


@dataclass
class LightFF:
    """Forward-Forward with early exit, multi-pass or one-pass."""

    # published: 4 x 2000; one-pass on the mpezeshki flavour 3 x 100 (MNIST, MIT-BIH), 3 x 1000 (CIFAR), 4 x 200 (CHB-MIT)
    network: Any
    inference: str = checks.choice("multi-pass", ("multi-pass", "one-pass"))
    flavour: str = checks.choice("loewe", FLAVOURS)
    threshold: str = checks.choice("mean-k*std", PARAMETERS)
    parameter: float | None = parameter(None)  # k or q; published k = 1
    trunk: Mapping[str, Any] = field(default_factory=dict)  # fields of `ff` or `ff-mpezeshki`
    head_optimizer: Mapping[str, Any] = optimizers.default(name="momentum", eta=1e-2, mu=0.9, decay=3e-3)

    def refuses(self, task: Task) -> str | None:
        """Say why this learner cannot be set up for `task`, or None if it can."""
        return checks.refusal(self, task, self._demand)

    def _demand(self, task: Task) -> None:
        checks.classification(self, task)
        rule_of(self)
        accepts(self._trunk(), task)

    def _trunk(self) -> FF | FFMpezeshki:
        kind = checks.lookup("flavour", self.flavour, FLAVOURS)
        trunk: FF | FFMpezeshki = trunk_of(self, kind, own=("network", "inference", "head_optimizer"))
        return trunk

    def setup(self, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate the layers and, for one-pass inference, a head per depth, with their optimizer state."""
        checks.require(self, task, self._demand)
        self.ff = self._trunk()
        self.ff.setup(task, generator, device)
        self.layers = self.ff.path.layers
        self.rule = rule_of(self, correct_only=self.inference == "one-pass")
        self.path = NormalisedPass(self.ff.path.nodes, self.ff.path.norm_, keep=True)
        self.heads = Heads(self.layers if self.inference == "one-pass" else [], task.classes, concatenated=True)
        self.heads.allocate("zero", False, self.head_optimizer, generator, device)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Follow the schedule of the layers, where their flavour has one; the heads' is the same."""
        if isinstance(self.ff, FF):
            self.ff.begin_epoch(epoch, epochs)
            self.heads.steps.eta = optimizers.make(self.head_optimizer).eta * held_then_lowered(epoch, epochs)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        """Learn from one batch: the heads on the neutral sample, the layers on positive and negative rows."""
        if self.heads.blocks:
            H = self.path.begin(self.ff.rows.neutral(x), own=True)
            for depth, _ in enumerate(self.path.take(H, Node.activity)):
                self.heads.step(depth, self.heads.seen(depth, self.layers, H), y)
        self.ff.train_step(x, y)

    def multi_pass(self, x: Tensor) -> Exits:
        """Yield the goodness so far under every label, N x C."""
        path, C = self.ff.path, self.ff.rows.task.classes
        H = path.begin(self.ff.rows.overlay(x, torch.arange(C, device=x.device).repeat_interleave(len(x))), own=True)
        here: list[Tensor] = []
        total = torch.zeros((), device=x.device)

        def activity(node: WeightedNode, before: Tensor) -> Tensor:
            Z = node.activity(before)
            here.append(self.ff.goodness(Z).view(C, -1).T)
            return Z

        for number, _ in enumerate(path.take(H, activity)):
            total = here.pop() if number <= self.ff.first else total + here.pop()
            rows = yield total
            if rows is not None:
                total = total[rows]
                keep_(H, rows, C)

    def one_pass(self, x: Tensor) -> Exits:
        """Yield the logits of each depth's head on the neutral sample, N x C."""
        H = self.path.begin(self.ff.rows.neutral(x), own=True)
        for depth, _ in enumerate(self.path.take(H, Node.activity)):
            keep_(H, (yield self.heads.logits(depth, self.heads.seen(depth, self.layers, H))))

    def parts(self, x: Tensor) -> Iterator[Exits]:
        """Begin a pass over the samples, in parts whose maps stay small."""
        copies = 1 if self.heads.blocks else self.ff.rows.task.classes
        size = max(1, VALUES // (copies * max(node.layer.units for node in self.layers)))
        for part in torch.split(x, size):
            yield self.one_pass(part) if self.heads.blocks else self.multi_pass(part)

    @torch.no_grad()
    def scores_by_depth(self, x: Tensor) -> list[Tensor]:
        """Score one batch at every depth, N x C each."""
        return everything(self.parts(x))

    @torch.no_grad()
    def calibrate(self, x: Tensor, y: Tensor) -> None:
        """Fit the thresholds on held-out samples."""
        self.rule.fit(self.scores_by_depth(x), y)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        """Score one batch, each sample as deep as it needs."""
        return joined([answer(exits, self.rule, len(self.layers)) for exits in self.parts(x)])

    def layer_goodness(self, x: Tensor, labels: Tensor) -> list[tuple[Tensor, float]]:
        """Return goodness and threshold of each layer, as its flavour of Forward-Forward has them."""
        return self.ff.layer_goodness(x, labels)

    def depth_macs(self) -> list[int]:
        """Return the MACs that each depth adds for a sample that reaches it: C m_l, or m_l and its head's."""
        m = [node.layer.macs for node in self.layers]
        if not self.heads.blocks:
            return [self.ff.rows.task.classes * count for count in m]
        return [sum(pair) for pair in zip(m, (head.macs for head in self.heads.layers), strict=True)]

    def state(self) -> dict[str, Tensor]:
        """Return W1, b1, ..., the running means r1, ... and the heads V1, ..., by depth."""
        return {**self.ff.state(), **self.heads.state()}
