"""Rules with local read-outs learn for real: handwritten digits, 8 x 8, a few epochs, three seeds, every kind of layer."""

import pytest
import torch
from sklearn.datasets import load_digits

from fobench import networks
from fobench.contracts import Task
from fobench.learners.biofo import BioFO
from fobench.learners.cafo import CaFo
from fobench.learners.mono_forward import MonoForward
from fobench.learners.tinyfoa import TinyFoA

TASK = Task("classification", (1, 8, 8), 10)
TRAIN, SEEDS = 1400, (0, 1, 2)
conv = networks.conv
NETS = {
    "dense": [64, 64],
    "conv": [conv(16, padding=1), networks.pool(2), conv(32, padding=1), networks.pool(2)],
    "local": [networks.local(8, padding=1), networks.local(8, padding=1)],
    "residual": [
        conv(12, padding=1), conv(12, padding=1), conv(12, padding=1, activate=False), networks.add(0, activate=True),
        conv(24, stride=2, padding=1),
    ],
}  # fmt: skip
ADAM = {"name": "adam", "eta": 1e-2}
CNN = {"feedback": "linear", "weight_init": "kaiming-fan-out", "optimizer": ADAM}
LC = {"feedback": "linear", "weight_init": "normal", "normalise": "sample", "optimizer": ADAM}


@pytest.fixture(scope="module")
def digits():
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16)[order].view(-1, 1, 8, 8), torch.tensor(y)[order]


def error(learner, digits, seed, epochs=3, frozen=()):
    """Train all stages but the `frozen` ones for some epochs each, and return the test error."""
    x, y = digits
    generator = torch.Generator().manual_seed(seed)
    learner.setup(TASK, generator, "cpu")
    stages = getattr(learner, "stages", 1)
    for stage in range(stages):
        if stage - stages in frozen:
            continue
        if stages > 1:
            learner.begin_stage(stage)
        for epoch in range(epochs):
            if hasattr(learner, "begin_epoch"):
                learner.begin_epoch(epoch, epochs)
            for part in torch.randperm(TRAIN, generator=generator).split(50):
                learner.train_step(x[part], y[part])
    return float((learner.predict(x[TRAIN:]).scores.argmax(1) != y[TRAIN:]).double().mean())


@pytest.mark.parametrize(
    ("net", "fields", "bound"),
    [("dense", CNN, 0.15), ("conv", CNN, 0.25), ("local", CNN, 0.15), ("local", LC, 0.2), ("residual", CNN, 0.15)],
)
def test_biofo_beats_chance_and_frozen_hidden_layers(net, fields, bound, digits):
    hidden = range(-10, -1)
    for seed in SEEDS:
        trained = error(BioFO(NETS[net], **fields), digits, seed)
        assert trained < min(bound, error(BioFO(NETS[net], **fields), digits, seed, frozen=hidden))


@pytest.mark.parametrize("net", ["dense", "conv"])
def test_the_newer_rules_learn(net, digits):
    """At chance the error is 0.9."""
    for seed in SEEDS:
        assert error(MonoForward(NETS[net], optimizer=ADAM), digits, seed) < 0.12
        assert error(CaFo(NETS[net], optimizer={"name": "adam", "eta": 1e-3}), digits, seed) < 0.25


@pytest.mark.parametrize("split", ["vertical", "quarter", "none"])
def test_tinyfoa_learns(split, digits):
    for seed in SEEDS:
        learner = TinyFoA(NETS["dense"], split=split, optimizer={"name": "adam", "eta": 0.03})
        assert error(learner, digits, seed, epochs=8) < 0.35


def test_least_squares_learn_in_one_pass(digits):
    for seed in SEEDS:
        assert error(CaFo(NETS["conv"], loss="mse"), digits, seed, epochs=1) < 0.06
