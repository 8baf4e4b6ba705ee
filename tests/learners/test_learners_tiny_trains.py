"""The four MLCommons-Tiny nets learn for real: better than chance, and than the same net with hidden layers as they began.

Data are the surrogates' own models, drawn anew.
"""

from functools import cache

import numpy as np
import pytest
import torch

from fobench import networks, plugins
from fobench.datasets import sound_model
from fobench.datasets.images import blob_images

SEEDS = (0, 1, 2)
TESTED = 240
SIZES = {"ds-cnn": 1500, "resnet8": 1500, "mobilenet-v1-0.25": 640, "autoencoder": 2000}


@pytest.fixture(autouse=True)
def float32(float64):
    torch.set_default_dtype(torch.float32)


@cache
def data(net):
    """Return training and test samples with their labels, as many of each class."""
    task, rng = networks.named_tasks()[net], np.random.default_rng(2026)
    samples = SIZES[net] + TESTED
    if task.kind == "reconstruction":
        y = np.arange(samples) % 2 * (np.arange(samples) >= SIZES[net])
        x = sound_model.machine(y == 1, 5, 128, rng)
    else:
        y = np.arange(samples) % task.classes
        x = sound_model.words(y, 49, 10, rng) if net == "ds-cnn" else blob_images(y, task.input_shape[1], rng, 3)
    x, y = torch.from_numpy(np.asarray(x, np.float32)), torch.from_numpy(y)
    x = (x - x[: SIZES[net]].mean(0)) / x[: SIZES[net]].std(0) if task.kind == "reconstruction" else x
    return [part.split([SIZES[net], TESTED]) for part in (x.view(-1, *task.input_shape), y)]


def result(rule, net, seed, epochs, *, last_alone=False, **fields):
    """Return the test error, or for the auto-encoder 1 - AUC, after some epochs at batch 32, of all stages or the last."""
    torch.manual_seed(seed)
    (x, test_x), (y, test_y) = data(net)
    learner, generator = plugins.load(rule, "learners")(net, **fields), torch.Generator().manual_seed(seed)
    learner.setup(networks.named_tasks()[net], generator, "cpu")
    if last_alone:
        learner.begin_stage(learner.stages - 1)
    for epoch in range(epochs):
        if hasattr(learner, "begin_epoch"):
            learner.begin_epoch(epoch, epochs)
        for part in torch.randperm(len(x), generator=generator).split(32):
            learner.train_step(x[part], y[part])
    scores = torch.cat([learner.predict(part).scores for part in test_x.split(60)])
    if scores.dim() == 1:
        return 1 - float((scores[test_y == 1][:, None] > scores[test_y == 0]).double().mean())
    return float((scores.argmax(1) != test_y).double().mean())


CHANCE = {"ds-cnn": 11 / 12, "resnet8": 9 / 10, "mobilenet-v1-0.25": 1 / 2, "autoencoder": 1 / 2}
CLASSIFIERS = ["ds-cnn", "resnet8", "mobilenet-v1-0.25"]
ETA = {"ds-cnn": 0.1, "resnet8": 0.03, "mobilenet-v1-0.25": 0.1}
EPOCHS = {"ds-cnn": 2, "resnet8": 3, "mobilenet-v1-0.25": 4, "autoencoder": 3}


@cache
def frozen(net, seed, epochs, activation, bias, weight_init, optimizer):
    """Return the error of the same net, begun alike, of which the output layer alone learns, at the same step size."""
    fields = {"activation": activation, "bias": bias, "weight_init": weight_init, "optimizer": dict(optimizer)}
    return result("bp", net, seed, epochs, train_hidden=False, **fields)


def bar(net, seed, epochs, **shared):
    """Return the error that a rule is to be below: 0.03 better than chance and than frozen hidden layers."""
    optimizer = tuple(shared["optimizer"].items())
    return min(CHANCE[net], frozen(net, seed, epochs, **{**shared, "optimizer": optimizer})) - 0.03


def beats(net, seed, rule, own, **shared):
    """Say whether a rule is below the bar of its net."""
    return result(rule, net, seed, EPOCHS[net], **own, **shared) < bar(net, seed, EPOCHS[net], **shared)


@pytest.mark.parametrize("net", CHANCE)
@pytest.mark.parametrize("seed", SEEDS)
def test_bp(net, seed):
    init = "xavier-uniform" if net == "autoencoder" else "he-uniform"
    assert beats(
        net, seed, "bp", {}, activation="relu", bias=True, weight_init=init, optimizer={"name": "adam", "eta": 1e-3}
    )


@pytest.mark.parametrize("rule", ["dfa", "drtp"])
@pytest.mark.parametrize("net", CLASSIFIERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_direct_feedback(net, seed, rule):
    own = {"output": "softmax", "hidden_scale": "mean", "feedback_init": "he-uniform"}
    own |= {"feedback_centred": True} if rule == "drtp" else {}
    optimizer = {"name": "momentum", "eta": ETA[net], "mu": 0.9}
    assert beats(net, seed, rule, own, activation="tanh", bias=False, weight_init="linear", optimizer=optimizer)


BIOFO = {
    "ds-cnn": (4, "he-uniform", 3e-3, "none"),
    "resnet8": (3, "kaiming-fan-out", 1e-3, "none"),
    "mobilenet-v1-0.25": (4, "kaiming-fan-out", 3e-4, "sample"),
}


@pytest.mark.parametrize("net", CLASSIFIERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_biofo(net, seed):
    """The second reference, Bio-FO's last layer alone on random features, is as good as the rule on MobileNet."""
    epochs, init, eta, normalise = BIOFO[net]
    shared = {"activation": "relu", "bias": True, "weight_init": init, "optimizer": {"name": "adam", "eta": eta}}
    own = {"feedback": "linear", "normalise": normalise, **shared}
    error = result("biofo", net, seed, epochs, order="sweep", **own)
    assert error < bar(net, seed, epochs, **shared)
    if net != "mobilenet-v1-0.25":
        assert error < result("biofo", net, seed, epochs, last_alone=True, order="greedy", **own) - 0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_ff(seed):
    """On DS-CNN only: on ResNet-8 and MobileNet some seeds stay at chance, see docs/learners.md."""
    shared = {"bias": True, "weight_init": "fan-out-normal", "optimizer": {"name": "adam", "eta": 1e-2}}
    own = {"goodness_of": "mean", "label_as": "pattern", "wavelength": 8.0, **shared}
    assert result("ff", "ds-cnn", seed, 8, **own) < bar("ds-cnn", seed, 8, activation="relu", **shared)
