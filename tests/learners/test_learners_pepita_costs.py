"""What a step of the PEPITA family costs: contractions against closed forms, live bytes against the least there can be."""

import sys
import weakref
from collections import Counter
from itertools import pairwise
from math import prod

import pytest
import torch
from learner_help import batch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fobench import networks
from fobench.contracts import Role, Task, role_of
from fobench.learners.afa import AFA
from fobench.learners.mempepita import MEMPEPITA
from fobench.learners.pepita import PEPITA
from fobench.learners.pepita_hebbian import HebbianPEPITA
from fobench.learners.pepita_time_local import TimeLocalPEPITA

SGD = {"name": "sgd", "eta": 0.01}
MOMENTUM = {"name": "momentum", "eta": 0.01}
CONV = [networks.conv(4, 3, stride=2, padding=1), networks.depthwise(3), networks.pool(2), networks.flatten(), 5]
LOCAL = [networks.local(3, 3), networks.flatten()]
RESIDUAL = [networks.conv(4), networks.conv(4, padding=1, activate=False), networks.add(0, activate=True)]
TASKS = {
    "dense": ([7, 6, 5], Task("classification", (9,), 3)),
    "conv": (CONV, Task("classification", (2, 9, 10), 4)),
    "local": (LOCAL, Task("classification", (2, 5, 6), 3)),
    "residual": (RESIDUAL, Task("classification", (2, 6, 6), 3)),
    "auto-encoder": ([6, 2, 6], Task("reconstruction", (10,))),
}
N = 4


