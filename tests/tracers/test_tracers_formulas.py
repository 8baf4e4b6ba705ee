"""Formulas of operations against counts of multiplications made by loops, or closed forms in the sizes drawn."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from tracer_toys import Toy, values

from fobench.contracts import Reading
from fobench.tracers.macs import MACs

few = settings(max_examples=12, deadline=None)
size = st.integers(1, 5)


def readings_of(run: Callable[[], Any], mode: Any = torch.no_grad) -> list[Reading]:
    tracer = MACs()
    with mode(), tracer.trace(Toy(2, 2), ()):
        run()
    return tracer.readings()


def macs_of(run: Callable[[], Any], mode: Any = torch.no_grad) -> float:
    """Return the multiply-accumulates of one call; every operation in it must be covered."""
    readings = readings_of(run, mode)
    assert values(readings, "uncovered") == {}
    return sum(values(readings, "macs").values())


def elementwise_of(run: Callable[[], Any]) -> float:
    readings = readings_of(run)
    assert values(readings, "macs") == {}
    assert values(readings, "uncovered") == {}
    return sum(values(readings, "elementwise").values())


ones = torch.ones


# --- matrix products --------------------------------------------------------------------------------------------------


@few
@given(n=size, k=size, m=size, b=size)
def test_matrix_products_cost_the_three_sizes(n: int, k: int, m: int, b: int) -> None:
    one, other, total = ones(n, k), ones(k, m), torch.zeros(n, m)
    batch, batched = ones(b, n, k), ones(b, k, m)
    for run in (
        lambda: torch.mm(one, other),
        lambda: one @ other,
        lambda: torch.mm(one, other, out=total),
        lambda: torch.addmm(total, one, other, beta=0.5),
        lambda: total.addmm_(one, other, beta=0, alpha=-0.1),
        lambda: torch.addmm(ones(m), one, other),
        lambda: torch.addmm(total, one, other, out=torch.empty(n, m)),
        lambda: functional.linear(one, ones(m, k), ones(m)),
        lambda: functional.linear(one, ones(m, k)),
        lambda: torch.tensordot(one, other, dims=1),
        lambda: torch.inner(one, ones(m, k)),
    ):
        assert macs_of(run) == n * k * m
        assert macs_of(run, torch.inference_mode) == n * k * m
    for run in (
        lambda: torch.bmm(batch, batched),
        lambda: batch @ batched,
        lambda: torch.bmm(batch, batched, out=torch.empty(b, n, m)),
        lambda: torch.baddbmm(torch.zeros(b, n, m), batch, batched),
        lambda: torch.zeros(b, n, m).baddbmm_(batch, batched, alpha=2),
        lambda: torch.addbmm(total, batch, batched),
        lambda: total.addbmm_(batch, batched),
        lambda: functional.linear(batch, ones(m, k), ones(m)),
    ):
        assert macs_of(run) == b * n * k * m
        assert macs_of(run, torch.inference_mode) == b * n * k * m


@few
@given(n=st.integers(2, 5), k=st.integers(2, 5), m=st.integers(2, 5), b=st.integers(2, 5))
def test_einsum_costs_all_its_indices(n: int, k: int, m: int, b: int) -> None:
    for equation, shapes, expected in (
        ("ik,km->im", ((n, k), (k, m)), n * k * m),
        ("ik,mk->mi", ((n, k), (m, k)), n * k * m),
        ("bik,bkm->bim", ((b, n, k), (b, k, m)), b * n * k * m),
        ("bi,bi->b", ((b, n), (b, n)), b * n),
        ("bn,bm->nm", ((b, n), (b, m)), b * n * m),
    ):
        operands = [ones(*shape) for shape in shapes]
        for mode in (torch.no_grad, torch.inference_mode):
            assert macs_of(lambda: torch.einsum(equation, *operands), mode) == expected  # noqa: B023


@few
@given(n=size, m=size)
def test_vectors(n: int, m: int) -> None:
    matrix, vector, column = ones(n, m), ones(m), ones(n)
    for run in (
        lambda: torch.mv(matrix, vector),
        lambda: matrix @ vector,
        lambda: torch.mv(matrix, vector, out=torch.empty(n)),
        lambda: torch.addmv(column, matrix, vector),
        lambda: column.clone().addmv_(matrix, vector),
        lambda: functional.linear(vector, matrix),
        lambda: torch.addr(matrix, column, vector),
        lambda: matrix.clone().addr_(column, vector, alpha=0.1),
    ):
        assert macs_of(run) == n * m
        assert macs_of(run, torch.inference_mode) == n * m
    assert macs_of(lambda: torch.dot(vector, vector)) == m
    assert macs_of(lambda: torch.vdot(vector, vector)) == m


@few
@given(n=st.integers(2, 6), m=st.integers(2, 6), b=size)
def test_outer_products_reach_torch_as_multiplications_and_count_all_the_same(n: int, m: int, b: int) -> None:
    column, row, rows, others = ones(n), ones(m), ones(b, n), ones(b, m)
    for run in (
        lambda: torch.outer(column, row),
        lambda: torch.ger(column, row),
        lambda: column[:, None] * row,
        lambda: torch.einsum("i,j->ij", column, row),
        lambda: torch.zeros(n, m).addcmul_(column[:, None], row[None, :]),
    ):
        assert macs_of(run) == n * m
        assert macs_of(run, torch.inference_mode) == n * m
    assert macs_of(lambda: torch.einsum("bi,bj->bij", rows, others)) == b * n * m


def test_scaling_rows_or_columns_is_elementwise() -> None:
    assert elementwise_of(lambda: ones(4, 3) * torch.ones(4, 1)) == 12
    assert elementwise_of(lambda: ones(4, 3) * torch.ones(3)) == 12
    assert elementwise_of(lambda: torch.ones(3) * 2.0) == 3
    assert elementwise_of(lambda: torch.zeros(4, 3).addcmul_(torch.ones(3), torch.ones(3))) == 12


def test_empty_products_cost_nothing() -> None:
    assert macs_of(lambda: ones(0, 3) @ ones(3, 2)) == 0
    assert macs_of(lambda: ones(4, 0) @ ones(0, 2)) == 0


# --- convolutions -----------------------------------------------------------------------------------------------------


def slow_convolution(batch: int, channels: tuple[int, int], groups: int, length: int, kernel: int, stride: int) -> int:
    """Count the multiplications of a 1-D convolution without padding, one by one."""
    counted = 0
    inputs, outputs = channels
    starts = [start for start in range(0, length, stride) if start + kernel <= length]
    for _sample, output, _start in product(range(batch), range(outputs), starts):
        group = output // (outputs // groups)
        for channel in range(inputs):
            if channel // (inputs // groups) == group:
                counted += kernel
    return counted


@few
@given(
    batch=st.integers(1, 3), groups=st.integers(1, 3), per_group=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    kernel=st.integers(1, 3), stride=st.integers(1, 2), extra=st.integers(0, 4),
)  # fmt: skip
def test_convolutions_forward_and_backward(
    batch: int, groups: int, per_group: tuple[int, int], kernel: int, stride: int, extra: int
) -> None:
    inputs, outputs, length = groups * per_group[0], groups * per_group[1], kernel + extra
    x = ones(batch, inputs, length, requires_grad=True)
    weight = ones(outputs, inputs // groups, kernel, requires_grad=True)
    bias = ones(outputs, requires_grad=True)
    expected = slow_convolution(batch, (inputs, outputs), groups, length, kernel, stride)

    def run(x: torch.Tensor, weight: torch.Tensor, backward: bool = True) -> None:
        out = functional.conv1d(x, weight, bias, stride=stride, groups=groups)
        if backward:
            out.sum().backward()

    for mode in (torch.no_grad, torch.inference_mode):
        assert macs_of(lambda: run(x, weight, backward=False), mode) == expected
    assert macs_of(lambda: run(x, weight), torch.enable_grad) == 3 * expected
    assert macs_of(lambda: run(x.detach(), weight), torch.enable_grad) == 2 * expected
    assert macs_of(lambda: run(x, weight.detach()), torch.enable_grad) == 2 * expected
    assert macs_of(lambda: run(x.detach(), weight.detach()), torch.enable_grad) == expected


def test_depthwise_backward_is_twice_the_forward() -> None:
    x, weight = ones(1, 32, 16, 16, requires_grad=True), ones(32, 1, 3, 3, requires_grad=True)
    forward = 32 * 16 * 16 * 9
    assert macs_of(lambda: functional.conv2d(x, weight, padding=1, groups=32)) == forward == 73_728
    step = macs_of(lambda: functional.conv2d(x, weight, padding=1, groups=32).sum().backward(), torch.enable_grad)
    assert step == 3 * forward


@few
@given(groups=st.integers(1, 3), inputs=st.integers(1, 2), outputs=st.integers(1, 3), stride=st.integers(1, 2))
def test_a_transposed_convolution_costs_what_the_convolution_back_would(
    groups: int, inputs: int, outputs: int, stride: int
) -> None:
    x = ones(2, groups * inputs, 4, requires_grad=True)
    weight = ones(groups * inputs, outputs, 3, requires_grad=True)
    length = (4 - 1) * stride + 3
    expected = slow_convolution(2, (groups * outputs, groups * inputs), groups, length, 3, stride)

    def run() -> torch.Tensor:
        return functional.conv_transpose1d(x, weight, stride=stride, groups=groups)

    assert macs_of(run) == expected
    assert macs_of(lambda: run().sum().backward(), torch.enable_grad) == 3 * expected


# --- recurrent layers and attention -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "gates"), [(torch.nn.LSTM, 4), (torch.nn.GRU, 3), (torch.nn.RNN, 1)])
def test_recurrent_layers_cost_all_gates_at_every_step(layer: Any, gates: int) -> None:
    steps, batch, inputs, units = 5, 2, 10, 20
    net, x = layer(inputs, units), torch.rand(steps, batch, inputs, requires_grad=True)
    forward = steps * batch * gates * units * (inputs + units)
    for mode in (torch.no_grad, torch.inference_mode):
        assert macs_of(lambda: net(x), mode) == forward
    step = macs_of(lambda: net(x)[0].sum().backward(), torch.enable_grad)
    # unrolled, no gradient is asked for the state before the first step; a fused kernel computes it all the same
    assert step in (3 * forward, 3 * forward - batch * gates * units**2)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_attention_is_two_products(mode: Any) -> None:
    query, key, value = ones(2, 3, 5, 8), ones(2, 3, 7, 8), ones(2, 3, 7, 8)
    run = lambda: functional.scaled_dot_product_attention(query, key, value)  # noqa: E731
    assert macs_of(run, mode) == 2 * 3 * 5 * 7 * (8 + 8)


def test_fused_attention_backward_is_five_products() -> None:
    leaves = [torch.rand(2, 3, length, 8, requires_grad=True) for length in (5, 7, 7)]
    run = lambda: functional.scaled_dot_product_attention(*leaves).sum().backward()  # noqa: E731
    assert macs_of(run, torch.enable_grad) == 7 * 2 * 3 * 5 * 7 * 8


# --- elementwise, movement, uncovered ---------------------------------------------------------------------------------

x = torch.rand(6, 4)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda: x + 1, 24),
        (lambda: x.clone().relu_(), 24),
        (lambda: x.sum(), 24),
        (lambda: x.mean(0), 24),
        (lambda: torch.softmax(x, 1), 24),
        (lambda: x > 0, 24),
        (lambda: torch.where(x > 0, x, 0), 48),
        (lambda: x.argmax(1), 24),
        (lambda: torch.linalg.vector_norm(x, dim=1), 24),
        (lambda: functional.max_pool1d(x[None], 2), 24),
        (lambda: torch.rand(6, 4), 24),
        (lambda: x.clone().bernoulli_(0.5), 24),
        (lambda: torch._foreach_add([x, x], 1.0), 48),
        (lambda: functional.mse_loss(x, x), 24),
        (lambda: torch.zeros(4).index_add_(0, torch.tensor([0, 1]), torch.ones(2)), 4),
        (lambda: functional.layer_norm(x, (4,)), 24),
        (lambda: torch.cumsum(x, 1), 24),
    ],
)
def test_other_arithmetic_counts_one_per_element_of_the_largest_operand(run: Any, expected: int) -> None:
    assert elementwise_of(run) == expected


@pytest.mark.parametrize(
    "run",
    [
        lambda: x.T,
        lambda: x.view(4, 6).expand(2, 4, 6)[0].reshape(-1).unsqueeze(0).flatten(),
        lambda: (x.clone(), x.contiguous(), x.double(), torch.empty(3).copy_(torch.zeros(3)), x.detach()),
        lambda: (torch.zeros(3), torch.empty_like(x), torch.full((2,), 3.0), torch.arange(4), torch.eye(2)),
        lambda: (
            torch.cat([x, x]),
            torch.stack([x, x]),
            x[torch.tensor([0, 2])],
            x.gather(1, torch.zeros(6, 1).long()),
        ),
        lambda: (x.index_select(0, torch.tensor([1])), x.repeat(2, 1), x.chunk(2), x[0, 0].item(), torch.tensor([1.0])),
        lambda: torch.zeros(6, 4).scatter_(1, torch.zeros(6, 1).long(), 1.0).fill_(2.0).zero_(),
        lambda: (functional.pad(x, (1, 1)), functional.unfold(torch.ones(1, 1, 4, 4), 2), torch.flip(x, (0,))),
    ],
)
def test_moving_making_and_viewing_data_costs_nothing(run: Any) -> None:
    for mode in (torch.no_grad, torch.inference_mode):
        assert readings_of(run, mode) == []


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_optimizers_count_per_element_of_their_parameters(options: dict[str, bool]) -> None:
    parameters = [torch.nn.Parameter(torch.ones(5, 3)), torch.nn.Parameter(torch.ones(5))]
    steps = torch.optim.SGD(parameters, lr=0.1, **options)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    readings = readings_of(steps.step)
    assert values(readings, "elementwise") == {"step/weight_update": 20}
    assert len(readings) == 1


def test_operations_without_a_formula_are_listed_with_their_calls() -> None:
    sparse, matrix = torch.eye(3).to_sparse(), torch.ones(3, 2)
    readings = readings_of(lambda: (torch.fft.fft(ones(4)), torch.fft.fft(ones(8)), sparse @ matrix))
    assert values(readings, "uncovered") == {"aten._fft_r2c": 2, "aten.mm": 1}
    assert values(readings, "macs") == {}


def test_the_library_of_another_package_is_listed() -> None:
    @torch.library.custom_op("tracertest::half", mutates_args=())
    def half(x: torch.Tensor) -> torch.Tensor:
        return x / 2

    assert values(readings_of(lambda: half(x)), "uncovered") == {"tracertest.half": 1}
