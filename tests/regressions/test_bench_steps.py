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

from step_floor import PASSES, Products, Ratio, batch, passes_over_weights, ready, step_over_floor, unavoidable_bytes

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


def moved(rule: str, network: Any, task: Task, **options: Any) -> int:
    """Return the bytes of the floor beside the products', of a batch of 32."""
    learner = ready(rule, network, task, **options)
    with passes_over_weights() as stepped:
        learner.train_step(*batch(task, 32))
    return unavoidable_bytes(rule, learner, task, 32, stepped)


@pytest.mark.parametrize("rule", ["bp", "bp-autograd"])
@pytest.mark.parametrize("optimizer", PASSES)
def test_unavoidable_bytes_of_a_dense_net_are_passes_over_its_weights(rule: str, optimizer: str) -> None:
    weights = 100 * 64 + 64 * 64 + 64 * 10
    assert moved(rule, *FLAT, bias=False, optimizer={"name": optimizer}) == PASSES[optimizer] * weights * 4


def test_only_weights_that_learn_in_the_step_are_passed_over() -> None:
    """The last of two greedy layers; half of it where halves take turns, and there W of both is made binary."""
    last, all_ = 64 * 64, 100 * 64 + 64 * 64
    assert moved("biofo", *FLAT, bias=False) == moved("light-biofo", *FLAT, trunk={"bias": False}) == 7 * last * 4
    assert moved("tinyfoa", *FLAT, bias=False) == 7 * last // 2 * 4 + 2 * all_ * 4


def test_weights_of_a_trunk_and_of_heads_count_by_their_own_optimizer() -> None:
    """FF's momentum where LightFF and its oracle learn; Adam's seven passes over the one head that LightBP trains last."""
    trunk = {"bias": False, "optimizer": {"name": "momentum"}}
    layers = (100 * 64 + 64 * 64) * 4
    assert moved("lightff", *FLAT, trunk=trunk) == moved("lightff-label-oracle", *FLAT, trunk=trunk) == 3 * layers
    assert moved("lightbp", *FLAT) == 7 * (64 * 10 + 10) * 4


def test_elementwise_operations_on_weights_count_where_the_equations_name_them() -> None:
    """Above the first layer uSF and frSF take signs, brSF draws R before."""
    above = (64 * 64 + 64 * 10) * 4
    plain = moved("fa", *FLAT, optimizer={"name": "sgd"})
    signs, drawn = (moved(rule, *FLAT, optimizer={"name": "sgd"}) - plain for rule in ("usf", "brsf"))
    assert (plain, signs, drawn) == (0, 2 * above, 4 * above)


def test_unavoidable_bytes_of_maps_count_their_elementwise_operations() -> None:
    """One read and one write of at least every activated map, forward and backward, beside 7 passes over the weights."""
    weights = 8 * 9 + 8 * 8 * 9 + 8 * 16 * 10
    maps = 8 * 16 * 16 + 8 * 4 * 4
    assert moved("bp", *MAPS, bias=False) >= 7 * weights * 4 + 2 * 2 * maps * 32 * 4


def test_a_ratio_is_a_median_with_order_statistics() -> None:
    ratio = Ratio.of([float(n) for n in range(1, 31)], [1.0] * 30)
    # ranks 10 and 21 of 30 enclose the median with 95 %: the table of the binomial distribution
    assert (ratio.median, ratio.low, ratio.high) == (15.5, 10, 21)
