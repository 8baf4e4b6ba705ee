"""Bytes alive within one step: what each rule must keep, by an observer of this file (`learning_rules` 0.3)."""

import weakref
from itertools import accumulate

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learner_help import RULES, batch, ready
from step_floor import peak_over_minimum
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fobench import networks, plugins
from fobench.contracts import Selective, Task
from fobench.learners import dropout, parts
from fobench.learners.biofo import BioFO
from fobench.learners.bp import BP
from fobench.learners.drtp import DRTP
from fobench.learners.ff import FF
from fobench.learners.pepita import PEPITA

N, WIDTH = 512, 16
MAP = N * WIDTH * 8
SGD = {"name": "sgd"}


class Alive(TorchDispatchMode):
    """Records the peak of the bytes whose storages were born inside."""

    def __init__(self):
        super().__init__()
        self.born, self.foreign, self.peak = [], set(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        inside = self.living()
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        self.foreign |= {place(tensor) for tensor in tensors} - inside.keys()
        result = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.born += [weakref.ref(tensor) for tensor in made if place(tensor) not in self.foreign]
        del tensors, made
        self.peak = max(self.peak, sum(self.living().values()))
        return result

    def living(self):
        tensors = [tensor for tensor in (ref() for ref in self.born) if tensor is not None]
        return {place(tensor): tensor.untyped_storage().nbytes() for tensor in tensors}


def place(tensor):
    return tensor.untyped_storage().data_ptr()


def peak(learner, inputs=WIDTH, stage=None, phase="train"):
    learner = ready(learner, inputs, 3)
    if stage is not None:
        learner.begin_stage(stage)
    x, y = batch(inputs, 3, N)
    with Alive() as alive:
        learner.train_step(x, y) if phase == "train" else learner.predict(x)
    return alive.peak


def allocated(learner, inputs):
    """Peak of what torch's own allocator gave out in one step, scratch inside its kernels included."""
    learner = ready(learner, inputs, 3)
    x, y = batch(inputs, 3, N)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        learner.train_step(x, y)
    events = profiler.profiler.kineto_results.events()
    return max(accumulate(event.nbytes() for event in events if event.name() == "[memory]"))


@pytest.mark.parametrize("rule", RULES)
def test_no_kernel_allocates_a_map_that_the_ledger_cannot_see(rule):
    """An operand of another dtype, for one, is converted in a tensor that no operation returns; a part of a map may be."""
    width = 4 * dropout.TOGETHER // N
    learner = rule([width] * 6, optimizer=SGD)
    assert allocated(learner, width) < peak(learner, width) + 0.5 * MAP * width / WIDTH


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_bp_keeps_one_map_per_layer(activation):
    peaks = [peak(BP([WIDTH] * depth, activation=activation, optimizer=SGD)) for depth in (2, 3, 6)]
    assert peaks[1] - peaks[0] == MAP and peaks[2] - peaks[1] == 3 * MAP
    # H_1, H_2 and the signal of layer 2, with what has one value per class or sample beside them
    assert 3 * MAP <= peaks[0] < 3.6 * MAP


def test_pepita_keeps_one_map_and_one_byte_per_unit_and_layer():
    peaks = [peak(PEPITA([WIDTH] * depth, optimizer=SGD)) for depth in (2, 3, 6)]
    per_layer = MAP + N * WIDTH
    assert peaks[1] - peaks[0] == per_layer and peaks[2] - peaks[1] == 3 * per_layer


@pytest.mark.parametrize(
    ("rule", "fields", "maps"),
    [
        (DRTP, {}, 3),
        (BioFO, {"order": "sweep"}, 3),
        # 2N rows: neighbours and the signal
        (FF, {}, 6),
    ],
)
def test_streaming_rules_do_not_grow_with_depth(rule, fields, maps):
    peaks = [peak(rule([WIDTH] * depth, optimizer=SGD, **fields)) for depth in (3, 6)]
    assert peaks[0] == peaks[1] < (maps + 0.6) * MAP


def test_biofo_stage_is_no_dearer_than_a_layer():
    deep = peak(BioFO([WIDTH] * 5, optimizer=SGD), stage=4)
    assert deep == peak(BioFO([WIDTH] * 3, optimizer=SGD), stage=2) < 3.6 * MAP


@pytest.mark.parametrize(("rule", "rows"), [(BP, 1), (DRTP, 1), (PEPITA, 1), (BioFO, 1), (FF, 3)])
def test_inference_keeps_two_neighbouring_layers(rule, rows):
    fields = {"order": "sweep"} if rule is BioFO else {}
    peaks = [peak(rule([WIDTH] * depth, **fields), phase="infer") for depth in (3, 6)]
    assert peaks[0] == peaks[1] < (2 * rows + 0.6) * MAP


def test_adam_keeps_no_gradient_but_the_one_in_use():
    """With one sample, a step's peak is one weight's correlation (the largest), not the sum over layers."""
    wide = ready(BP([60, 60, 60]), 40, 3)
    x, y = batch(40, 3, 1)
    with Alive() as alive:
        wide.train_step(x, y)
    largest = 60 * 60 * 8
    assert largest <= alive.peak < 1.2 * largest


NETS = {
    "784-300x4-10, batch 100": ([300] * 4, Task("classification", (784,), 10), 100),
    "resnet8, batch 8": ("resnet8", networks.named_tasks()["resnet8"], 8),
}


FREE = {"bp-autograd"}
"""Autograd keeps what it likes, that is what the rule is there to show."""
BOUND = sorted((plugins.installed("costs").keys() & plugins.installed("learners").keys()) - FREE)


@pytest.mark.parametrize("name", BOUND)
@pytest.mark.parametrize("net", NETS)
def test_peak_is_within_a_tenth_of_the_minimum(name, net):
    """The bar of every rule: what `fobench.costs` derives from the equations, against what lives in a step."""
    torch.set_default_dtype(torch.float32)
    network, task, samples = NETS[net]
    if isinstance(learner := plugins.load(name, "learners")(network), Selective) and learner.refuses(task):
        assert net != "784-300x4-10, batch 100"
        return
    peak, minimum = peak_over_minimum(name, network, task, samples)
    assert minimum <= peak * 1.001 and peak <= 1.10 * minimum


@pytest.mark.parametrize("name", ["biofo", "bp", "cafo", "light-biofo", "light-pepita", "tinyfoa"])
def test_the_padded_copy_of_a_large_map_is_made_in_bands(name):
    """Up to MobileNet's first strided depthwise layer: the copy would be half a minimum more."""
    torch.set_default_dtype(torch.float32)
    network = [*networks.expand("mobilenet-v1-0.25")[:5], networks.pool(24, mode="mean")]
    peak, minimum = peak_over_minimum(name, network, Task("classification", (3, 96, 96), 3), 4)
    assert minimum <= peak * 1.001 and peak <= 1.10 * minimum


def test_time_local_pepita_never_holds_the_mask_of_a_large_layer():
    """Two maps, as without dropout; the mask of one would be an eighth of them."""
    torch.set_default_dtype(torch.float32)
    peak, minimum = peak_over_minimum("pepita-time-local", [1000] * 3, Task("classification", (50,), 10), 40)
    assert minimum == 2 * 40 * 1000 * 4 and peak <= 1.02 * minimum


@pytest.mark.parametrize("name", ["biofo", "light-biofo"])
def test_the_signal_through_a_global_mean_pool_takes_the_place_of_the_map(name):
    """What the layer reads and its own map; the signal, of its map's size, is no third one."""
    torch.set_default_dtype(torch.float32)
    network = [networks.conv(16, padding=1), networks.conv(16, kernel=1), networks.pool(8, mode="mean")]
    peak, minimum = peak_over_minimum(name, network, Task("classification", (1, 8, 8), 3), 40)
    assert 2 * 40 * 16 * 64 * 4 <= peak <= 1.10 * minimum


POOLED = [networks.conv(16, padding=1), networks.pool(2), networks.flatten()]
PICTURES = Task("classification", (1, 8, 8), 3)


@pytest.mark.parametrize(("phase", "maps"), [("infer", 1.25), ("train", 2.25)])
def test_the_places_of_maxima_never_exist_all_at_once(phase, maps):
    """The map, the pooled one and, on the way back, the signal: eight bytes a place would be half a map more."""
    torch.set_default_dtype(torch.float32)
    learner = BP(POOLED, optimizer=SGD)
    learner.setup(PICTURES, torch.Generator().manual_seed(0), "cpu")
    x, y = torch.rand(64, 1, 8, 8), torch.randint(3, (64,))
    with Alive() as alive:
        learner.train_step(x, y) if phase == "train" else learner.predict(x)
    size = 64 * 16 * 64 * 4
    assert maps * size <= alive.peak < (maps + 0.25) * size


@pytest.mark.parametrize("samples", [1, 3, 7, 12, 33])
@pytest.mark.parametrize("name", ["bp", "pepita", "afa", "ifa"])
def test_a_pool_does_the_same_for_a_sample_more(name, samples):
    """The tracer of live tensors pairs the storages of two batches: as many must be born in each."""
    torch.set_default_dtype(torch.float32)
    peak, minimum = peak_over_minimum(name, POOLED, PICTURES, samples)
    assert minimum <= peak * 1.001


@given(st.integers(1, 300), st.integers(1, 3000), st.integers(1, 10**6))
def test_parts_of_a_batch_are_a_quarter_at_most_and_a_sample_at_least(N, units, values):
    samples = parts.samples_at_once(torch.empty(N, units, device="meta"), values)
    assert samples == 1 or (samples <= N // 4 and samples * units <= values)
    assert 2 * samples > min(N // 4, values // units)


def test_parts_are_the_same_samples_of_every_map():
    maps = torch.arange(10), torch.arange(10) * 2
    found = list(parts.in_parts(4, *maps))
    assert [len(part) for part, _ in found] == [4, 4, 2]
    assert all(torch.equal(2 * one, other) for one, other in found)
