"""Networks as data: shapes and counts against torch's own layers, names, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from fobench.contracts import Task
from fobench.networks import (
    KINDS,
    NetworkError,
    add,
    conv,
    dense,
    depthwise,
    describe,
    expand,
    flatten,
    layers,
    local,
    named_networks,
    named_tasks,
    pool,
)

MODEST = settings(max_examples=80, deadline=None)
FLAT = Task("classification", (169,), 5)
IMAGE = Task("classification", (3, 32, 32), 10)

small = st.integers(1, 4)
sizes = small | st.tuples(small, small).map(list)
paddings = st.integers(0, 2) | st.tuples(st.integers(0, 2), st.integers(0, 2)).map(list)
maps = st.tuples(small, st.integers(4, 12), st.integers(4, 12))
slid = st.fixed_dictionaries({"kernel": sizes, "stride": sizes, "padding": paddings})


def as_pair(value: Any) -> tuple[int, int]:
    return tuple(value) if isinstance(value, list) else (value, value)


def output_of(module: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Torch's own output shape, or None where torch refuses."""
    try:
        return tuple(module(torch.zeros(1, *shape)).shape[1:])
    except RuntimeError:
        return None


def shape_of(record: dict[str, Any], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return layers([record], Task("classification", shape, 2))[0].output_shape
    except NetworkError:
        return None


@MODEST
@given(maps, slid, small)
def test_convolution(shape: tuple[int, int, int], options: dict[str, Any], channels: int) -> None:
    pairs = {name: as_pair(value) for name, value in options.items()}
    module = nn.Conv2d(shape[0], channels, pairs["kernel"], pairs["stride"], pairs["padding"], bias=False)
    expected = output_of(module, shape)
    assert shape_of(conv(channels, **options), shape) == expected
    if expected:
        (layer,) = layers([conv(channels, **options)], Task("classification", shape, 2))
        assert layer.weights == module.weight.numel()
        assert layer.macs == module.weight.numel() * expected[1] * expected[2]
        assert layer.units == channels * expected[1] * expected[2]


@MODEST
@given(maps, slid)
def test_depthwise(shape: tuple[int, int, int], options: dict[str, Any]) -> None:
    pairs = {name: as_pair(value) for name, value in options.items()}
    module = nn.Conv2d(
        shape[0], shape[0], pairs["kernel"], pairs["stride"], pairs["padding"], groups=shape[0], bias=False
    )
    expected = output_of(module, shape)
    assert shape_of(depthwise(**options), shape) == expected
    if expected:
        (layer,) = layers([depthwise(**options)], Task("classification", shape, 2))
        assert (layer.weights, layer.macs) == (module.weight.numel(), module.weight.numel() * expected[1] * expected[2])


@MODEST
@given(maps, slid, small)
def test_local_has_weights_for_every_patch_that_unfold_gives(
    shape: tuple[int, int, int], options: dict[str, Any], channels: int
) -> None:
    pairs = {name: as_pair(value) for name, value in options.items()}
    try:
        patches = functional.unfold(torch.zeros(1, *shape), pairs["kernel"], 1, pairs["padding"], pairs["stride"])
    except RuntimeError:
        assert shape_of(local(channels, **options), shape) is None
        return
    (layer,) = layers([local(channels, **options)], Task("classification", shape, 2))
    _, values, positions = patches.shape
    assert layer.output_shape[1] * layer.output_shape[2] == positions
    assert layer.weights == layer.macs == channels * values * positions


@MODEST
@given(maps, sizes, st.none() | sizes, st.sampled_from(["max", "mean"]))
def test_pooling(shape: tuple[int, int, int], kernel: Any, stride: Any, mode: str) -> None:
    module_of = nn.MaxPool2d if mode == "max" else nn.AvgPool2d
    module = module_of(as_pair(kernel), None if stride is None else as_pair(stride))
    assert shape_of(pool(kernel, stride, mode=mode), shape) == output_of(module, shape)
    assert not layers([pool(1)], Task("classification", shape, 2))[0].has_weights


@MODEST
@given(maps, small)
def test_dense_and_flatten(shape: tuple[int, int, int], units: int) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], units, bias=False))
    flat, last = layers([flatten(), dense(units)], Task("classification", shape, 2))
    assert last.output_shape == output_of(module, shape)
    assert flat.output_shape == (flat.inputs,) == output_of(module[0], shape)
    assert flat.weights == flat.macs == 0
    assert last.weights == last.macs == module[1].weight.numel()
    (direct,) = layers([units], Task("classification", shape, 2))
    assert direct.weights == last.weights


