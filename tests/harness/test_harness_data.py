"""Subsets and batches: seeded, shared by all learners of a block, whole."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import toy_cell

from fobench.contracts import DatasetError, Split
from fobench.harness import data


def split_of(samples: int) -> Split:
    return Split(torch.arange(samples, dtype=torch.float32)[:, None], torch.arange(samples))


def test_each_epoch_takes_every_sample_once_in_a_new_order() -> None:
    taken = [y for _, y in itertools.islice(data.batches(split_of(60), 10, seed=3), 12)]
    first, second = torch.cat(taken[:6]), torch.cat(taken[6:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(60))
    assert first.tolist() != second.tolist()


def test_samples_that_fill_no_batch_are_left_out_of_their_epoch_only() -> None:
    taken = torch.cat([y for _, y in itertools.islice(data.batches(split_of(25), 10, seed=0), 40)])
    assert all(len(set(epoch.tolist())) == 20 for epoch in taken.split(20))
    assert set(taken.tolist()) == set(range(25)), "another five are left out each time"


def test_the_order_depends_on_the_seed_alone() -> None:
    one, same, other = (next(data.batches(split_of(500), 100, seed))[1].tolist() for seed in (1, 1, 2))
    assert one == same != other


def test_the_subset_is_the_same_for_every_learner_of_a_block_and_differs_between_blocks(make_job) -> None:
    def subset(cell):
        cell = replace(cell, recipe=replace(cell.recipe, train_samples=50))
        return data.load(make_job(cell))[1].train.x.tolist()

    assert subset(toy_cell(seed=1, label="a")) == subset(toy_cell(seed=1, label="b", eta=0.1))
    assert subset(toy_cell(seed=1)) != subset(toy_cell(seed=2))


def test_dtype_and_sizes_follow_the_recipe(make_job) -> None:
    cell = toy_cell()
    cell = replace(cell, recipe=replace(cell.recipe, dtype="float64", train_samples=70, score_samples=20))
    task, splits = data.load(make_job(cell))
    assert splits.train.x.dtype == torch.float64
    assert splits.train.y.dtype == torch.int64
    assert (len(splits.train.x), len(splits.test.x)) == (70, 20)
    assert task.classes == 3


def test_a_batch_larger_than_the_split_is_refused_with_what_to_do(make_job) -> None:
    cell = toy_cell()
    cell = replace(cell, recipe=replace(cell.recipe, train_samples=9))
    with pytest.raises(DatasetError, match=r"9 training samples do not fill one batch of 10; lower recipe\.batch_size"):
        data.load(make_job(cell))


def test_in_order_gives_views() -> None:
    split = split_of(10)
    x, _ = next(data.in_order(split, 5))
    assert x.data_ptr() == split.x.data_ptr()


def test_purposes_have_seeds_of_their_own(tmp_path: Path) -> None:
    assert data.seed_for("order", 0) != data.seed_for("learner", 0) != data.seed_for("learner", 1)
