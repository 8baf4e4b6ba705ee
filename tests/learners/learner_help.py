"""What the tests of this room share: learners of every rule, set up, with weights written in, and one step of them."""

from __future__ import annotations

import torch

from fobench.contracts import Task
from fobench.learners.biofo import BioFO
from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd
from fobench.learners.drtp import DRTP
from fobench.learners.ff import FF
from fobench.learners.pepita import PEPITA

RULES = (BP, BPAutograd, DRTP, PEPITA, FF, BioFO)
UNIT = {"name": "sgd", "eta": 1.0}


def ready(learner, inputs, classes, seed=0, **values):
    """Set the learner up on flat inputs and write `values` into its state."""
    learner.setup(Task("classification", (inputs,), classes), torch.Generator().manual_seed(seed), "cpu")
    for name, value in values.items():
        target = learner.state()[name]
        assert target.shape == torch.as_tensor(value).shape, name
        target.copy_(torch.as_tensor(value))
    return learner


def snapshot(learner):
    return {name: tensor.clone() for name, tensor in learner.state().items()}


def directions(learner, x, y):
    """Return `W_before - W_after` of one step: G, when the optimizer is SGD with eta 1."""
    before = snapshot(learner)
    learner.train_step(x, y)
    return {name: before[name] - after for name, after in learner.state().items()}


def batch(inputs, classes, samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, inputs, generator=generator), torch.randint(classes, (samples,), generator=generator)


def toy(rule, **changed):
    """A learner of each rule that learns the toy task of `clusters` in a few epochs."""
    fields = {
        BP: {"optimizer": {"name": "adam", "eta": 1e-2}},
        BPAutograd: {"optimizer": {"name": "adam", "eta": 1e-2}},
        DRTP: {"hidden_scale": "mean", "optimizer": {"name": "momentum", "eta": 0.05, "nesterov": True}},
        PEPITA: {"optimizer": {"name": "momentum", "eta": 0.1, "eta_in_buffer": True}},
        FF: {"optimizer": {"name": "momentum", "eta": 0.05, "decay": 3e-4}},
        BioFO: {"optimizer": {"name": "adam", "eta": 1e-2}},
    }[rule]
    return rule([24, 20], **{**fields, **changed})


def clusters(samples, seed, inputs=14, classes=3):
    """Three Gaussian clusters around fixed random centres."""
    centres = 2 * torch.randn(classes, inputs, generator=torch.Generator().manual_seed(99))
    x, y = batch(inputs, classes, samples, seed)
    return centres[y] + x, y


def train(learner, epochs=8, stages=1):
    """Train on clusters of 300 samples and return the error on 300 others."""
    x, y = clusters(300, seed=1)
    for stage in range(stages):
        if stages > 1:
            learner.begin_stage(stage)
        for _ in range(epochs):
            for part in torch.arange(300).split(25):
                learner.train_step(x[part], y[part])
    x, y = clusters(300, seed=2)
    return float((learner.predict(x).scores.argmax(1) != y).double().mean())
