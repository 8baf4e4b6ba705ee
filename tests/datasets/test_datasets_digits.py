from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from fobench.contracts import Origin
from fobench.datasets.digits import Digits

NOWHERE = Path("/nonexistent")


def rows(split):
    return {(row.numpy().tobytes(), int(label)) for row, label in zip(split.x, split.y, strict=True)}


def test_both_splits_together_are_scikit_learns_digits():
    splits = Digits().load(NOWHERE)
    images, labels = load_digits(return_X_y=True)
    expected = {
        ((image / 16).astype(np.float32).tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    }
    assert rows(splits.train) | rows(splits.test) == expected
    assert len(splits.train.y) + len(splits.test.y) == 1797


def test_a_fifth_of_every_class_is_for_testing():
    splits = Digits().load(NOWHERE)
    train, test = splits.train.y.bincount(), splits.test.y.bincount()
    assert ((test - 0.2 * (train + test)).abs() <= 0.5).all()
    assert (splits.train.x.shape[1:], splits.train.x.max().item()) == (Digits().task.input_shape, 1)


def test_is_always_there_and_always_real():
    assert Digits().missing(NOWHERE) is None
    assert Digits().load(NOWHERE).origin == Origin.REAL


def test_seed_decides_the_split():
    first, again, other = (Digits(seed=seed).load(NOWHERE).test.y.tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_surrogate_has_the_same_counts():
    real, made = Digits().load(NOWHERE), Digits().surrogate()
    assert made.origin == Origin.SURROGATE
    assert made.train.y.bincount().tolist() == real.train.y.bincount().tolist()
    assert made.test.x.shape == real.test.x.shape
