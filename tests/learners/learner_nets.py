"""Small networks of every layer kind, with their tasks, and a learner's network as the slow references take it."""

from __future__ import annotations

import re

import slow_layers
import torch

from fobench import networks
from fobench.contracts import Task
from fobench.networks import add, conv, depthwise, flatten, local, pool

NETS = {
    "dense": ([6, 5], Task("classification", (7,), 3)),
    "linear-dense": ([6, {"kind": "dense", "units": 5, "activate": False}], Task("classification", (7,), 3)),
    "conv": ([conv(3, kernel=[3, 2], stride=[2, 1]), conv(4, padding=1)], Task("classification", (2, 6, 5), 3)),
    "conv-same": (
        [conv(3, kernel=[4, 3], stride=2, padding="same"), conv(2, kernel=2, padding=[0, 1, 1, 0]), flatten(), 5],
        Task("classification", (2, 7, 6), 3),
    ),
    "separable": (
        [conv(4, padding="same"), depthwise(3, stride=2, padding="same"), conv(3, kernel=1), pool(2, mode="mean")],
        Task("classification", (1, 7, 8), 3),
    ),
    "pools": (
        [conv(3, kernel=3), pool(2), conv(4, kernel=2, padding=1), pool(2, stride=1, mode="mean"), flatten()],
        Task("classification", (2, 8, 7), 3),
    ),
    "pool-first": ([pool(2), conv(3, kernel=2), pool(3, stride=1, padding=1)], Task("classification", (2, 6, 6), 3)),
    "local": (
        [local(3, kernel=[3, 2], stride=[2, 1], padding="same"), local(2, kernel=2)],
        Task("classification", (2, 5, 4), 3),
    ),
    "residual": (
        [
            conv(3, padding="same"), conv(3, padding="same"), conv(3, padding="same", activate=False), add(0, activate=True),
            conv(4, stride=2, padding="same"), conv(4, padding="same", activate=False),
            conv(4, kernel=1, stride=2, source=3, activate=False), add(5, activate=True), pool(2, mode="mean"), flatten(),
        ],
        Task("classification", (2, 6, 6), 3),
    ),
    "residual-input": (
        [conv(2, padding="same", activate=False), add(-1), conv(3), add(2), flatten()],
        Task("classification", (2, 5, 5), 3),
    ),
    "auto-encoder": ([6, 3, 6], Task("reconstruction", (8,))),
}  # fmt: skip


def samples(task, count, seed=0):
    """Random inputs of a task and labels; for a reconstruction the labels are 0."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, *task.input_shape, generator=generator)
    return x, torch.randint(max(task.classes, 1), (count,), generator=generator)


def set_up(learner, task, seed=0):
    learner.setup(task, torch.Generator().manual_seed(seed), "cpu")
    return learner


def numbered(state, symbol):
    """The tensors `W1`, `W2`, ... of a state."""
    names = sorted(
        (name for name in state if re.fullmatch(symbol + r"\d+", name)), key=lambda name: int(name[len(symbol) :])
    )
    return [state[name].clone() for name in names]


def slow_net(learner, task, f="relu", output=True):
    """A copy of a learner's network for the slow references, with the rule's output layer on top where it has one."""
    records = networks.expand(learner.network)
    if output:
        records = [*records, {**networks.dense(task.outputs), "activate": False}]
    state = learner.state()
    return slow_layers.Net(records, numbered(state, "W"), numbered(state, "b") or None, f)
