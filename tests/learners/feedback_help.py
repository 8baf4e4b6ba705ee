"""Networks of every layer kind, small, and what the tests of rules with a backward or feedback path share."""

from __future__ import annotations

import torch

from fobench import networks
from fobench.contracts import Task
from fobench.networks import add, conv, dense, depthwise, flatten, local, pool

NETS = {
    "dense": [7, 4, 6],
    "conv": [conv(3, kernel=[3, 2], stride=[2, 1], padding=1), pool(2), conv(4, kernel=2, padding="same")],
    "depthwise": [conv(4, kernel=1), depthwise(3, stride=2, padding="same"), conv(3, kernel=1), pool([3, 2], mode="mean")],
    "local": [local(2, kernel=2, stride=2), local(3, padding=1), flatten(), dense(5)],
    "residual": [
        conv(3, padding="same"),
        conv(3, padding="same", activate=False),
        add(0, activate=True),
        conv(4, stride=2, padding="same"),
        conv(4, padding="same", activate=False),
        conv(4, kernel=1, stride=2, source=2, activate=False),
        add(4, activate=True),
        pool(2, mode="mean"),
        flatten(),
    ],
    "on pixels": [pool(2, stride=1), conv(2, padding="same"), add(0), pool(3, stride=2, padding=1), dense(4)],
    "two inputs": [conv(2, padding=1), conv(2, padding=1, source=-1, activate=False), add(0, activate=True), dense(4)],
}  # fmt: skip
"""Strides, paddings (even, odd, same), pools (mean, maximum, overlapping, padded), shortcuts, linear and parallel layers."""

TASK = Task("classification", (2, 6, 5), 3)


def set_up(learner, task=TASK, seed=0):
    learner.setup(task, torch.Generator().manual_seed(seed), "cpu")
    return learner


def images(task=TASK, samples=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, *task.input_shape, generator=generator)
    return x, torch.randint(max(task.classes, 1), (samples,), generator=generator)


def layers_of(network, task=TASK):
    return networks.layers([*networks.expand(network), {**dense(task.outputs), "activate": False}], task)


def numbered(state, symbol):
    """Return the tensors of one symbol by their number."""
    return {int(name[1:]): tensor for name, tensor in state.items() if name[0] == symbol}


def biased_randomly(learner, seed=1):
    """Give every bias a value: some initialisations leave them at zero, where a slip in their use does not show."""
    generator = torch.Generator().manual_seed(seed)
    for b in numbered(learner.state(), "b").values():
        b.normal_(0, 0.1, generator=generator)
    return learner