def macs_of(name, args):
    """Multiply-accumulates of the contractions that these rules make; any other is an error."""
    if name in ("mm", "addmm", "addmm_"):
        left, right = args[name != "mm" :][:2]
        return left.shape[0] * left.shape[1] * right.shape[1]
    if name == "bmm":
        return prod(args[0].shape) * args[1].shape[2]
    if name == "convolution":
        x, W = args[:2]
        rows, columns = ((x.shape[i + 2] + 2 * args[4][i] - W.shape[i + 2]) // args[3][i] + 1 for i in (0, 1))
        return len(x) * rows * columns * W.numel()
    if name == "convolution_backward":
        delta, _, W = args[:3]
        assert args[-1] == [False, True, False], "no signal returns through a kernel"
        return len(delta) * delta.shape[2] * delta.shape[3] * W.numel()
    forbidden = {"baddbmm", "mv", "addmv", "addr", "dot", "einsum", "matmul", "linear", "outer"}
    assert name.rstrip("_") not in forbidden, name
    return 0


class Observer(TorchDispatchMode):
    """Counts contractions by their outermost role, and the bytes of the batch-sized storages born inside."""

    def __init__(self, samples):
        super().__init__()
        self.samples, self.macs, self.born, self.foreign, self.peak = samples, Counter(), [], set(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        inside = self.living()
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        self.foreign |= {tensor.untyped_storage().data_ptr() for tensor in given} - inside.keys()
        result = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        fresh = [tensor for tensor in made if tensor.untyped_storage().data_ptr() not in self.foreign]
        self.born += [weakref.ref(tensor) for tensor in fresh if tensor.dim() and tensor.shape[0] == self.samples]
        del given, made, fresh
        self.macs[self.role()] += macs_of(func.overloadpacket.__name__, args)
        self.peak = max(self.peak, sum(self.living().values()))
        return result

    def living(self):
        tensors = [tensor for tensor in (ref() for ref in self.born) if tensor is not None]
        return {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}

    def role(self):
        frame, outermost = sys._getframe(2), None
        while frame is not None:
            outermost = role_of(frame.f_code) or outermost
            frame = frame.f_back
        return outermost


def observed(rule, network, task, samples=N, **fields):
    learner = rule(network, **fields)
    learner.setup(task, torch.Generator().manual_seed(0), "cpu")
    x, y = batch(task.inputs, max(task.classes, 1), samples)
    x = x.view(samples, *task.input_shape)
    learner.train_step(x, y)
    with Observer(samples) as observer:
        learner.train_step(x, y)
    return observer


@pytest.fixture(params=TASKS)
def case(request):
    network, task = TASKS[request.param]
    layers = [layer for layer in networks.layers(network, task) if layer.has_weights]
    M_h = sum(layer.macs for layer in layers)
    top = networks.layers(network, task)[-1].units * task.outputs
    return network, task, M_h, M_h + top


@pytest.mark.parametrize("optimizer", [SGD, MOMENTUM, {"name": "adam"}], ids=lambda optimizer: optimizer["name"])
@pytest.mark.parametrize("rule", [PEPITA, MEMPEPITA, HebbianPEPITA, TimeLocalPEPITA, AFA])
def test_contractions(rule, optimizer, case):
    """`learning_rules` 0.2 and 11, per sample: M forward of one pass, M_h of the hidden layers, n_0 C projection."""
    network, task, M_h, M = case
    forward, second, update = {
        PEPITA: (M, M, M),
        MEMPEPITA: (2 * M, M, M),
        HebbianPEPITA: (M, M, 2 * M),
        TimeLocalPEPITA: (M, M, 2 * M),
        AFA: (M, M_h, M),
    }[rule]
    found = observed(rule, network, task, optimizer=optimizer).macs
    assert {role: count for role, count in found.items() if count} == {
        Role.FORWARD: N * forward,
        Role.SECOND_PASS: N * second,
        Role.WEIGHT_UPDATE: N * update,
        Role.PROJECTION: N * task.inputs * task.outputs,
    }


@pytest.mark.parametrize("fields", [{"feedback": "shuffled"}, {"feedback": "zero"}, {"output_error": "standard"}])
def test_ablations_cost_what_the_rule_costs(fields, case):
    network, task, _, M = case
    total = sum(observed(PEPITA, network, task, **fields).macs.values())
    assert total == N * (3 * M + task.inputs * task.outputs)


def test_mirroring_adds_two_products_and_the_product_of_the_factors():
    network, task = [7, 6], Task("classification", (9,), 3)
    m = [n * k for n, k in pairwise([9, 7, 6, 3])]
    plain = observed(PEPITA, network, task, sign=-1).macs
    mirrored = observed(PEPITA, network, task, sign=-1, mirror={"pre_mirror": 0, "mirror": 1}).macs
    assert sum(mirrored.values()) - sum(plain.values()) == 2 * N * sum(m) + 3 * sum(m[:-1])


# --- memory: in maps of one hidden layer, N x WIDTH -------------------------------------------------------------------

ROWS, WIDTH, INPUTS = 64, 500, 196
MAP = ROWS * WIDTH * 8


def maps(rule, depth, network=None, inputs=INPUTS, **fields):
    fields = {"optimizer": MOMENTUM, "keep": 1, **fields}
    task = Task("classification", (inputs,), 10)
    return observed(rule, network or [WIDTH] * depth, task, ROWS, **fields).peak / MAP


@pytest.mark.parametrize("depth", [2, 4, 7])
def test_memory_on_dense_nets(depth):
    """The standard pass, X^err (0.39) and H_1^err; two layers of both passes and D; and so on.

    Without dropout: the observer takes the random words of a mask for another's memory. With it, see test_learners_memory.
    """
    assert depth + 1.39 <= maps(PEPITA, depth) < 1.03 * (depth + 1.4)
    assert 4 <= maps(MEMPEPITA, depth) < 4.1
    assert 4 <= maps(MEMPEPITA, depth, feedback="shuffled", normalisation="per-sample") < 4.1
    assert 2 <= maps(TimeLocalPEPITA, depth) < 2.3
    least = depth + 2  # H_1 .. H_L, H_1^err and H_2^err, at layer 2
    assert least - 0.01 <= maps(HebbianPEPITA, depth) < 1.03 * least


def test_a_wide_input_does_not_outlive_its_layer():
    """784-100-2000-2000: at layer 3 all that is needed is H_3, H_2^err, H_3^err; X^err is gone."""
    peak = maps(PEPITA, 3, [WIDTH // 5, WIDTH, WIDTH], inputs=4 * WIDTH)
    least = max(0.2 + 1 + 1 + 4 + 0.2, 1 + 1 + 0.2 + 1, 3)
    assert least <= peak < 1.05 * least
    late = maps(PEPITA, 2, [WIDTH // 5, 3 * WIDTH], inputs=2 * WIDTH)
    least = max(0.2 + 3 + 2 + 0.2, 3 + 0.2 + 3)  # at layer 2: H_2, H_1^err, H_2^err
    assert least <= late < 1.05 * least


def test_memory_on_a_residual_net():
    """In maps of 16 x 32 x 32: H_0, H_1 and the linear one of the first block, halved and quartered in the others."""
    task, samples, own = networks.named_tasks()["resnet8"], 4, 3 + 3 / 2 + 3 / 4
    full = samples * 16 * 32 * 32 * 8
    # at the first layer: the whole standard pass, X^err and H_0^err
    least = own + 3 * 1024 / 16384 + 1
    assert least <= observed(PEPITA, "resnet8", task, samples, keep=1).peak / full < 1.01 * least
    # at the third: both passes of the shortcut, of the layer, H_1^err, and D
    assert 6 <= observed(MEMPEPITA, "resnet8", task, samples, keep=1).peak / full < 6.01
