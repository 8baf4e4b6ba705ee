"""BP by hand against autograd and against the definition, on networks of every layer kind."""

import pytest
import slow_feedback
import torch
from feedback_help import NETS, TASK, biased_randomly, images, layers_of, numbered, set_up
from learner_help import UNIT, directions, snapshot

from fobench.contracts import Phase, Task
from fobench.costs import program_of
from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd
from fobench.networks import named_tasks
from fobench.tracers.macs import MACs


def agree(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("net", NETS)
def test_one_step_is_that_of_autograd(net, activation):
    x, y = images()
    rules = [set_up(rule(NETS[net], activation=activation, optimizer=UNIT)) for rule in (BP, BPAutograd)]
    agree(*(directions(learner, x, y) for learner in rules))


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("net", NETS)
def test_one_step_is_that_of_the_definition(net, output):
    learner = biased_randomly(set_up(BP(NETS[net], activation="tanh", output=output, optimizer=UNIT)))
    x, y = images(samples=3)
    s = snapshot(learner)
    slow = slow_feedback.Net(layers_of(NETS[net]), numbered(s, "W").values(), numbered(s, "b").values(), "tanh")
    T = torch.eye(3)[y]
    G, g = slow_feedback.descent(slow, x, T, lambda e, t, h, a: slow.backward(e, h, a, slow.W), output)
    found = directions(learner, x, y)
    for symbol, expected in (("W", G), ("b", g)):
        agree(numbered(found, symbol), dict(enumerate(expected, 1)))


@pytest.mark.parametrize("optimizer", [{"name": "adam"}, {"name": "momentum", "nesterov": True, "decay": 0.01}])
def test_several_steps_are_those_of_autograd(optimizer):
    lives = [set_up(rule(NETS["residual"], optimizer=optimizer)) for rule in (BP, BPAutograd)]
    for number in range(4):
        for learner in lives:
            learner.train_step(*images(seed=number))
    agree(*(snapshot(learner) for learner in lives))


@pytest.mark.parametrize("net", ["auto-encoder", *NETS])
def test_without_hidden_training_the_output_layer_alone_takes_the_same_step(net):
    task = Task("reconstruction", TASK.input_shape) if net == "auto-encoder" else TASK
    network = [9, 4, 9] if net == "auto-encoder" else NETS[net]
    learners = [set_up(BP(network, train_hidden=hidden, optimizer=UNIT), task) for hidden in (True, False)]
    x, y = images(task)
    whole, alone = (directions(learner, x, y) for learner in learners)
    top = f"W{len(numbered(whole, 'W'))}"
    for symbol, G in alone.items():
        torch.testing.assert_close(G, whole[symbol] if symbol[1:] == top[1:] else torch.zeros_like(G))
    assert alone[top].any()
    tracer = MACs()
    with tracer.trace(learners[1], (x, y)):
        learners[1].train_step(x, y)
    counted = sum(row.value for row in tracer.readings() if row.quantity == "macs") / len(x)
    modelled = [sum(program_of("bp", learner, task).macs(Phase.TRAIN).values()) for learner in learners]
    assert counted == modelled[1] < modelled[0]


@pytest.mark.parametrize("net", named_tasks())
def test_the_tiny_nets_take_the_step_of_autograd(net):
    task = named_tasks()[net]
    x, y = images(task, samples=2)
    agree(*(directions(set_up(rule(net, optimizer=UNIT), task), x, y) for rule in (BP, BPAutograd)))


def test_a_reconstruction_takes_the_step_of_autograd():
    task = Task("reconstruction", TASK.input_shape)
    x, y = images(task)
    agree(*(directions(set_up(rule(NETS["residual"], optimizer=UNIT), task), x, y) for rule in (BP, BPAutograd)))


@pytest.mark.parametrize("net", NETS)
def test_scores_are_those_of_autograd(net):
    x, _ = images()
    close = {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(*(set_up(rule(NETS[net])).predict(x).scores for rule in (BP, BPAutograd)), **close)
