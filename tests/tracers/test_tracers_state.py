"""What state tracers read off a learner: angles, tails and goodness that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from fobench.contracts import Split, Task, TracerError
from fobench.learners.ff import FF
from fobench.learners.pepita import PEPITA
from fobench.tracers.alignment import Alignment
from fobench.tracers.goodness import Goodness
from fobench.tracers.weights import Weights

NOTHING = Split(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
TURN = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
EYE = torch.eye(2)


class Bare:
    """A learner of which there is nothing but its state."""

    def __init__(self, **state):
        self.tensors = {name: torch.as_tensor(tensor, dtype=torch.float32) for name, tensor in state.items()}

    def state(self):
        return self.tensors


def angles(**state) -> dict[str, float]:
    return {reading.channel: reading.value for reading in Alignment().observe(Bare(**state), NOTHING)}


@pytest.mark.parametrize(
    ("F", "expected"),
    [
        ([[1.0], [0.0]], math.degrees(math.acos(3 / 5))),
        ([[3.0], [4.0]], 0.0),
        ([[-6.0], [-8.0]], 180.0),
        ([[4.0], [-3.0]], 90.0),
    ],
)
def test_pepitas_angle_is_that_with_the_product_of_all_weights(F, expected) -> None:
    # W_2 W_1 = [2 1] [[1, 2], [1, 0]] = [3, 4]
    found = angles(W1=[[1.0, 2.0], [1.0, 0.0]], W2=[[2.0, 1.0]], F=F)
    assert found == {"F": pytest.approx(expected, abs=1e-4)}


def test_mirrored_factors_are_compared_layer_by_layer() -> None:
    found = angles(W1=TURN, W2=EYE, F=EYE, F1=TURN.T, F2=-EYE)
    assert found == {"F": pytest.approx(90), "F1": pytest.approx(0, abs=1e-4), "F2": pytest.approx(180)}


def test_feedback_alignment_compares_each_layer_with_its_own_transposed() -> None:
    found = angles(W1=EYE, W2=TURN, W3=[[1.0, 1.0]], B2=TURN.T, B3=[[1.0], [0.0]])
    assert found == {"B2": pytest.approx(0, abs=1e-4), "B3": pytest.approx(45)}


def test_a_square_feedback_is_not_taken_for_its_transpose() -> None:
    assert angles(W1=EYE, W2=TURN, B2=TURN) == {"B2": pytest.approx(180)}, "TURN and its transpose are opposite"


def test_direct_feedback_is_compared_with_the_product_above() -> None:
    # (W_3 W_2)^T = ([1 1] TURN)^T = [1, -1]^T; above layer 2 there is W_3 alone
    found = angles(W1=EYE, W2=TURN, W3=[[1.0, 1.0]], B1=[[1.0], [0.0]], B2=[[1.0], [1.0]])
    assert found == {"B1": pytest.approx(45), "B2": pytest.approx(0, abs=1e-4)}


def test_kernels_of_feedback_alignment_are_compared_as_they_lie() -> None:
    W2 = torch.arange(1.0, 9).view(2, 1, 2, 2)
    assert angles(W1=W2, W2=W2, B2=-W2) == {"B2": pytest.approx(180)}


def test_weights_that_begin_at_zero_have_no_angle() -> None:
    assert angles(W1=EYE, W2=0 * EYE, W3=EYE, B2=EYE, B3=EYE) == {"B3": pytest.approx(0, abs=1e-4)}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"W1": EYE}, "no feedback matrix"),
        ({"W1": EYE, "B1": EYE}, "no feedback matrix"),
        ({"W1": torch.zeros(2, 1, 3, 3), "W2": EYE, "F": EYE}, "product of dense layers"),
    ],
)
def test_learners_without_comparable_feedback_are_refused_with_the_reason(state, reason) -> None:
    with pytest.raises(TracerError, match=reason):
        angles(**state)


def test_pepitas_own_state_is_understood() -> None:
    learner = PEPITA(network=[7, 6])
    learner.setup(Task("classification", (9,), 4), torch.Generator().manual_seed(1), "cpu")
    W1, W2, W3 = (learner.state()[name] for name in ("W1", "W2", "W3"))
    learner.state()["F"].copy_((W3 @ W2 @ W1).T)
    (reading,) = Alignment().observe(learner, NOTHING)
    assert (reading.quantity, reading.unit) == ("angle", "deg")
    assert reading.value == pytest.approx(0, abs=0.05)


def test_tails_are_exceeded_by_their_share_of_the_weights() -> None:
    W = torch.arange(-500.0, 500.0) + 0.5  # each magnitude 0.5 .. 499.5 twice
    found = {reading.channel: reading.value for reading in Weights().observe(Bare(W1=W.view(25, 40)), NOTHING)}
    for share in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001):
        above = int((W.abs() > found[f"W1/{share:g}"]).sum())
        assert share * 1000 - 1 <= above <= share * 1000, "pairs of equal magnitude leave one weight to spare"
    assert found["W1/absolute"] == pytest.approx(250)
    assert found["W1/square"] == pytest.approx(math.sqrt((1000**2 - 1) / 12))


def test_a_small_layer_has_no_tail_that_less_than_one_weight_is_in() -> None:
    found = {reading.channel for reading in Weights().observe(Bare(W1=EYE), NOTHING)}
    assert found == {"W1/0.5", "W1/absolute", "W1/square"}


def test_goodness_is_the_sum_of_squares_under_both_labels() -> None:
    learner = FF(network=[2], label_amplitude=1.0, bias=False)
    learner.setup(Task("classification", (4,), 2), torch.Generator().manual_seed(0), "cpu")
    # input: two label places, two values; unit 1 sees label 0 threefold, unit 2 sees the third value
    learner.state()["W1"].copy_(torch.tensor([[3.0, 0, 0, 0], [0, 0, 1.0, 0]]))
    x = torch.tensor([[0.0, 0, 2, 0]]).repeat(5, 1)
    before = learner.rows.generator.get_state()
    rows = Goodness().observe(learner, Split(x, torch.tensor([0, 0, 0, 0, 1])))
    found = {reading.channel: reading.value for reading in rows}
    assert torch.equal(before, learner.rows.generator.get_state()), "training must not notice"
    # rows [1 0 2 0] and [0 1 2 0] are divided by their root mean square, so that squares are divided by 5/4
    assert [found[f"layer-1/positive/{level}"] for level in ("0.25", "0.5", "0.75")] == pytest.approx([13 / 1.25] * 3)
    assert found["layer-1/negative/0.5"] == pytest.approx(4 / 1.25)
    assert found["layer-1/threshold"] == 2, "n_l"


def test_goodness_needs_layers_that_grade_and_labels() -> None:
    with pytest.raises(TracerError, match="layer_goodness"):
        Goodness().observe(Bare(W1=EYE), NOTHING)
    learner = FF(network=[5])
    learner.setup(Task("reconstruction", (8,)), torch.Generator().manual_seed(0), "cpu")
    with pytest.raises(TracerError, match="labels"):
        Goodness().observe(learner, Split(torch.randn(6, 8), torch.arange(6) % 2))
