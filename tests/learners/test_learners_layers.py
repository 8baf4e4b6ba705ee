"""Every kind of layer and backpropagation through it against per-position loops, and those against autograd."""

import pytest
import slow_layers
import torch
from learner_help import UNIT, directions
from learner_nets import NETS, numbered, samples, set_up, slow_net

from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd

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
