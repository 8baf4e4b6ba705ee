"""Early exit: a sample is answered at the first depth where its scores are clear enough, and only unfinished samples go on.

    confidence        max_c o_l(c), the largest score at depth l; for `margin` the largest minus the second largest
    exit at depth l   confidence >= tau_l; the last depth always answers
    mean-k*std        tau_l = mu_l - k sigma_l of the true label's score o_l(y) over held-out samples
    quantile          tau_l = the q-quantile of the same
    margin            tau_l = the q-quantile of the margins of the held-out samples that depth l gets wrong
    adaptive          tau_l = the q-quantile of the last 1,000 confidences seen at depth l, held-out ones to begin with: a
                      running quantile, so that of the samples that reach l a share q goes on

Labels are used on held-out samples only, in `fit`; whether a sample exits depends on its own scores. Scores are raw (goodness or
logits): with each row's maximum subtracted, as the released code has it for logits, the largest would always be 0.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from fobench.contracts import Prediction, Selective, Task
from fobench.learners import checks
from fobench.learners.passes import Maps

PARAMETERS = {"mean-k*std": 1.0, "quantile": 0.16, "margin": 0.9, "adaptive": 0.5}
"""The rules with their parameter, k or q, unless given: k = 1 is published, and 0.16 its quantile of a normal variable."""

RECENT = 1000
"""Confidences that a running quantile is taken over."""

Exits = Generator[Tensor, Tensor | None, None]
"""An incremental pass: yields scores of samples under way, n x C, depth by depth; is sent the rows that go on, or None: all."""


def parameter(default: float | None) -> Any:
    """Return a dataclass field for k or q; None is the rule's own."""

    def check(name: str, value: Any) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise checks.LearnerError(f"{name} is {value!r}; expected a number, or none for the rule's own")

    return field(default=default, metadata={"check": check})


Kind = TypeVar("Kind")


def accepts(trunk: Selective, task: Task) -> None:
    """Raise for what a trunk refuses: a demand for `require`."""
    if reason := trunk.refuses(task):
        raise checks.LearnerError(reason)


def trunk_of(learner: Any, kind: Callable[..., Kind], own: Sequence[str] = ("network",)) -> Kind:
    """Return the learner that is let out of early, from the fields `network` and `trunk`; `own` cannot stand in `trunk`."""
    if not isinstance(learner.trunk, Mapping):
        raise checks.LearnerError(f"trunk is {learner.trunk!r}; expected fields of the trunk, such as {{bias: true}}")
    names = [item.name for item in fields(kind) if item.name not in own]  # type: ignore[arg-type]
    for key in learner.trunk:
        checks.chosen("field of trunk", key, names)
    return kind(network=learner.network, **learner.trunk)


@dataclass
class ExitRule:
    """The thresholds tau_1, tau_2, ...; without any, before they are fitted, no sample exits."""

    name: str
    parameter: float
    correct_only: bool = False  # mean-k*std, quantile: of the held-out samples that the depth gets right, all if none
    tau: list[float] = field(default_factory=list)
    recent: list[Tensor] = field(default_factory=list)  # adaptive: the last confidences at each depth

    def fit(self, scores: Sequence[Tensor], y: Tensor) -> None:
        """Set the thresholds from the scores of held-out samples, N x C per depth, and their labels."""
        self.tau, self.recent = [], []
        for found in scores:
            right = found.argmax(1) == y
            true = found.gather(1, y[:, None]).squeeze(1)
            if self.name == "margin":
                values = self.confidence(found)[~right]
            elif self.name == "adaptive":
                values = self.confidence(found)[-RECENT:]
                self.recent.append(values)
            else:
                values = true[right] if self.correct_only and right.any() else true
            self.tau.append(self._threshold(values))

    def _threshold(self, values: Tensor) -> float:
        if not len(values):
            return 0.0  # nothing is wrong at this depth: every margin will do
        if self.name == "mean-k*std":
            return float(values.mean() - self.parameter * values.std(correction=0))
        return float(values.kthvalue(1 + round(self.parameter * (len(values) - 1))).values)

    def confidence(self, scores: Tensor) -> Tensor:
        """Return how clear each row of scores is."""
        if self.name == "margin":
            top = scores.topk(2, dim=1).values
            return top[:, 0] - top[:, 1]
        return scores.amax(1)

    def stops(self, depth: int, scores: Tensor) -> Tensor:
        """Say which rows exit at a depth, counted from 0; an adaptive threshold then moves."""
        if not self.tau:
            return torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        confidence = self.confidence(scores)
        stops = confidence >= self.tau[depth]
        if self.name == "adaptive":
            self.recent[depth] = torch.cat([self.recent[depth], confidence])[-RECENT:]
            self.tau[depth] = self._threshold(self.recent[depth])
        return stops


