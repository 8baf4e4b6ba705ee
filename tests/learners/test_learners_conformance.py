"""`check_learner` on every installed learner and network, and on learners that break one rule of the contract each."""

import functools
import random
from dataclasses import dataclass, field

import numpy
import pytest
import torch

from fobench import plugins
from fobench.contracts import FobenchError, Prediction
from fobench.testing import Budget, ConformanceError, check_learner
from fobench.testing.nets import DENSE, MAPS, NETS, OTHERS


def adam(eta):
    return {"optimizer": {"name": "adam", "eta": eta}}


def momentum(eta, **options):
    return {"optimizer": {"name": "momentum", "eta": eta, **options}}


SETTINGS = {
    "drtp": {"hidden_scale": "mean", **momentum(0.05, nesterov=True)},
    "pepita": momentum(0.01, eta_in_buffer=True),
    "mempepita": momentum(0.01, eta_in_buffer=True),
    "pepita-hebbian": momentum(0.01, eta_in_buffer=True),
    "pepita local": {"keep": 1, **adam(1e-2)},
    "mempepita local": {"keep": 1, **adam(1e-2)},
    "pepita-hebbian local": {"keep": 1, **adam(1e-2)},
    "pepita-time-local local": {"keep": 1, **adam(3e-3)},
    "pepita auto-encoder": momentum(1e-3, eta_in_buffer=True),
    "mempepita auto-encoder": momentum(1e-3, eta_in_buffer=True),
    "pepita-hebbian auto-encoder": momentum(3e-4, eta_in_buffer=True),
    "pepita-time-local auto-encoder": momentum(1e-3, eta_in_buffer=True),
    "afa auto-encoder": momentum(1e-3, eta_in_buffer=True),
    "ff": momentum(0.05, decay=3e-4),
    "ff conv": adam(3e-3),
    "ff residual": {"label_amplitude": 5.0, **adam(3e-3)},
    "ff local": adam(1e-2),
}
"""Step sizes for the toy task, far smaller than those that the published ones were chosen for: by rule, by rule and network;
else Adam's."""
LABEL_IN_A_CORNER = {"ff-mpezeshki", "lightff", "lightff-label-oracle"}
"""On maps of 8 x 8 a label in three pixels of a corner is hardly seen by a few filters; the rules' own tests train on larger."""


@pytest.mark.parametrize("name", sorted(plugins.installed("learners")))
@pytest.mark.parametrize("net", NETS)
def test_every_installed_learner_keeps_the_contract(name, net):
    network, task = NETS[net]
    rule = plugins.load(name, "learners")
    default = adam(1e-2) if "optimizer" in plugins.argument_names(rule) else {}
    settings = SETTINGS.get(f"{name} {net}", SETTINGS.get(name, default))
    budget = DENSE if net == "dense" and name != "light-biofo" else OTHERS
    if net != "dense" and name in LABEL_IN_A_CORNER:
        budget = Budget(epochs=1, error=1)
    unchecked = check_learner(rule, task, {"network": network, **settings}, budget=budget)
    allowed = ("refuses", "no entry point in fobench.costs", "has no stages", "nothing is drawn")
    assert all(any(reason in sentence for reason in allowed) for sentence in unchecked), unchecked
    assert net != "dense" or not any("refuses" in sentence for sentence in unchecked)


@dataclass
class Delta:
    """Softmax regression, which keeps the contract; the classes below each break it once."""

    network: list = field(default_factory=list)
    eta: float = 0.1

    def setup(self, task, generator, device):
        self.W1 = torch.empty(task.classes, task.inputs, device=device).normal_(0, 0.01, generator=generator)

    @torch.no_grad()
    def train_step(self, x, y):
        x = x.flatten(1)
        E = torch.softmax(x @ self.W1.T, 1)
        E[torch.arange(len(y)), y] -= 1
        self.W1.addmm_(E.T, x, alpha=-self.eta / len(x))

    @torch.no_grad()
    def predict(self, x):
        return Prediction(x.flatten(1) @ self.W1.T)

    def state(self):
        return {"W1": self.W1}


@dataclass
class AllocatesEarly(Delta):
    def __post_init__(self):
        self.buffer = torch.zeros(3)


