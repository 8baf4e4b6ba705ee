"""PEPITA trains hidden layers for real: it beats the same nets with hidden layers as they began, seed by seed."""

import pytest
import torch

from fobench import networks
from fobench.contracts import Task
from fobench.learners.mempepita import MEMPEPITA
from fobench.learners.pepita import PEPITA

SEEDS = (0, 1, 2)
MOMENTUM = {"name": "momentum", "eta": 0.1, "eta_in_buffer": True}
DEEP = {"activation": "tanh", "normalisation": "per-sample", "keep": 1, "optimizer": MOMENTUM}


@pytest.fixture(autouse=True)
def float32(float64):
    torch.set_default_dtype(torch.float32)


def machine(samples, abnormal, generator):
    """Spectra of 640 values that four causes move smoothly; an abnormal one has a squeal, too."""
    places = torch.linspace(0, 1, 128)
    parts = torch.stack([torch.cos(torch.pi * (cause + 1) * places) for cause in range(4)])
    spectra = 0.8 * torch.randn(samples, 4, generator=generator) @ parts
    if abnormal:
        spectra += 1.5 * ((places - torch.rand(samples, 1, generator=generator)).abs() < 1 / 16)
    return spectra.repeat(1, 5) + 0.5 * torch.randn(samples, 640, generator=generator)


def auc(normal, abnormal):
    return float((abnormal[:, None] > normal).float().mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_auto_encoder(seed):
    generator = torch.Generator().manual_seed(99)
    x, normal, abnormal = machine(2000, False, generator), machine(200, False, generator), machine(200, True, generator)
    found = {}
    for train_hidden in (True, False):
        learner = PEPITA("autoencoder", train_hidden=train_hidden, **DEEP)
        learner.setup(networks.named_tasks()["autoencoder"], torch.Generator().manual_seed(seed), "cpu")
        for part in x.split(50) * 3:
            learner.train_step(part, torch.zeros(len(part), dtype=torch.int64))
        scores = [learner.predict(part).scores for part in (normal, abnormal)]
        found[train_hidden] = auc(*scores), float(scores[0].mean())
    assert found[True][0] > max(found[False][0], 0.55) and found[True][1] < 0.9 * found[False][1]


@pytest.mark.parametrize("rule", [PEPITA, MEMPEPITA])
@pytest.mark.parametrize("seed", SEEDS)
def test_dense(rule, seed):
    """Ten clusters of each of three classes, in no order that a line could draw."""
    generator = torch.Generator().manual_seed(5)
    centres = torch.randn(30, 20, generator=generator)
    cluster = torch.randint(30, (1500,), generator=generator)
    x, y = centres[cluster] + 0.3 * torch.randn(1500, 20, generator=generator), cluster % 3
    errors = {}
    for train_hidden in (True, False):
        learner = rule([40], keep=0.9, feedback_scale=0.5, train_hidden=train_hidden, optimizer=MOMENTUM)
        learner.setup(Task("classification", (20,), 3), torch.Generator().manual_seed(seed), "cpu")
        for _ in range(8):
            for part in torch.arange(1000).split(50):
                learner.train_step(x[part], y[part])
        errors[train_hidden] = float((learner.predict(x[1000:]).scores.argmax(1) != y[1000:]).float().mean())
    assert errors[True] < 0.8 * errors[False] < 0.5
