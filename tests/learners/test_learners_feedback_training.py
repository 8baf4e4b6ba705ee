"""The feedback rules train: dense nets on clusters, small convolutional nets on digits, beyond what their output layer can."""

import pytest
import torch
from feedback_help import set_up
from learner_help import ready, train
from sklearn.datasets import load_digits

from fobench.contracts import Task
from fobench.learners.dfa import DFA, SDFA
from fobench.learners.drtp import DRTP
from fobench.learners.fa import FA
from fobench.learners.ifa import IFA
from fobench.learners.sign_symmetry import BRSF, FRSF, USF
from fobench.networks import add, conv, depthwise, flatten, pool

ETAS = {
    FA: {"name": "adam", "eta": 5e-3}, DFA: {"name": "adam", "eta": 5e-3}, IFA: {"name": "adam", "eta": 5e-3},
    SDFA: {"name": "momentum", "eta": 2e-3, "nesterov": True},
    DRTP: {"name": "momentum", "eta": 2e-3, "nesterov": True},
    USF: {"name": "momentum", "eta": 0.1}, BRSF: {"name": "momentum", "eta": 0.1}, FRSF: {"name": "momentum", "eta": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("rule", ETAS)
def test_separable_classes_are_learned(rule):
    assert train(ready(rule([24, 20], optimizer=ETAS[rule]), 14, 3), epochs=10) < 0.1


RESIDUAL = [
    conv(8, padding="same"), conv(8, padding="same"), conv(8, padding="same", activate=False), add(0, activate=True),
    conv(16, stride=2, padding="same"), conv(16, padding="same", activate=False),
    conv(16, kernel=1, stride=2, source=3, activate=False), add(5, activate=True), pool(4, mode="mean"), flatten(),
]  # fmt: skip
"""Two blocks of ResNet-8, for 8 x 8 pixels."""

SEPARABLE = [
    conv(16, stride=2, padding="same"), depthwise(3, padding="same"), conv(16, kernel=1), depthwise(3, padding="same"),
    conv(16, kernel=1), pool(4, mode="mean"), flatten(),
]  # fmt: skip
"""DS-CNN with two of its four stages, for 8 x 8 pixels."""


def digits_error(rule, network, seed, frozen=False):
    """Return the error on 597 of scikit-learn's digits after three passes over the other 1,200."""
    digits = load_digits()
    x = torch.tensor(digits.images[:, None] / 16 - 0.3, dtype=torch.float32)
    y = torch.tensor(digits.target)
    optimizer = {"name": "momentum", "eta": 0.1}
    fields = {"activation": "tanh", "output": "softmax", "bias": False, "feedback_init": "he-uniform"}
    learner = rule(network, hidden_scale="mean", optimizer=optimizer, **fields)
    set_up(learner, Task("classification", (1, 8, 8), 10), seed)
    for node in learner.nodes[:-1] if frozen else ():
        node.accumulate_ = lambda *_: None
    order = torch.Generator().manual_seed(seed)
    for _ in range(3):
        for part in torch.randperm(1200, generator=order).split(32):
            learner.train_step(x[part], y[part])
    return float((learner.predict(x[1200:]).scores.argmax(1) != y[1200:]).double().mean())


@pytest.mark.parametrize("network", [RESIDUAL, SEPARABLE], ids=["residual", "separable"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_convolutional_nets_learn_more_than_their_output_layer(network, seed):
    """Better than with frozen hidden layers, which for one seed are the same for both rules, and than chance, 0.9."""
    torch.set_default_dtype(torch.float32)
    frozen = digits_error(DFA, network, seed, frozen=True)
    for rule in (DFA, DRTP):
        assert digits_error(rule, network, seed) < min(frozen, 0.88) - 0.02, rule
