"""Scores against counting by hand."""

from __future__ import annotations

import itertools

import pytest
import torch

from fobench.contracts import FobenchError, Prediction, Split, Task
from fobench.harness.scores import score

TASK = Task("classification", (2,), 3)


class Fixed:
    def __init__(self, scores: torch.Tensor) -> None:
        self.scores = scores

    def predict(self, x: torch.Tensor) -> Prediction:
        return Prediction(self.scores[x[:, 0].long()])


def split_for(y: list[int]) -> Split:
    return Split(torch.stack([torch.arange(len(y)).float(), torch.zeros(len(y))], 1), torch.tensor(y))


def test_error_is_the_share_of_wrong_classes_whatever_the_batch() -> None:
    scores = torch.eye(3)[[0, 1, 2, 0, 1]]
    for batch_size in (1, 2, 5, 100):
        reading = score(Fixed(scores), TASK, split_for([0, 1, 2, 1, 1]), batch_size)
        assert (reading.quantity, reading.value, reading.channel) == ("error", pytest.approx(0.2), "test")


def test_auc_counts_pairs() -> None:
    scores, y = torch.tensor([0.1, 0.4, 0.4, 0.8, 0.3]), [0, 0, 1, 1, 1]
    pairs = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(scores[2:].tolist(), scores[:2].tolist())]
    reading = score(Fixed(scores), Task("reconstruction", (2,)), split_for(y), 2)
    assert (reading.quantity, reading.value) == ("auc", pytest.approx(sum(pairs) / 6))


@pytest.mark.parametrize(
    ("scores", "word"), [(torch.zeros(3, 2), "expected (3, 3)"), (torch.full((3, 3), torch.nan), "diverged")]
)
def test_wrong_shapes_and_infinities_are_refused(scores: torch.Tensor, word: str) -> None:
    with pytest.raises(FobenchError) as error:
        score(Fixed(scores), TASK, split_for([0, 1, 2]), 2)
    assert word in str(error.value)
