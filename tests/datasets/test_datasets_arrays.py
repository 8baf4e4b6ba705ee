import hashlib

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.datasets.arrays import as_split, sha256, stratified


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.floats(0, 1), st.integers(0, 9))
def test_stratified_parts_are_disjoint_complete_and_proportional(labels, fraction, seed):
    y = np.array(labels)
    rest, part = stratified(y, fraction, np.random.default_rng(seed))
    assert sorted([*rest, *part]) == list(range(len(y)))
    for label in range(5):
        assert abs((y[part] == label).sum() - fraction * (y == label).sum()) <= 0.5


def test_stratified_depends_on_the_seed_and_on_nothing_else():
    y = np.arange(100) % 3
    first, again, other = (stratified(y, 0.3, np.random.default_rng(seed))[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_split_owns_float32_and_int64_tensors():
    x = np.arange(6.0).reshape(3, 2)
    split = as_split(x, np.array([0, 1, 2], np.uint8))
    x[:] = -1
    assert (split.x.dtype, split.y.dtype) == (torch.float32, torch.int64)
    assert split.x.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
