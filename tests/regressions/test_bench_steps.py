"""The time of one training step of every installed learner, recorded and not judged, with its floor beside it.

The tables of docs/performance.md come from `step_speed.py`, on larger nets and an idle machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from step_floor import PASSES, Products, Ratio, batch, ready, step_over_floor, unavoidable_bytes

from fobench import plugins
from fobench.contracts import Task
from fobench.networks import conv, flatten, pool

FLAT = ([64, 64], Task("classification", (100,), 10))
MAPS = (
    [conv(8, padding="same"), pool(2), conv(8, stride=2, padding="same"), flatten()],
    Task("classification", (1, 16, 16), 10),
)


@pytest.mark.parametrize("rule", sorted(plugins.installed("learners")))
def test_step(rule: str, benchmark: Any) -> None:
    network, task = FLAT
    learner = ready(rule, network, task)
    x, y = batch(task, 32)
    ratio = step_over_floor(rule, learner, task, 32, speed=1e10, alternations=5)
    benchmark.extra_info["step_over_floor"] = ratio.median
    benchmark.pedantic(learner.train_step, args=(x, y), rounds=3)
    assert ratio.seconds > 0


@pytest.mark.parametrize("case", [FLAT, MAPS], ids=["flat", "maps"])
def test_the_floor_replays_every_product(case: Any) -> None:
    """The replay makes the multiply-accumulates of the step itself, and leaves the learner alone."""
    network, task = case
    learner = ready("bp", network, task)
    x, y = batch(task, 8)
    with Products() as products:
        learner.train_step(x, y)
    before = {name: tensor.clone() for name, tensor in learner.state().items()}
    again = Products()
    with again:
        products.replay()
    assert len(again.calls) == len(products.calls) > 0
    assert counted(learner, products.replay) == counted(learner, lambda: learner.train_step(x, y))
    learner.train_step(x, y)
    assert any(not torch.equal(before[name], tensor) for name, tensor in learner.state().items())


def counted(learner: Any, run: Any) -> float:
    tracer = plugins.load("macs", "tracers")()
    with tracer.trace(learner, ()):
        run()
    return sum(reading.value for reading in tracer.readings() if reading.quantity == "macs")


def test_replaying_does_not_move_the_learner() -> None:
    learner = ready("bp", *FLAT, optimizer={"name": "sgd"})
    with Products() as products:
        learner.train_step(*batch(FLAT[1], 8))
    before = {name: tensor.clone() for name, tensor in learner.state().items()}
    products.replay()
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.state().items())


@pytest.mark.parametrize("optimizer", PASSES)
def test_unavoidable_bytes_of_a_dense_net_are_passes_over_its_weights(optimizer: str) -> None:
    network, task = FLAT
    learner = ready("bp", network, task, bias=False, optimizer={"name": optimizer})
    weights = 100 * 64 + 64 * 64 + 64 * 10
    assert unavoidable_bytes("bp", learner, task, 32) == PASSES[optimizer] * weights * 4


def test_unavoidable_bytes_of_maps_count_their_elementwise_operations() -> None:
    """One read and one write of at least every activated map, forward and backward, beside 7 passes over the weights."""
    network, task = MAPS
    learner = ready("bp", network, task, bias=False)
    weights = 8 * 9 + 8 * 8 * 9 + 8 * 16 * 10
    maps = 8 * 16 * 16 + 8 * 4 * 4
    assert unavoidable_bytes("bp", learner, task, 32) >= 7 * weights * 4 + 2 * 2 * maps * 32 * 4


def test_a_ratio_is_a_median_with_order_statistics() -> None:
    ratio = Ratio.of([float(n) for n in range(1, 31)], [1.0] * 30)
    # ranks 10 and 21 of 30 enclose the median with 95 %: the table of the binomial distribution
    assert (ratio.median, ratio.low, ratio.high) == (15.5, 10, 21)
