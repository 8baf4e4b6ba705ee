"""How well a task was learned; taken outside windows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fobench.contracts import FobenchError, Learner, Provenance, Reading, Split, Task


def score(learner: Learner, task: Task, split: Split, batch_size: int, channel: str = "test") -> Reading:
    """Return the error (share of wrong classes) or the AUC of a learner on a split."""
    scores = torch.cat(list(_scores(learner, split, batch_size)))
    expected = (len(split.x), task.classes) if task.kind == "classification" else (len(split.x),)
    if tuple(scores.shape) != expected:
        raise FobenchError(
            f"predict gave scores of shape {tuple(scores.shape)}, expected {expected}; see contracts.Prediction"
        )
    if not torch.isfinite(scores).all():
        raise FobenchError("predict gave scores that are not finite: the learner has diverged; lower its step size")
    value = _error(scores, split.y) if task.kind == "classification" else _auc(scores, split.y)
    return Reading(task.score, value, Provenance.MEASURED, channel)


def _scores(learner: Learner, split: Split, batch_size: int) -> Iterator[Tensor]:
    for start in range(0, len(split.x), batch_size):
        yield learner.predict(split.x[start : start + batch_size]).scores.detach()


def _error(scores: Tensor, y: Tensor) -> float:
    return float((scores.argmax(dim=1) != y).double().mean())


def _auc(scores: Tensor, abnormal: Tensor) -> float:
    """Return the probability that an abnormal sample scores above a normal one, ties counted half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores.double().cpu().numpy())
    positive = abnormal.bool().cpu().numpy()
    p, n = int(positive.sum()), int((~positive).sum())
    if not p or not n:
        raise FobenchError("the AUC needs normal and abnormal samples in the test split")
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * n))