def test_a_residual_block_adds_equal_shapes() -> None:
    records = [conv(8, padding=1), conv(8, padding=1), add(0)]
    assert [layer.output_shape for layer in layers(records, IMAGE)] == [(8, 32, 32)] * 3
    assert layers([conv(3, padding=1), add(-1)], IMAGE)[-1].output_shape == (3, 32, 32)


def test_records_are_made_by_name_widths_or_in_full() -> None:
    assert expand([2000, 3]) == [{"kind": "dense", "units": 2000}, {"kind": "dense", "units": 3}]
    assert expand([]) == []
    assert expand((5,)) == [dense(5)]
    assert expand([{"kind": "conv", "channels": 4}]) == [conv(4)]
    assert expand([{"kind": "pool", "kernel": [2, 1]}]) == [pool([2, 1])]
    assert expand("pepita-conv") == [conv(32, kernel=5), pool(2), flatten()]
    assert expand(expand("pepita-conv")) == expand("pepita-conv")


@pytest.mark.parametrize("name", list(named_networks()))
def test_named_networks_can_be_changed_without_harm(name: str) -> None:
    expand(name)[0]["kind"] = "changed"
    assert expand(name)[0]["kind"] in KINDS


@pytest.mark.parametrize(
    ("network", "task", "expected"),
    [
        ([2000] * 4, FLAT, "169-2000x4"),
        ([1024, 512, 512], FLAT, "169-1024-512x2"),
        ([], FLAT, "169"),
        ("pepita-conv", IMAGE, "3x32x32-pepita-conv"),
        ([conv(8, padding=1), conv(8, padding=1), local(4), 7], IMAGE, "3x32x32-conv8x2-local4-7"),
    ],
)
def test_short_names(network: Any, task: Task, expected: str) -> None:
    assert describe(network, task) == expected


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("pepita-con", "unknown network 'pepita-con'; did you mean 'pepita-conv'?"),
        ("zzz", "unknown network 'zzz'; expected one of: pepita-conv"),
        (5, "a network is a name, a list of widths or a list of layer records, found 5"),
        (None, "found None"),
        ({"kind": "dense"}, "a network is a name"),
        ([0], "layer 0: units is 0; expected a whole number of at least 1"),
        ([3, -1], "layer 1: units is -1"),
        ([True], "layer 0: True is neither a width nor a record whose kind is one of dense, conv"),
        ([1.5], "layer 0: 1.5 is neither"),
        (["3"], "layer 0: '3' is neither"),
        ([{"units": 3}], "is neither a width nor a record"),
        ([{"kind": "dens", "units": 3}], "is neither a width nor a record"),
        ([{"kind": ["dense"]}], "is neither a width nor a record"),
        ([{"kind": {}}], "is neither a width nor a record"),
        ([{"kind": "dense"}], "layer 0: a dense layer needs 'units'"),
        ([{"kind": "dense", "units": 3, "bias": True}], "layer 0: a dense layer has no field 'bias'; it has units"),
        ([{"kind": "flatten", "units": 3}], "layer 0: a flatten layer has no field 'units'; it has source, activate"),
        ([{"kind": "conv", "channels": 3, "kernel": [1, 2, 3]}], "layer 0: kernel is"),
        ([{"kind": "conv", "channels": 3, "padding": -1}], "padding is -1; expected a whole number of at least 0"),
        ([{"kind": "conv", "channels": [3, 3]}], "channels is"),
        ([{"kind": "pool", "mode": "median"}], "mode is 'median'; expected max or mean"),
        ([{"kind": "pool", "mode": ["max"]}], "expected max or mean"),
        ([{"kind": "add", "source": -2}], "source is -2; expected a whole number of at least -1"),
    ],
)
def test_what_is_no_network(network: Any, expected: str) -> None:
    with pytest.raises(NetworkError) as caught:
        expand(network)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("network", "task", "expected"),
    [
        ([conv(3)], FLAT, "layer 0: conv needs a map (channels, rows, columns), found shape (169,)"),
        ([10, pool()], IMAGE, "layer 1: pool needs a map"),
        ([conv(3, kernel=40)], IMAGE, "layer 0: a window of (40, 40) does not fit a map of (32, 32)"),
        (
            [pool(), pool(), pool(), pool(), pool(), pool()],
            IMAGE,
            "layer 5: a window of (2, 2) does not fit a map of (1, 1)",
        ),
        ([conv(3), add(-1)], IMAGE, "layer 1: add of shapes (3, 30, 30) and (3, 32, 32) (layer -1) does not fit"),
        ([add(0)], IMAGE, "layer 0: reads layer 0, which does not come before it"),
        ([conv(3), add(7)], IMAGE, "layer 1: reads layer 7, which does not come before it"),
    ],
)
def test_what_does_not_fit_the_task(network: Any, task: Task, expected: str) -> None:
    with pytest.raises(NetworkError) as caught:
        layers(network, task)
    assert expected in str(caught.value)


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.sampled_from([*KINDS, "kind", "units", "kernel"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "units", "channels", "kernel", "stride", "padding", "mode", "source"]), inner
        )
    ),
    max_leaves=8,
)


