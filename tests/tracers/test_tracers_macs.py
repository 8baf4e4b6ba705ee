"""The MAC ledger: passes from method names, roles from marks, roles of autograd from operands, totals from closed forms."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from tracer_toys import AutogradBP, HandBP, Local, Toy, TwoPasses, adjoint, forward, traced, values, weights

from fobench.contracts import Phase, Prediction, Provenance, Role, role
from fobench.tracers.macs import MACs

nets = st.lists(st.integers(1, 40), min_size=3, max_size=6).map(tuple)
batches = st.integers(2, 9)


def macs_of(make: Any, batch: int, sizes: tuple[int, ...], phase: Phase = Phase.TRAIN) -> dict[str, float]:
    return values(traced(MACs(), make, batch, sizes, phase), "macs")


# --- passes and marked roles ------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(sizes=nets, batch=batches)
def test_backpropagation_by_hand_is_three_passes_less_the_first_layer(sizes: tuple[int, ...], batch: int) -> None:
    m = weights(sizes)
    counted = macs_of(lambda: HandBP(*sizes), batch, sizes)
    assert counted == {
        "forward_pass/forward": batch * sum(m),
        "backward_pass/input_gradient": batch * (sum(m) - m[0]),
        "backward_pass/weight_update": batch * sum(m),
    }
    assert sum(counted.values()) == batch * (3 * sum(m) - m[0])


@settings(max_examples=10, deadline=None)
@given(sizes=nets, batch=batches)
def test_the_outermost_mark_and_the_method_under_the_step_count(sizes: tuple[int, ...], batch: int) -> None:
    total = sum(weights(sizes))
    assert macs_of(lambda: TwoPasses(*sizes), batch, sizes) == {
        "standard_pass/forward": batch * total,
        "modulate/projection": batch * sizes[0] * sizes[-1],
        "modulated_pass/second_pass": batch * total,
        "train_step/weight_update": batch * total,
    }


def test_a_rule_that_updates_on_the_way_up() -> None:
    sizes = (30, 20, 10)
    assert macs_of(lambda: Local(*sizes), 8, sizes) == {
        "train_step/forward": 8 * 800,
        "train_step/weight_update": 8 * 800,
    }


@pytest.mark.parametrize("make", [HandBP, AutogradBP])
def test_inference_is_one_forward_pass(make: Any) -> None:
    counted = macs_of(lambda: make(30, 20, 10), 8, (30, 20, 10), Phase.INFER)
    assert sum(counted.values()) == 8 * 800
    assert {channel.partition("/")[2] for channel in counted} == {"forward"}


def test_published_worked_example() -> None:
    """784-1024-10: 1.636 M multiply-accumulates per sample for backpropagation."""
    counted = macs_of(lambda: HandBP(784, 1024, 10), 4, (784, 1024, 10))
    assert round(sum(counted.values()) / 4 / 1e6, 3) == 1.636


class Inherited(HandBP):
    def train_step(self, x: Tensor, y: Tensor) -> None:
        super().train_step(x, y)

    @staticmethod
    def scored(x: Tensor) -> Tensor:
        return x @ x.T

    @property
    def gram(self) -> Tensor:
        return self.W[0] @ self.W[0].T

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        return Prediction(self.scored(x) + self.gram[0, 0])


def test_passes_of_inherited_static_decorated_and_computed_methods() -> None:
    sizes = (5, 4, 3)
    assert set(macs_of(lambda: Inherited(*sizes), 2, sizes)) == {
        "forward_pass/forward", "backward_pass/input_gradient", "backward_pass/weight_update",
    }  # fmt: skip
    assert macs_of(lambda: Inherited(*sizes), 2, sizes, Phase.INFER) == {"scored/forward": 20, "gram/forward": 80}


# --- autograd ---------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(sizes=nets, batch=batches)
def test_autograd_is_told_apart_whatever_the_shapes(sizes: tuple[int, ...], batch: int) -> None:
    m = weights(sizes)
    assert macs_of(lambda: AutogradBP(*sizes), batch, sizes) == {
        "forward_pass/forward": batch * sum(m),
        "train_step/input_gradient": batch * (sum(m) - m[0]),
        "train_step/weight_update": batch * sum(m),
    }


def test_square_layers_with_as_many_samples_as_units() -> None:
    counted = macs_of(lambda: AutogradBP(8, 8, 8, 8), 8, (8, 8, 8, 8))
    assert counted["train_step/input_gradient"] == 8 * 2 * 64
    assert counted["train_step/weight_update"] == 8 * 3 * 64


class Masked(AutogradBP):
    """Its products have weights that are not in `state()` but derived from them."""

    def forward_pass(self, x: Tensor) -> Tensor:
        for W in self.W:
            x = x @ (W * 0.5).T
        return x


def test_what_shapes_cannot_tell_is_reported_as_one() -> None:
    sizes = (6, 6, 6)
    counted = macs_of(lambda: Masked(*sizes), 6, sizes)
    assert counted == {"forward_pass/forward": 6 * 72, "train_step/input_gradient+weight_update": 6 * (72 + 36)}
    told = macs_of(lambda: Masked(*sizes), 5, sizes)
    assert told == {
        "forward_pass/forward": 5 * 72, "train_step/input_gradient": 5 * 36, "train_step/weight_update": 5 * 72,
    }  # fmt: skip


class Convolutional(AutogradBP):
    """One depthwise convolution on a 4 x 4 map, without marks."""

    def __init__(self) -> None:
        super().__init__(16, 2)
        self.W[0] = torch.ones(3, 1, 3, 3, requires_grad=True)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        maps = x.view(-1, 1, 4, 4).repeat(1, 3, 1, 1).requires_grad_()
        functional.conv2d(maps, self.W[0], padding=1, groups=3).sum().backward()


def test_the_two_halves_of_a_convolutions_backward() -> None:
    forward_macs = 2 * 3 * 16 * 9
    assert macs_of(Convolutional, 2, (16, 2)) == {
        "train_step/forward": forward_macs,
        "train_step/input_gradient": forward_macs,
        "train_step/weight_update": forward_macs,
    }


class Straight(torch.autograd.Function):
    """A linear layer whose backward is written by hand, marked or not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor) -> Tensor:
        ctx.save_for_backward(x, W)
        return forward(W, x)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor, Tensor]:
        x, W = ctx.saved_tensors
        return adjoint(W, delta), delta.T @ x


