"""AFA, weight mirroring and the normalised variants of PEPITA beside the slow reference, on every kind of layer."""

import pytest
import slow_pepita
import torch
from learner_help import UNIT, directions
from learner_nets import numbered, samples, set_up

from fobench import networks
from fobench.contracts import Task
from fobench.learners.afa import AFA
from fobench.learners.mempepita import MEMPEPITA
from fobench.learners.pepita import PEPITA
from fobench.learners.pepita_hebbian import HebbianPEPITA
from fobench.learners.pepita_time_local import TimeLocalPEPITA
from fobench.networks import add, conv, dense, depthwise, flatten, local, pool

NETS = {
    "dense": [7, 6, 5],
    "conv": [conv(3, 3, padding=1), pool(2), depthwise(2, padding="same"), pool(2, stride=1, mode="mean"), flatten(), 4],
    "local": [local(3, 3, stride=2, padding=1), pool(2, stride=1), conv(4, [2, 1])],
    "residual": [
        conv(3, padding=1), conv(3, padding="same", activate=False), add(0, activate=True),
        conv(4, kernel=1, stride=2, source=0, activate=False), conv(4, stride=2, padding=1, source=2, activate=False),
        add(3), pool(3, mode="mean"), flatten(),
    ],
}  # fmt: skip
TASKS = {
    "classification": Task("classification", (2, 6, 5), 3),
    "reconstruction": Task("reconstruction", (2, 6, 5)),
}
every_net = pytest.mark.parametrize("net", NETS)
every_task = pytest.mark.parametrize("kind", TASKS)


def slow_net(learner, task):
    """The learner's net for the slow reference, read off the records of its network."""
    weights, net = iter(numbered(learner.state(), "W")), []
    for layer in networks.layers([*networks.expand(learner.network), {**dense(task.outputs), "activate": False}], task):
        found = {"kind": layer.kind, "sources": layer.sources, "out": layer.output_shape, "f": layer.activated}
        if "kernel" in layer.record:
            found |= {"kernel": networks.pair(layer.record["kernel"]), "stride": networks.strides(layer.record)}
            found |= {"padding": layer.padding, "mode": layer.record.get("mode")}
        net.append(found | ({"W": next(weights)} if layer.has_weights else {}))
    return net


def drawn(task, count, seed=1):
    x, y = samples(task, count, seed)
    return x, y, torch.eye(task.classes)[y] if task.classes else x.flatten(1)


def output_of(task):
    return slow_pepita.softmax if task.classes else lambda a: a


def compare(found, expected, scale=1.0):
    names = sorted((name for name in found if name[0] == "W"), key=lambda name: int(name[1:]))
    for name, G in zip(names, expected, strict=True):
        assert G.any(), name
        torch.testing.assert_close(found[name] / scale, G, rtol=1e-7, atol=1e-9)


@every_net
@every_task
@pytest.mark.parametrize(("sign", "presynaptic", "f"), [(-1, "standard", "relu"), (1, "modulated", "tanh")])
def test_afa(net, kind, sign, presynaptic, f):
    task = TASKS[kind]
    fields = {"sign": sign, "presynaptic": presynaptic, "activation": f, "feedback_scale": 1.0, "optimizer": UNIT}
    learner = set_up(AFA(NETS[net], **fields), task)
    x, y, t = drawn(task, 3)
    F = learner.state()["F"]
    expected = slow_pepita.afa(slow_net(learner, task), x, t, F, sign, presynaptic, f, output_of(task))
    compare(directions(learner, x, y), expected)


@every_net
@every_task
@pytest.mark.parametrize("rule", [HebbianPEPITA, TimeLocalPEPITA])
def test_the_variants_read_normalised_activity(rule, net, kind):
    task, eta = TASKS[kind], 0.01
    fields = {"keep": 1, "sign": -1, "normalisation": "per-sample", "feedback_scale": 1.0}
    learner = set_up(rule(NETS[net], optimizer={"name": "sgd", "eta": eta}, **fields), task)
    x, y, t = drawn(task, 3)
    layers, how = slow_net(learner, task), {"f": "relu", "normalise": True, "output": output_of(task)}
    F = learner.state()["F"].clone()
    if rule is HebbianPEPITA:
        expected = slow_pepita.hebbian(layers, x, t, F, -1, **how)
    else:
        expected = slow_pepita.time_local(layers, x, t, F, eta, -1, **how)
    compare(directions(learner, x, y), expected, eta)


@pytest.mark.parametrize("rule", [PEPITA, MEMPEPITA])
@pytest.mark.parametrize("keep", [1, 0.6])
@pytest.mark.parametrize("widths", [[6], [7, 5], []])
def test_a_mirror_step_is_its_equations(rule, keep, widths):
    """From the noise and the masks that the coming step draws: of each layer its noise first, then its mask."""
    task, numbers = Task("classification", (8,), 3), {"eta": 0.3, "decay": 0.05, "noise": 0.2, "pre_mirror": 1}
    learner = set_up(rule(widths, sign=-1, keep=keep, mirror=numbers), task)
    W, factors = numbered(learner.state(), "W"), numbered(learner.state(), "F")
    x, y, _ = drawn(task, 9)
    twin, noise, masks = learner.net.twin(), [], []
    for node in [*learner.net.hidden, learner.net.top]:
        noise.append(torch.empty(9, node.layer.inputs).normal_(0, 0.2, generator=twin))
        mask = learner.net.draw(node, 9, twin)
        kept = torch.ones(9, node.layer.units) if mask is None else mask.double() / keep
        masks.append(None if node is learner.net.top else kept)
    expected = slow_pepita.mirror(W, factors, noise, 0.05 * (2 / 8) ** 0.5, 0.3, 0.05, masks)
    learner.train_step(x, y)
    for found, factor in zip(numbered(learner.state(), "F"), expected, strict=True):
        torch.testing.assert_close(found, factor, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("rule", [PEPITA, MEMPEPITA, HebbianPEPITA])
def test_a_bias_takes_the_mean_over_samples_and_positions(rule):
    """A bias is a weight whose input is 1 in both passes, which makes Hebbian PEPITA's difference PEPITA's."""
    task = TASKS["classification"]
    learner = set_up(rule([conv(3, [2, 3])], keep=1, bias=True, feedback_scale=1.0, optimizer=UNIT), task)
    learner.state()["b1"].uniform_(-0.3, 0.3)
    s = {name: tensor.clone() for name, tensor in learner.state().items()}
    x, y, t = drawn(task, 4)

    def a_pass(x):
        H = torch.conv2d(x, s["W1"], s["b1"]).relu()
        return H, torch.softmax(H.flatten(1) @ s["W2"].T + s["b2"], 1)

    H, P = a_pass(x)
    H_err, P_err = a_pass(x + ((P - t) @ s["F"].T).view(x.shape))
    found = directions(learner, x, y)
    torch.testing.assert_close(found["b1"], (H - H_err).mean((0, 2, 3)))
    torch.testing.assert_close(found["b2"], (P - t if rule is HebbianPEPITA else P_err - t).mean(0))
