"""The four MLCommons-Tiny nets learn for real: better than chance, and than the same net with hidden layers as they began.

Data are the surrogates' own models, drawn anew.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch

from fobench import networks, plugins
from fobench.datasets import sound_model
from fobench.datasets.images import blob_images

SEEDS = (0, 1, 2)


@pytest.fixture(autouse=True)
def float32(float64):
    torch.set_default_dtype(torch.float32)


@dataclass(frozen=True)
class Draw:
    """Samples for a net, as many of each class."""

    net: str
    samples: int
    tested: int = 240
    standardised: bool = False  # images and words, by one mean and deviation
    classes: int = 0  # other than those of the net's own task

    @property
    def task(self):
        task = networks.named_tasks()[self.net]
        return replace(task, classes=self.classes) if self.classes else task

    @property
    def chance(self):
        return 1 / 2 if self.task.kind == "reconstruction" else 1 - 1 / self.task.classes


@cache
def data(draw):
    """Return training and test samples with their labels."""
    task, rng, samples = draw.task, np.random.default_rng(2026), draw.samples + draw.tested
    if task.kind == "reconstruction":
        y = np.arange(samples) % 2 * (np.arange(samples) >= draw.samples)
        x = sound_model.machine(y == 1, 5, 128, rng)
    else:
        y = np.arange(samples) % task.classes
        x = sound_model.words(y, 49, 10, rng) if draw.net == "ds-cnn" else blob_images(y, task.input_shape[1], rng, 3)
    x, y = torch.from_numpy(np.asarray(x, np.float32)), torch.from_numpy(y)
    training = x[: draw.samples]
    if task.kind == "reconstruction":
        x = (x - training.mean(0)) / training.std(0)
    elif draw.standardised:
        x = (x - training.mean()) / training.std()
    return [part.split([draw.samples, draw.tested]) for part in (x.view(-1, *task.input_shape), y)]


def result(rule, draw, seed, epochs, *, batch=32, last_alone=False, **fields):
    """Return the test error, or for the auto-encoder 1 - AUC, after some epochs, of all stages or the last."""
    torch.manual_seed(seed)
    (x, test_x), (y, test_y) = data(draw)
    learner, generator = plugins.load(rule, "learners")(draw.net, **fields), torch.Generator().manual_seed(seed)
    learner.setup(draw.task, generator, "cpu")
    if last_alone:
        learner.begin_stage(learner.stages - 1)
    for epoch in range(epochs):
        if hasattr(learner, "begin_epoch"):
            learner.begin_epoch(epoch, epochs)
        for part in torch.randperm(len(x), generator=generator).split(batch):
            learner.train_step(x[part], y[part])
    scores = torch.cat([learner.predict(part).scores for part in test_x.split(60)])
    if scores.dim() == 1:
        return 1 - float((scores[test_y == 1][:, None] > scores[test_y == 0]).double().mean())
    return float((scores.argmax(1) != test_y).double().mean())


DRAWS = {
    "ds-cnn": Draw("ds-cnn", 1500),
    "resnet8": Draw("resnet8", 1500),
    "mobilenet-v1-0.25": Draw("mobilenet-v1-0.25", 640),
    "autoencoder": Draw("autoencoder", 2000),
}
CLASSIFIERS = ["ds-cnn", "resnet8", "mobilenet-v1-0.25"]
ETA = {"ds-cnn": 0.1, "resnet8": 0.03, "mobilenet-v1-0.25": 0.1}
EPOCHS = {"ds-cnn": 2, "resnet8": 3, "mobilenet-v1-0.25": 4, "autoencoder": 3}


@cache
def frozen(draw, seed, epochs, optimizer, **shared):
    """Return the error of the same net, begun alike, of which the output layer alone learns, at the same step size."""
    return result("bp", draw, seed, epochs, train_hidden=False, optimizer=dict(optimizer), **shared)


def bar(draw, seed, epochs, **shared):
    """Return the error that a rule is to be below: 0.03 better than chance and than frozen hidden layers."""
    optimizer = tuple(shared["optimizer"].items())
    return min(draw.chance, frozen(draw, seed, epochs, **{**shared, "optimizer": optimizer})) - 0.03


def beats(net, seed, rule, own, **shared):
    """Say whether a rule is below the bar of its net."""
    draw, epochs = DRAWS[net], EPOCHS[net]
    return result(rule, draw, seed, epochs, **own, **shared) < bar(draw, seed, epochs, **shared)


@pytest.mark.parametrize("net", DRAWS)
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
    draw = DRAWS[net]
    error = result("biofo", draw, seed, epochs, order="sweep", **own)
    assert error < bar(draw, seed, epochs, **shared)
    if net != "mobilenet-v1-0.25":
        assert error < result("biofo", draw, seed, epochs, last_alone=True, order="greedy", **own) - 0.03


STANDARDISED = {net: replace(DRAWS[net], standardised=True) for net in CLASSIFIERS}
WAVES = {"goodness_of": "mean", "label_as": "pattern"}
FF = {  # data, epochs, batch, eta, and how labels, or hybrids, are made
    "ds-cnn": (DRAWS["ds-cnn"], 8, 32, 1e-2, {"wavelength": 8.0, **WAVES}),
    "resnet8": (STANDARDISED["resnet8"], 8, 16, 1e-3, {"wavelength": 8.0, **WAVES}),
    "mobilenet-v1-0.25": (STANDARDISED["mobilenet-v1-0.25"], 6, 16, 1e-3, {"wavelength": 24.0, **WAVES}),
    "autoencoder": (Draw("autoencoder", 6000), 12, 32, 1e-3, {"blurs": 64, "peer": 0.0}),
}


@pytest.mark.parametrize("net", FF)
@pytest.mark.parametrize("seed", SEEDS)
def test_ff(net, seed):
    draw, epochs, batch, eta, own = FF[net]
    shared = {"bias": True, "weight_init": "fan-out-normal", "optimizer": {"name": "adam", "eta": eta}, "batch": batch}
    assert result("ff", draw, seed, epochs, **own, **shared) < bar(draw, seed, epochs, activation="relu", **shared)


PEPITA = {  # data, sign, eta, feedback scale, the epoch from which eta is a tenth
    "ds-cnn": (replace(STANDARDISED["ds-cnn"], tested=1000), -1, 3.0, 0.02, 4),
    "resnet8": (replace(STANDARDISED["resnet8"], tested=1000), 1, 3.0, 0.02, 4),
    "mobilenet-v1-0.25": (replace(STANDARDISED["mobilenet-v1-0.25"], tested=1000, classes=10), -1, 2.0, 1.0, 5),
}


@pytest.mark.parametrize("net", PEPITA)
@pytest.mark.parametrize("seed", SEEDS)
def test_pepita(net, seed):
    """Against itself with frozen hidden layers, a strong twin; MEMPEPITA's weights are the same bit for bit.

    On other draws DS-CNN gains in three of four seeds only, see docs/learners.md.
    """
    draw, sign, eta, scale, lowered = PEPITA[net]
    fields = {
        "activation": "tanh", "weight_init": "xavier-uniform", "keep": 1, "sign": sign, "output_error": "standard",
        "feedback_scale": scale, "decay_epochs": (lowered,), "batch": 16,
        "optimizer": {"name": "momentum", "eta": eta, "eta_in_buffer": True},
    }  # fmt: skip
    error, of_twin = (result("pepita", draw, seed, 6, train_hidden=hidden, **fields) for hidden in (True, False))
    assert error < min(of_twin, draw.chance)
