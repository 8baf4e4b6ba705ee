"""Every kind of layer and backpropagation through it against per-position loops, and those against autograd."""

from unittest import mock

import pytest
import slow_layers
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from learner_help import UNIT, directions
from learner_nets import NETS, numbered, samples, set_up, slow_net
from torch.nn import functional

from fobench import networks
from fobench.contracts import Task
from fobench.learners import convolution
from fobench.learners.activations import LINEAR
from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd
from fobench.learners.layers import build

every_net = pytest.mark.parametrize("name", NETS)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@every_net
@pytest.mark.parametrize("rule", [BP, BPAutograd])
@pytest.mark.parametrize(("f", "bias"), [("relu", True), ("tanh", False), ("linear", True)])
def test_bp_on_every_kind_of_layer(rule, name, f, bias):
    network, task = NETS[name]
    learner = set_up(rule(network, activation=f, bias=bias, optimizer=UNIT), task)
    x, y = samples(task, 3)
    net = slow_net(learner, task, f)
    G, g = slow_layers.bp(x, y if task.classes else None, net)
    found = directions(learner, x, y)
    for parts, expected in ((numbered(found, "W"), G), (numbered(found, "b"), g)):
        for part, reference in zip(parts, expected, strict=True):
            close(part, reference)


@every_net
def test_prediction_on_every_kind_of_layer(name):
    network, task = NETS[name]
    learner = set_up(BP(network), task)
    x, _ = samples(task, 3)
    net = slow_net(learner, task)
    outputs = [slow_layers.forward(net, row)[1][len(net.records) - 1] for row in x]
    if task.classes:
        expected = torch.stack([torch.softmax(a, 0) for a in outputs])
    else:
        expected = torch.stack([(a - row).square().mean() for a, row in zip(outputs, x, strict=True)])
    close(learner.predict(x).scores, expected)


def node_of(record, shape):
    """Return one layer on maps of a shape, its weights drawn; None where nothing is left of the map."""
    try:
        layers = networks.layers([record], Task("classification", shape, 3))
    except networks.NetworkError:
        return None
    return build(layers, LINEAR, "linear", True, torch.Generator().manual_seed(0), "cpu")[0]


pairs = st.tuples(st.integers(1, 4), st.integers(1, 3)).map(list)
margins = st.lists(st.integers(0, 5), min_size=4, max_size=4)
sides = st.integers(1, 12)
kinds = st.sampled_from([networks.depthwise, lambda *window: networks.conv(2, *window)])
large = st.sampled_from([0, convolution.LARGE])


@settings(max_examples=150, deadline=None)
@given(large, kinds, sides, sides, pairs, pairs, margins)
def test_a_convolution_with_any_margins_is_that_of_the_padded_map(large, kind, rows, columns, kernel, stride, padding):
    """In bands or not: forward, signal and correlation, against autograd through a map with its zeros."""
    with mock.patch.object(convolution, "LARGE", large):
        node = node_of(kind(kernel, stride, padding), (3, rows, columns))
    assume(node is not None)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, rows, columns, generator=generator, requires_grad=True)
    W = node.W.detach().clone().requires_grad_()
    top, bottom, left, right = padding
    A = functional.conv2d(functional.pad(x, (left, right, top, bottom)), W, node.b, stride, groups=node.groups)
    D = torch.randn(A.shape, generator=generator)
    signal, G = torch.autograd.grad(A, (x, W), D)
    with torch.no_grad():
        close(node(x), A)
        close(node.adjoint(D, x), signal)
        close(node.correlation(D, x), G)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 21), sides, sides, pairs, pairs, st.booleans())
def test_a_maximum_pool_of_some_samples_at_a_time_is_that_of_the_batch(N, rows, columns, kernel, stride, last):
    """Values are drawn from a few, so that windows have several maxima: the first one counts."""
    node = node_of(networks.pool(kernel, stride, [side // 2 for side in kernel]), (3, rows, columns))
    assume(node is not None)
    generator = torch.Generator().manual_seed(1)
    order = torch.channels_last if last else torch.contiguous_format
    few = torch.randint(4, (N, 3, rows, columns), generator=generator).double()
    x = few.contiguous(memory_format=order).requires_grad_()
    pooled, places = functional.max_pool2d(x, kernel, stride, [side // 2 for side in kernel], return_indices=True)
    D, other = torch.randn(pooled.shape, generator=generator), torch.randn(x.shape, generator=generator)
    (signal,) = torch.autograd.grad(pooled, x, D)
    with torch.no_grad():
        assert torch.equal(node(x), pooled) and torch.equal(node.adjoint(D, x), signal)
        taken = node.taken(other.contiguous(memory_format=order), x)
        assert torch.equal(taken, other.flatten(2).gather(2, places.flatten(2)).view_as(places))