@settings(MODEST, max_examples=200)
@given(anything | st.lists(anything, max_size=4), st.sampled_from([FLAT, IMAGE]))
def test_whatever_it_is_it_fits_or_gives_a_network_error(network: Any, task: Task) -> None:
    try:
        found = layers(network, task)
    except NetworkError:
        return
    assert all(size >= 1 for layer in found for size in layer.output_shape)
    assert expand([layer.record for layer in found]) == [layer.record for layer in found]


TINY = {
    "ds-cnn": (22_016, 588, 2_656_768),
    "mobilenet-v1-0.25": (208_112, 2_738, 7_489_664),
    "resnet8": (77_360, 346, 12_501_632),
    "autoencoder": (264_192, 1_672, 264_192),
}
"""Weights, biases and multiply-accumulates of the reference TFLite files (`mlcommons_tiny` 5)."""


@pytest.mark.parametrize("name", TINY)
def test_the_tiny_nets_have_the_published_counts(name: str) -> None:
    task = named_tasks()[name]
    net = layers([*expand(name), dense(task.outputs)], task)
    assert tuple(sum(getattr(layer, what) for layer in net) for what in ("weights", "biases", "macs")) == TINY[name]
    assert describe(name, task).endswith(f"-{name}")


@given(size=st.integers(1, 40), kernel=st.integers(1, 9), stride=st.integers(1, 4))
def test_same_padding_gives_a_position_for_every_stride(size: int, kernel: int, stride: int) -> None:
    record = conv(1, kernel=kernel, stride=stride, padding="same")
    layer = layers([record], Task("classification", (1, size, size), 2))[0]
    top, bottom, *_ = layer.padding
    assert layer.output_shape == (1, -(-size // stride), -(-size // stride))
    assert bottom - top in (0, 1)


def test_a_shortcut_reads_its_source() -> None:
    net = layers([conv(4, padding=1), conv(4, padding=1, activate=False), conv(4, 1, source=-1), add(1)], IMAGE)
    assert [layer.sources for layer in net] == [(-1,), (0,), (-1,), (2, 1)]
    assert [layer.input_shape[0] for layer in net] == [3, 4, 3, 4]
    assert [layer.activated for layer in net] == [True, False, True, False]


def test_an_error_knows_its_layer() -> None:
    with pytest.raises(NetworkError) as caught:
        layers([dense(5), conv(3)], FLAT)
    assert caught.value.layer == 1