@dataclass
class ComputesEarly(Delta):
    def __post_init__(self):
        self.depth = len(self.network)


@dataclass
class ChangesItsArgument(Delta):
    def __post_init__(self):
        self.eta = self.eta / 2


@dataclass
class WritesItsField(Delta):
    def setup(self, task, generator, device):
        super().setup(task, generator, device)
        self.eta = 0.2


@dataclass
class NoNetwork:
    eta: float = 0.1


@dataclass
class DrawsGlobally(Delta):
    def setup(self, task, generator, device):
        super().setup(task, generator, device)
        self.W1.normal_()


@dataclass
class DrawsWithNumpy(Delta):
    def train_step(self, x, y):
        numpy.random.rand()
        super().train_step(x, y)


@dataclass
class DrawsWithPython(Delta):
    def predict(self, x):
        random.random()
        return super().predict(x)


@dataclass
class IgnoresItsDraws(Delta):
    def setup(self, task, generator, device):
        super().setup(task, generator, device)
        self.W1.zero_()


@dataclass
class DrawsNothing(Delta):
    def setup(self, task, generator, device):
        self.W1 = torch.zeros(task.classes, task.inputs)


@dataclass
class LeavesAGraph(Delta):
    def setup(self, task, generator, device):
        super().setup(task, generator, device)
        self.W = self.W1.requires_grad_()

    def train_step(self, x, y):
        self.loss = torch.nn.functional.cross_entropy(x.flatten(1) @ self.W.T, y)
        (G,) = torch.autograd.grad(self.loss, self.W)
        self.loss = self.loss.clone()
        with torch.no_grad():
            self.W -= self.eta * G

    def state(self):
        return {"W1": self.W.detach()}


@dataclass
class LeavesGradients(LeavesAGraph):
    def train_step(self, x, y):
        torch.nn.functional.cross_entropy(x.flatten(1) @ self.W.T, y).backward()
        with torch.no_grad():
            self.W -= self.eta * self.W.grad


@dataclass
class ScoresWithAGraph(Delta):
    def predict(self, x):
        return Prediction(x.flatten(1) @ self.W1.clone().requires_grad_().T)


@dataclass
class WritesX(Delta):
    def train_step(self, x, y):
        super().train_step(x, y)
        x.mul_(2)


@dataclass
class WritesWhenPredicting(Delta):
    def predict(self, x):
        return super().predict(x.sub_(1))


@dataclass
class WrongShape(Delta):
    def predict(self, x):
        return Prediction(super().predict(x).scores.argmax(1))


@dataclass
class NotFinite(Delta):
    def predict(self, x):
        return Prediction(super().predict(x).scores / 0)


@dataclass
class WrongDepth(Delta):
    def predict(self, x):
        return Prediction(super().predict(x).scores, torch.ones(1))


@dataclass
class BatchesOnly(Delta):
    def train_step(self, x, y):
        if len(x) == 1:
            raise ValueError("expected more than 1 value per channel")
        super().train_step(x, y)


@dataclass
class CopiesItsState(Delta):
    def state(self):
        return {"W1": self.W1.clone()}


@dataclass
class StateAside(Delta):
    """What it gives out is trained, but not what it predicts from."""

    def predict(self, x):
        return Prediction(x.flatten(1) @ self.copy.T)

    def setup(self, task, generator, device):
        super().setup(task, generator, device)
        self.copy = self.W1.clone()

    def train_step(self, x, y):
        super().train_step(x, y)
        self.copy.copy_(self.W1)


@dataclass
class SinglePrecision(Delta):
    def setup(self, task, generator, device):
        super().setup(task, generator, device)
        self.B1 = torch.zeros(2, dtype=torch.float32)

    def state(self):
        return {"W1": self.W1, "B1": self.B1}


@dataclass
class FloatScores(Delta):
    def predict(self, x):
        return Prediction(super().predict(x).scores.float())


@dataclass
class NoStages(Delta):
    stages = 0

    def begin_stage(self, stage):
        pass


@dataclass
class IdleStage(Delta):
    def setup(self, task, generator, device):
        super().setup(task, generator, device)
        self.stages, self.stage = 2, 0

    def begin_stage(self, stage):
        self.stage = stage

    def train_step(self, x, y):
        if self.stage == 0:
            super().train_step(x, y)


