"""Contractions of one step, counted by an observer of this file, against the closed forms of `learning_rules` 0.2."""

import sys
from collections import Counter
from itertools import pairwise
from math import prod

import pytest
from learner_help import batch, ready
from torch.utils._python_dispatch import TorchDispatchMode

from fobench.contracts import Role, role_of
from fobench.learners.biofo import BioFO
from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd
from fobench.learners.drtp import DRTP
from fobench.learners.ff import FF
from fobench.learners.pepita import PEPITA

PRODUCTS = {"mm": 0, "addmm": 1, "addmm_": 1}
OTHERS = {"bmm", "baddbmm", "mv", "addmv", "addr", "dot", "einsum", "matmul", "linear", "convolution", "outer"}
N = 4


class Counting(TorchDispatchMode):
    """Counts MACs by the outermost role on the call stack."""

    def __init__(self):
        super().__init__()
        self.macs = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name.rstrip("_") not in OTHERS, name
        if name in PRODUCTS:
            left, right = args[PRODUCTS[name] :][:2]
            self.macs[self.role()] += left.shape[0] * left.shape[1] * right.shape[1]
        return func(*args, **(kwargs or {}))

    def role(self):
        frame, outermost = sys._getframe(2), None
        while frame is not None:
            outermost = role_of(frame.f_code) or outermost
            frame = frame.f_back
        return outermost


def macs(learner, classes, inputs, stage=None, phase="train"):
    learner = ready(learner, inputs, classes)
    if stage is not None:
        learner.begin_stage(stage)
    x, y = batch(inputs, classes, N)
    with Counting() as counting:
        learner.train_step(x, y) if phase == "train" else learner.predict(x)
    assert all(value % N == 0 for value in counting.macs.values())
    return {role: value // N for role, value in counting.macs.items()}


@pytest.fixture(params=[(7, [5], 3), (9, [6, 6, 4], 4), (13, [11, 3, 8, 5], 2)], ids=str)
def net(request):
    inputs, hidden, classes = request.param
    sizes = [inputs, *hidden, classes]
    m = [prod(pair) for pair in pairwise(sizes)]
    return {
        "fields": (classes, inputs), "hidden": hidden, "m": m, "M": sum(m), "M_h": sum(m[:-1]), "N_h": sum(hidden),
        "C": classes, "n0": inputs,
    }  # fmt: skip


@pytest.mark.parametrize(
    "optimizer", [{"name": "sgd"}, {"name": "momentum", "nesterov": True, "decay": 0.1}, {"name": "adam"}]
)
def test_bp(net, optimizer):
    found = macs(BP(net["hidden"], optimizer=optimizer), *net["fields"])
    M, m_1 = net["M"], net["m"][0]
    assert found == {Role.FORWARD: M, Role.INPUT_GRADIENT: M - m_1, Role.WEIGHT_UPDATE: M}


def test_bp_autograd(net):
    assert sum(macs(BPAutograd(net["hidden"]), *net["fields"]).values()) == 3 * net["M"] - net["m"][0]


def test_drtp(net):
    assert macs(DRTP(net["hidden"]), *net["fields"]) == {Role.FORWARD: net["M"], Role.WEIGHT_UPDATE: net["M"]}


@pytest.mark.parametrize("output_error", ["modulated", "standard"])
def test_pepita(net, output_error):
    found = macs(PEPITA(net["hidden"], output_error=output_error), *net["fields"])
    M = net["M"]
    assert found == {
        Role.FORWARD: M, Role.SECOND_PASS: M, Role.WEIGHT_UPDATE: M, Role.PROJECTION: net["n0"] * net["C"],
    }  # fmt: skip


def test_ff(net):
    found = macs(FF(net["hidden"]), *net["fields"])
    assert found == {Role.FORWARD: 2 * net["M_h"], Role.WEIGHT_UPDATE: 2 * net["M_h"]}


def test_ff_one_pass(net):
    found = macs(FF(net["hidden"], inference="one-pass"), *net["fields"])
    head = net["M_h"] + 2 * net["C"] * net["N_h"]
    assert found == {Role.FORWARD: 2 * net["M_h"], Role.WEIGHT_UPDATE: 2 * net["M_h"], Role.HEAD: head}


def test_biofo_sweep(net):
    found = macs(BioFO(net["hidden"], order="sweep"), *net["fields"])
    M_h, N_h, C = net["M_h"], net["N_h"], net["C"]
    assert found == {Role.FORWARD: M_h, Role.WEIGHT_UPDATE: M_h, Role.PROJECTION: 2 * C * N_h}


def test_biofo_greedy(net):
    total = 0
    for stage, width in enumerate(net["hidden"]):
        found = macs(BioFO(net["hidden"]), *net["fields"], stage=stage)
        assert found == {
            Role.FORWARD: sum(net["m"][: stage + 1]),
            Role.WEIGHT_UPDATE: net["m"][stage],
            Role.PROJECTION: 2 * net["C"] * width,
        }
        total += sum(found.values())
    L = len(net["hidden"]) + 1
    prefix = sum((L - level) * net["m"][level - 1] for level in range(1, L))
    assert total == prefix + net["M_h"] + 2 * net["C"] * net["N_h"]


def test_inference(net):
    C, hidden = net["C"], net["hidden"]
    for learner, expected in (
        (BP(hidden), net["M"]),
        (BPAutograd(hidden), net["M"]),
        (DRTP(hidden), net["M"]),
        (PEPITA(hidden), net["M"]),
        (FF(hidden), C * net["M_h"]),
        (FF(hidden, inference="one-pass"), net["M_h"] + C * net["N_h"]),
        (BioFO(hidden, order="sweep"), net["M_h"] + C * hidden[-1]),
    ):
        assert sum(macs(learner, *net["fields"], phase="infer").values()) == expected