def rule_of(learner: Any, correct_only: bool = False) -> ExitRule:
    """Return the exit rule of a learner's fields `threshold` and `parameter`; LearnerError for one out of range."""
    value = PARAMETERS[learner.threshold] if learner.parameter is None else learner.parameter
    if learner.threshold != "mean-k*std" and not 0 <= value <= 1:
        raise checks.LearnerError(f"parameter of {learner.threshold} is {value!r}; expected a share from 0 to 1")
    return ExitRule(learner.threshold, float(value), correct_only)


def answer(exits: Exits, rule: ExitRule, depths: int) -> Prediction:
    """Run a pass as deep as each sample needs; scores are those of the depth where it exited, `depth` counts from 1."""
    rows: Tensor | None = None
    for depth in range(depths):
        scores = exits.send(rows)
        if depth == 0:
            answers = scores.new_empty(scores.shape)
            used = torch.empty(len(scores), dtype=torch.int64, device=scores.device)
            alive = torch.arange(len(scores), device=scores.device)
        answers[alive], used[alive] = scores, depth + 1
        if depth == depths - 1:
            break
        rows = (~rule.stops(depth, scores)).nonzero().squeeze(1)
        if not len(rows):
            break
        if len(rows) == len(alive):
            rows = None
        else:
            alive = alive[rows]
    exits.close()
    return Prediction(answers, used)


def joined(parts: Sequence[Prediction]) -> Prediction:
    """Return the prediction for all samples from those for parts of them."""
    if len(parts) == 1:
        return parts[0]
    depths = [part.depth for part in parts if part.depth is not None]
    return Prediction(torch.cat([part.scores for part in parts]), torch.cat(depths))


def everything(parts: Iterable[Exits]) -> list[Tensor]:
    """Run passes over parts of the samples to the end, and return the scores of all samples at each depth."""
    found = [list(exits) for exits in parts]
    return [torch.cat(depth) for depth in zip(*found, strict=True)]


def keep_(H: Maps, rows: Tensor | None, copies: int = 1) -> None:
    """Let only some samples go on: gather their rows of everything alive, `copies` (labels) times N rows each."""
    if rows is not None:
        for index, Z in H.held.items():
            H.held[index] = Z.view(copies, -1, *Z.shape[1:]).index_select(1, rows).flatten(0, 1)


class EarlyExit(Protocol):
    """What a sweep needs of a learner with early exit."""

    rule: ExitRule

    def scores_by_depth(self, x: Tensor) -> list[Tensor]:
        """Score one batch at every depth, N x C each."""

    def depth_macs(self) -> list[int]:
        """Return the MACs that each depth adds for a sample that reaches it."""


@dataclass(frozen=True)
class ExitPoint:
    """What one parameter of an exit rule gives: error (share), mean depth (layers) and mean inference MACs per sample."""

    parameter: float
    error: float
    depth: float
    macs: float


def sweep(
    learner: EarlyExit, held_out: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], parameters: Sequence[float]
) -> list[ExitPoint]:
    """Return error against MACs over the rule's parameter, from one full pass over either set; the learner is not changed."""
    fitted_on, asked = learner.scores_by_depth(held_out[0]), learner.scores_by_depth(test[0])
    macs = torch.tensor(learner.depth_macs(), dtype=torch.float64).cumsum(0)
    points = []
    for value in parameters:
        rule = ExitRule(learner.rule.name, value, learner.rule.correct_only)
        rule.fit(fitted_on, held_out[1])
        found = answer(replayed(asked), rule, len(asked))
        points.append(point(value, found, test[1], macs))
    return points


def point(parameter: float, found: Prediction, y: Tensor, macs: Tensor) -> ExitPoint:
    """Return error, mean depth and mean MACs of a prediction; `macs` are those up to each depth."""
    assert found.depth is not None
    wrong = found.scores.argmax(1) != y
    return ExitPoint(
        parameter,
        float(wrong.double().mean()),
        float(found.depth.double().mean()),
        float(macs[found.depth.cpu() - 1].mean()),
    )


def replayed(scores: Sequence[Tensor]) -> Exits:
    """Go through scores that are there already, as if they were computed depth by depth."""
    alive = torch.arange(len(scores[0]), device=scores[0].device)
    for found in scores:
        rows = yield found[alive]
        if rows is not None:
            alive = alive[rows]