@dataclass
class Decays(Delta):
    def begin_epoch(self, epoch, epochs):
        self.W1.mul_(0.5)


@dataclass
class CannotPredictWhenCalibrated(Delta):
    def calibrate(self, x, y):
        self.W1.fill_(torch.inf)


@dataclass
class LearnsNothing(Delta):
    def train_step(self, x, y):
        self.W1.add_(1e-6)


@dataclass
class RefusesInWordsOnly(Delta):
    def refuses(self, task):
        return "not this one"


FAULTS = {
    AllocatesEarly: "the constructor makes tensors",
    ComputesEarly: "stores 'depth', which is no field",
    ChangesItsArgument: "changes its argument 'eta'",
    WritesItsField: "changes the field 'eta'",
    NoNetwork: "no field `network`",
    DrawsGlobally: "the same seed gives another W1",
    DrawsWithNumpy: "the global random state of numpy",
    DrawsWithPython: "the global random state of Python",
    IgnoresItsDraws: "different seeds give the same state",
    LeavesAGraph: "tensors with an autograd graph",
    LeavesGradients: "gradients are left",
    ScoresWithAGraph: "scores carry an autograd graph",
    WritesX: "train_step writes into its inputs",
    WritesWhenPredicting: "predict writes into its inputs",
    WrongShape: r"scores of shape \(6,\), expected \(6, 3\)",
    NotFinite: "not finite",
    WrongDepth: r"depths of shape \(1,\), expected \(6,\)",
    BatchesOnly: "ValueError: expected more than 1 value",
    CopiesItsState: "moves no trained tensor",
    StateAside: "does not change predictions",
    SinglePrecision: "B1 is torch.float32 where torch's default is torch.float64",
    FloatScores: "scores are torch.float32",
    NoStages: "stages is 0",
    IdleStage: "stage 1 of 2 trains nothing",
    Decays: "begin_epoch changes W1",
    CannotPredictWhenCalibrated: "not finite",
    LearnsNothing: "expected at most 0.2",
    RefusesInWordsOnly: "but setup goes through",
}
TASK = NETS["dense"][1]
QUICK = Budget(epochs=2)


def test_a_learner_that_keeps_the_contract_passes():
    (unchecked,) = check_learner(Delta, TASK, {"eta": 0.2}, budget=QUICK)
    assert "no entry point in fobench.costs" in unchecked


def test_a_function_may_make_the_learner():
    assert check_learner(functools.partial(Delta, eta=0.2), MAPS, budget=QUICK)


def test_a_learner_that_draws_nothing_is_not_held_to_its_seeds():
    assert any("nothing is drawn" in sentence for sentence in check_learner(DrawsNothing, TASK, budget=QUICK))


@pytest.mark.parametrize("rule", FAULTS, ids=lambda rule: rule.__name__)
def test_every_fault_is_found(rule):
    options = {"eta": 0.2} if rule is ChangesItsArgument else {}
    with pytest.raises(ConformanceError, match=FAULTS[rule]) as caught:
        check_learner(rule, TASK, options, budget=QUICK)
    assert isinstance(caught.value, FobenchError) and isinstance(caught.value, AssertionError)
    assert not any("Traceback" in line for line in str(caught.value).splitlines())


def test_what_is_no_dataclass_is_refused():
    class Plain:
        network = ()

    with pytest.raises(ConformanceError, match="Plain is no dataclass"):
        check_learner(Plain, TASK)


def test_a_fault_that_many_checks_meet_is_told_once():
    class Broken(Delta):
        def setup(self, task, generator, device):
            raise RuntimeError("boom")

    with pytest.raises(ConformanceError) as caught:
        check_learner(Broken, TASK)
    assert str(caught.value).count("boom") == 1


def test_a_refused_task_is_reported_as_such():
    class Refuses(Delta):
        def refuses(self, task):
            return "Delta takes no maps; flatten them"

        def setup(self, task, generator, device):
            raise FobenchError(self.refuses(task))

    (sentence,) = check_learner(Refuses, TASK)
    assert sentence.endswith("which the learner refuses: Delta takes no maps; flatten them")