class CustomFunction(AutogradBP):
    def forward_pass(self, x: Tensor) -> Tensor:
        for W in self.W:
            x = Straight.apply(x, W)
        return x


def test_custom_functions_are_seen_through_with_their_marks() -> None:
    sizes = (7, 5, 3)
    assert macs_of(lambda: CustomFunction(*sizes), 4, sizes) == {
        "forward_pass/forward": 4 * 50,
        "train_step/input_gradient": 4 * (15 + 35),
        "train_step/weight_update": 4 * 50,
    }


@settings(max_examples=10, deadline=None)
@given(sizes=nets, batch=batches)
def test_totals_agree_with_torchs_own_counter_on_plain_networks(sizes: tuple[int, ...], batch: int) -> None:
    learner = AutogradBP(*sizes)
    x, y = torch.rand(batch, sizes[0]), torch.randint(sizes[-1], (batch,))
    with FlopCounterMode(display=False) as counter:
        learner.train_step(x, y)
    counted = macs_of(lambda: AutogradBP(*sizes), batch, sizes)
    assert sum(counted.values()) == counter.get_total_flops() / 2


class Threaded(Toy):
    """Runs its product on another thread, as autograd does on CUDA."""

    def backward_pass(self, x: Tensor) -> None:
        modes = torch.utils._python_dispatch._get_current_dispatch_mode_stack()

        def work() -> None:
            with modes[-1] if modes else nullcontext():
                forward(self.W[0], x)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    @role(Role.SECOND_PASS)
    def train_step(self, x: Tensor, y: Tensor) -> None:
        self.backward_pass(x)


def test_another_threads_operations_belong_to_the_pass_that_waits_for_it() -> None:
    assert macs_of(lambda: Threaded(4, 3), 2, (4, 3)) == {"backward_pass/second_pass": 24}


# --- elementwise, uncovered, bookkeeping ------------------------------------------------------------------------------


def test_elementwise_is_a_quantity_of_its_own_with_the_optimizers_share_told() -> None:
    sizes = (6, 5, 3)
    readings = traced(MACs(), lambda: AutogradBP(*sizes), 4, sizes)
    elementwise = values(readings, "elementwise")
    parameters = 30 + 15 + 5 + 3
    # foreach SGD without momentum: one addition per parameter; the bias gradients sum the signals
    assert elementwise["train_step/weight_update"] == parameters + 4 * 5 + 4 * 3
    assert elementwise["forward_pass/forward"] == 4 * 5
    # derivative of relu; of log softmax and of the loss
    assert elementwise["train_step/input_gradient"] == 4 * 5 + 4 * 3 + 4 * 3


class Spectral(HandBP):
    def predict(self, x: Tensor) -> Prediction:
        return Prediction(torch.fft.fft(x).real)


def test_uncovered_operations_are_listed() -> None:
    readings = traced(MACs(), lambda: Spectral(4, 3), 2, (4, 3), Phase.INFER)
    assert values(readings, "uncovered") == {"aten._fft_r2c": 1}
    assert values(readings, "macs") == {}


def test_readings_are_exact_integers_of_one_step_and_then_forgotten() -> None:
    tracer = MACs()
    first = traced(tracer, lambda: HandBP(6, 5, 3), 4, (6, 5, 3))
    assert first == traced(tracer, lambda: HandBP(6, 5, 3), 4, (6, 5, 3))
    assert tracer.readings() == []
    assert all(isinstance(reading.value, int) for reading in first)
    assert {reading.provenance for reading in first} == {Provenance.ANALYTICAL}


def test_what_runs_outside_any_method_is_still_counted() -> None:
    tracer = MACs()
    with tracer.trace(Toy(2, 2), ()):
        torch.ones(2, 3) @ torch.ones(3, 4)
    assert values(tracer.readings(), "macs") == {"step/forward": 24}


def test_inference_mode_counts_what_no_grad_counts() -> None:
    counts = []
    for mode in (torch.no_grad, torch.inference_mode):
        learner, tracer = AutogradBP(6, 5, 3), MACs()
        with mode(), tracer.trace(learner, ()):
            learner.forward_pass(torch.ones(4, 6))
        counts.append(tracer.readings())
    assert counts[0] == counts[1]
    assert values(counts[0], "macs") == {"forward_pass/forward": 4 * 45}
