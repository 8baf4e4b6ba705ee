"""Bio-FO, Mono-Forward, TinyFoA and CaFo on every kind of layer: slow references, vectors, products, bytes, refusals."""

import numpy as np
import pytest
import slow_local
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_help import UNIT, batch, ready

from fobench import networks
from fobench.contracts import Task
from fobench.learners import derived
from fobench.learners.activations import RELU
from fobench.learners.biofo import BioFO
from fobench.learners.cafo import CaFo
from fobench.learners.layers import build
from fobench.learners.mono_forward import MonoForward
from fobench.learners.stages import stages
from fobench.learners.tinyfoa import TinyFoA
from fobench.tracers.macs import MACs
from fobench.tracers.memory import LiveTensors

CLASSES = 3
conv, local, pool, depthwise, add = networks.conv, networks.local, networks.pool, networks.depthwise, networks.add
NETS = {
    "dense": ((4,), [5, 3]),
    "conv": ((2, 6, 5), [conv(3, padding=1), pool(2), depthwise(2), conv(2, kernel=1, stride=2), networks.flatten(), 4]),
    "same": ((1, 6, 5), [conv(2, kernel=[3, 2], stride=2, padding="same"), pool(2, stride=1, padding=1, mode="mean")]),
    "local": ((1, 5, 4), [local(2, padding=1), pool([2, 1]), local(3, kernel=2, stride=[1, 2])]),
    "residual": (
        (2, 4, 4),
        [
            conv(3, padding=1), conv(3, padding=1, activate=False), conv(3, kernel=1, source=0, activate=False),
            add(1, activate=True), pool(2, mode="mean"), networks.flatten(), 4,
        ],
    ),
}  # fmt: skip
few = settings(max_examples=6, deadline=None)
each_net = pytest.mark.parametrize("net", NETS)


def task_of(net):
    return Task("classification", NETS[net][0], CLASSES)


def set_up(learner, task, seed=0):
    learner.setup(task, torch.Generator().manual_seed(seed), "cpu")
    return learner


def images(task, samples, seed=0):
    generator = torch.Generator().manual_seed(seed + 50)
    return torch.randn(samples, *task.input_shape, generator=generator), torch.randint(
        task.classes, (samples,), generator=generator
    )


def copies(learner):
    return {name: tensor.clone() for name, tensor in learner.state().items()}


def numbered(state, symbol):
    names = [name for name in state if name.rstrip("0123456789") == symbol]
    return [state[name] for name in sorted(names, key=lambda name: int(name[len(symbol) :]))]


def moved(learner, x, y):
    """Return the state before a step, and what it has taken off each tensor."""
    before = copies(learner)
    learner.train_step(x, y)
    return before, {name: before[name].double() - after.double() for name, after in learner.state().items()}


def close(found, expected, tolerance=1e-9):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def read_outs(state):
    B = numbered(state, "B")
    return list(zip(B, numbered(state, "Bb") or [torch.zeros(CLASSES)] * len(B), strict=True))


@each_net
@few
@given(
    st.integers(1, 3), st.integers(0, 99), st.sampled_from(["gaussian", "ternary", "linear", "kaiming"]),
    st.sampled_from([("relu", "none"), ("tanh", "none"), ("relu", "sample"), ("linear", "sample")]),
)  # fmt: skip
def test_biofo_sweep(net, n, seed, feedback, form):
    task, (f, normalise) = task_of(net), form
    fields = {"feedback": feedback, "activation": f, "normalise": normalise, "optimizer": UNIT}
    learner = set_up(BioFO(NETS[net][1], order="sweep", **fields), task, seed)
    x, y = images(task, n, seed)
    scores = learner.predict(x).scores
    before, G = moved(learner, x, y)
    weights = numbered(before, "W"), numbered(before, "b")
    layers = networks.layers(NETS[net][1], task)
    expected = slow_local.biofo(layers, x, y, weights, read_outs(before), f, normalise == "sample")
    close(numbered(G, "W") + numbered(G, "b"), expected[0] + expected[1])
    close([scores], [expected[2][-1]])


@each_net
def test_biofo_stage_is_its_layer_of_the_sweep(net):
    """Without optimizer state, stage l moves layer l as a sweep would, and nothing else; then it predicts with layer l."""
    task = task_of(net)
    x, y = images(task, 4)
    fields = {"feedback": "linear", "normalise": "sample", "optimizer": UNIT}
    _, swept = moved(set_up(BioFO(NETS[net][1], order="sweep", **fields), task), x, y)
    greedy = set_up(BioFO(NETS[net][1], **fields), task)
    assert greedy.stages == len(numbered(greedy.state(), "W"))
    for stage in range(greedy.stages):
        learner = set_up(BioFO(NETS[net][1], **fields), task)
        learner.begin_stage(stage)
        before, G = moved(learner, x, y)
        own = {f"W{stage + 1}", f"b{stage + 1}"}
        for name, direction in G.items():
            torch.testing.assert_close(direction, swept[name] if name in own else torch.zeros_like(direction))
        layers = networks.layers(NETS[net][1], task)
        after = copies(learner)
        weights = numbered(after, "W"), numbered(after, "b")
        expected = slow_local.biofo(layers, x, y, weights, read_outs(before), normalise=True)[2][stage]
        close([learner.predict(x).scores], [expected])


def test_biofo_normalisation_is_per_sample_and_free_of_scale():
    task = task_of("conv")
    x, _ = images(task, 6)
    learner = set_up(BioFO(NETS["conv"][1], order="sweep", normalise="sample", bias=False), task)
    scores = learner.predict(x).scores
    close([torch.cat([learner.predict(row[None]).scores for row in x])], [scores])
    learner.state()["W1"].mul_(37)
    close([learner.predict(x).scores], [scores], 1e-6)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_biofo_mask_holds_what_the_masked_gradient_would(name):
    """Against an independent loop of G o S, with optimizer state, over several steps."""
    task, net = Task("classification", (6,), CLASSES), [7, 5]
    learner = set_up(BioFO(net, order="sweep", density=0.4, optimizer={"name": name, "eta": 0.05}), task)
    before = copies(learner)
    S, B = numbered(before, "S"), numbered(before, "B")
    assert all(set(s.flatten().tolist()) == {0, 1} for s in S)
    leaves = [tensor.clone().requires_grad_() for tensor in numbered(before, "W") + numbered(before, "b")]
    steps = {
        "sgd": lambda: torch.optim.SGD(leaves, 0.05),
        "momentum": lambda: torch.optim.SGD(leaves, 0.05, 0.9),
        "adam": lambda: torch.optim.Adam(leaves, 0.05),
    }[name]()
    for seed in range(4):
        x, y = batch(6, CLASSES, 5, seed)
        learner.train_step(x, y)
        h, loss = x, 0
        for level in (0, 1):
            h = (h.detach() @ (S[level] * leaves[level]).T + leaves[2 + level]).relu()
            loss = loss + torch.nn.functional.cross_entropy(h @ B[level].T, y)
        steps.zero_grad()
        loss.backward()
        steps.step()
    state = learner.state()
    close(numbered(state, "W"), [(s * leaf).detach() for s, leaf in zip(S, leaves, strict=False)])
    close(numbered(state, "b"), [leaf.detach() for leaf in leaves[2:]])


def test_biofo_mask_has_its_density_and_spares_other_layers():
    learner = set_up(BioFO([conv(4), networks.flatten(), 200], density=0.25), Task("classification", (1, 10, 10), 2))
    state = learner.state()
    assert [name for name in state if name[0] == "S"] == ["S2"]
    share = float(state["S2"].double().mean())
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / state["S2"].numel()) ** 0.5
    assert (state["W2"] != 0).double().mean() == pytest.approx(share) and bool((state["W1"] != 0).all())


@each_net
@few
@given(st.integers(1, 3), st.integers(0, 99), st.sampled_from(["relu", "tanh"]), st.sampled_from(["last", "sum"]))
def test_mono_forward(net, n, seed, f, prediction):
    task = task_of(net)
    learner = MonoForward(NETS[net][1], prediction=prediction, activation=f, optimizer=UNIT)
    x, y = images(task, n, seed)
    scores = set_up(learner, task, seed).predict(x).scores
    before, G = moved(learner, x, y)
    weights = numbered(before, "W"), numbered(before, "b")
    expected = slow_local.mono_forward(networks.layers(NETS[net][1], task), x, y, weights, numbered(before, "M"), f)
    found = numbered(G, "W") + numbered(G, "b") + numbered(G, "M")
    close(found, [*expected[0], *expected[1], *expected[2]])
    close([scores], [sum(expected[3]) if prediction == "sum" else expected[3][-1]])


@each_net
def test_mono_forward_stage_is_its_layer_of_the_sweep(net):
    """Without optimizer state, stage l moves layer l and its projection as a sweep would, and nothing else."""
    task = task_of(net)
    x, y = images(task, 4)
    _, swept = moved(set_up(MonoForward(NETS[net][1], optimizer=UNIT), task), x, y)
    for stage in range(len(numbered(swept, "W"))):
        learner = set_up(MonoForward(NETS[net][1], order="greedy", optimizer=UNIT), task)
        learner.begin_stage(stage)
        for name, direction in moved(learner, x, y)[1].items():
            own = name[1:] == str(stage + 1)
            torch.testing.assert_close(direction, swept[name] if own else torch.zeros_like(direction))


def test_mono_forward_equals_bio_fo_where_its_projection_holds_still():
    task = task_of("conv")
    x, y = images(task, 5)
    mono = set_up(MonoForward(NETS["conv"][1], optimizer=UNIT), task)
    fixed = set_up(BioFO(NETS["conv"][1], order="sweep", optimizer=UNIT), task)
    for name, tensor in mono.state().items():
        fixed.state()[name.replace("M", "B")].copy_(tensor)
    _, G = moved(mono, x, y)
    for name, direction in moved(fixed, x, y)[1].items():
        if name[0] in "Wb":
            torch.testing.assert_close(direction, G[name])


@each_net
@few
@given(st.integers(1, 3), st.integers(0, 99), st.sampled_from(["batch", "sample"]))
def test_tinyfoa(net, n, seed, scale):
    """Stage by stage with everything learning; steps so small that nothing is clamped."""
    task, small = task_of(net), {"name": "sgd", "eta": 1e-6}
    x, y = images(task, n, seed)
    learner = set_up(TinyFoA(NETS[net][1], split="none", scale=scale, optimizer=small), task, seed)
    for stage in range(learner.stages):
        learner.begin_stage(stage)
        state = learner.state()
        W = state[f"W{stage + 1}"]
        W[0] = (
            torch.tensor([1.0, -1.0, 0.5]).repeat(W[0].numel())[: W[0].numel()].view(W[0].shape)
        )  # some at the bounds
        scores = learner.predict(x).scores
        before, G = moved(learner, x, y)
        weights = numbered(before, "W"), numbered(before, "b")
        layers = networks.layers(NETS[net][1], task)
        expected = slow_local.tinyfoa(layers, x, y, weights, read_outs(before), scale)
        close([scores], [expected[2][stage]])
        for number in range(learner.stages):
            share = float(number == stage)
            close(
                [G[f"W{number + 1}"] * 1e6, G[f"b{number + 1}"] * 1e6],
                [expected[0][number] * share, expected[1][number] * share],
                1e-5,
            )


def test_tinyfoa_is_the_same_where_its_weights_are_made_binary_some_rows_at_a_time(monkeypatch):
    states = []
    for values in (derived.VALUES, 17):
        monkeypatch.setattr(derived, "VALUES", values)
        learner = set_up(TinyFoA([9, 8], split="none"), Task("classification", (6,), CLASSES))
        learner.begin_stage(1)
        learner.train_step(*batch(6, CLASSES, 9))
        states.append(copies(learner))
    close(states[0].values(), states[1].values())


def test_tinyfoa_sees_weights_that_are_written_between_steps():
    """The mean of a frozen layer is kept, but not past a change of its weights."""
    task = Task("classification", (6,), CLASSES)
    x, y = batch(6, CLASSES, 9)
    learner, fresh = (set_up(TinyFoA([9, 8], split="none"), task, seed) for seed in (0, 1))
    for one in (learner, fresh):
        one.begin_stage(1)
    learner.train_step(x, y)
    for name, tensor in learner.state().items():
        tensor.copy_(fresh.state()[name])
    assert torch.equal(learner.predict(x).scores, fresh.predict(x).scores)


def test_tinyfoa_clamps_and_keeps_what_has_left_the_straight_through_range():
    task = Task("classification", (6,), CLASSES)
    learner = set_up(TinyFoA([8], split="none", optimizer={"name": "sgd", "eta": 1e4}), task)
    learner.train_step(*batch(6, CLASSES, 9))
    state = copies(learner)
    assert max(float(state[name].abs().max()) for name in ("W1", "b1")) == 1
    stuck = state["W1"].abs() == 1
    learner.train_step(*batch(6, CLASSES, 9, seed=1))
    assert stuck.any() and bool((learner.state()["W1"] == state["W1"])[stuck].all())


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_tinyfoa_splits(epoch):
    """`vertical` moves the units of one half as `none` does; `quarter` moves all but one block."""
    task, sgd = Task("classification", (6,), CLASSES), {"name": "sgd", "eta": 1e-3}
    x, y = batch(6, CLASSES, 20)
    moves = {}
    for split in ("none", "vertical", "quarter"):
        learner = set_up(TinyFoA([9], split=split, optimizer=sgd), task)
        learner.begin_epoch(epoch, 4)
        moves[split] = moved(learner, x, y)[1]
    learns = torch.zeros(9, 1)
    learns[4:] = 1
    if epoch % 2 == 0:
        learns = 1 - learns
    torch.testing.assert_close(moves["vertical"]["W1"], learns * moves["none"]["W1"])
    torch.testing.assert_close(moves["vertical"]["b1"], learns[:, 0] * moves["none"]["b1"])
    held = torch.ones(9, 6)
    if epoch % 2 == 0:
        held[4:8, 3:6] = 0
    else:
        held[:4, :3] = 0
    torch.testing.assert_close(moves["quarter"]["W1"], held * moves["none"]["W1"])
    assert bool((moves["none"]["W1"] != 0).any(1).all())
    torch.testing.assert_close(moves["quarter"]["b1"], moves["none"]["b1"])


def test_tinyfoa_clamps_the_quarter_that_is_put_back():
    learner = set_up(TinyFoA([8], split="quarter", weight_init="normal"), Task("classification", (6,), CLASSES))
    before = copies(learner)["W1"]
    assert float(before[4:, 3:].abs().max()) > 1
    learner.train_step(*batch(6, CLASSES, 9))
    assert torch.equal(learner.state()["W1"][4:, 3:], before[4:, 3:].clamp(-1, 1))


@each_net
@pytest.mark.parametrize("normalise", ["sample", "none"])
def test_cafo_cross_entropy(net, normalise):
    task = task_of(net)
    x, y = images(task, 4)
    learner = set_up(CaFo(NETS[net][1], normalise=normalise, optimizer=UNIT), task)
    for W in numbered(learner.state(), "W"):
        assert bool((W == 1).all())
        W.normal_(generator=torch.Generator().manual_seed(len(W)))
    scores = learner.predict(x).scores
    before, G = moved(learner, x, y)
    layers = networks.layers(NETS[net][1], task)
    F, c, W = (numbered(before, symbol) for symbol in ("F", "Fb", "W"))
    features = slow_local.cafo_features(layers, x, F, c, normalise == "sample")
    expected, summed = slow_local.cafo_ce(features, y, W)
    close([scores], [summed])
    close(numbered(G, "W"), expected)
    assert not any(G[name].any() for name in G if name[0] == "F")


@each_net
@pytest.mark.parametrize("ridge", [1.0, 1e-3])
def test_cafo_least_squares_is_the_closed_form_after_each_step(net, ridge):
    task = task_of(net)
    learner = set_up(CaFo(NETS[net][1], loss="mse", ridge=ridge), task)
    state = copies(learner)
    layers = networks.layers(NETS[net][1], task)
    x, y = images(task, 9)
    features = slow_local.cafo_features(layers, x, numbered(state, "F"), numbered(state, "Fb"))
    for seen in (4, 7, 9):
        first = {4: 0, 7: 4, 9: 7}[seen]
        learner.train_step(x[first:seen], y[first:seen])
        expected = [slow_local.cafo_mse(Phi[:seen], y[:seen], CLASSES, ridge) for Phi in features]
        close(numbered(learner.state(), "W"), expected, 1e-7)


# --- products ---------------------------------------------------------------------------------------------------------


def counted(learner, task, stage=None, n=4):
    """Multiply-accumulates of one step for each role, per sample."""
    set_up(learner, task)
    if stage is not None:
        learner.begin_stage(stage)
    x, y = images(task, n)
    macs = MACs()
    with macs.trace(learner, (x, y)):
        learner.train_step(x, y)
    roles = {}
    for reading in macs.readings():
        if reading.quantity == "macs":
            role = reading.channel.partition("/")[2]
            roles[role] = roles.get(role, 0) + reading.value
    return {role: value / n for role, value in roles.items()}


def sizes(net, task):
    """MACs m_l of each layer with weights, widths n_l behind its tail, and MACs of the layers that its input comes through."""
    layers = networks.layers(net, task)
    index = [number for number, layer in enumerate(layers) if layer.has_weights]
    ends = [(slow_local.tail(layers, number) or [number])[-1] for number in index]

    def below(number):
        return set().union(*({s} | below(s) for s in layers[number].sources if s >= 0)) if number >= 0 else set()

    prefix = [sum(layers[source].macs for source in below(number)) for number in index]
    return [layers[number].macs for number in index], [layers[end].units for end in ends], prefix


@pytest.mark.parametrize("net", [*NETS, "resnet8"])
def test_products_are_those_of_the_equations(net):
    task = Task("classification", (3, 32, 32), 10) if net == "resnet8" else task_of(net)
    network, C = (net if net == "resnet8" else NETS[net][1]), task.classes
    m, n, prefix = sizes(network, task)
    M, N = sum(m), sum(n)
    assert counted(BioFO(network, order="sweep", normalise="sample", density=0.5), task) == {
        "forward": M, "projection": 2 * C * N, "weight_update": M,
    }  # fmt: skip
    assert counted(MonoForward(network), task) == {
        "forward": M, "projection": 2 * C * N, "weight_update": M + C * N,
    }  # fmt: skip
    assert counted(CaFo(network), task) == {"forward": M, "head": 2 * C * N}
    for stage in (0, len(m) - 1):
        expected = {"forward": prefix[stage] + m[stage], "projection": 2 * C * n[stage], "weight_update": m[stage]}
        assert counted(BioFO(network), task, stage) == expected
        assert counted(TinyFoA(network, split="none"), task, stage) == expected


def test_vertical_split_halves_what_learning_costs():
    task = Task("classification", (7,), CLASSES)
    found = counted(TinyFoA([12, 10]), task, stage=1)
    assert found == {"forward": 7 * 12 + 120, "projection": CLASSES * 10 + CLASSES * 5, "weight_update": 60}


def test_least_squares_costs_its_recursion():
    n, task = 4, Task("classification", (7,), CLASSES)
    d = np.array([12, 10])
    head = (2 * d**2 + 2 * d * CLASSES + d * n).sum()
    assert counted(CaFo([12, 10], loss="mse"), task, n=n) == {"forward": 7 * 12 + 120, "head": head}


# --- bytes ------------------------------------------------------------------------------------------------------------


def growing(learner, task, stage=None, n=32):
    """Peak of the bytes that grow with the batch, in one step."""
    ledger = LiveTensors()
    for samples in (n, n + 1):
        set_up(learner, task)
        if stage is not None:
            learner.begin_stage(stage)
        x, y = images(task, samples)
        learner.train_step(x, y)
        with ledger.trace(learner, (x, y)):
            learner.train_step(x, y)
    return next(r.value for r in ledger.readings() if r.quantity == "memory_peak" and r.channel == "batch")


@pytest.mark.parametrize(
    ("rule", "fields", "least"),
    [
        (BioFO, {"order": "sweep"}, 3.0),
        (BioFO, {"order": "sweep", "normalise": "sample"}, 3.0),
        (BioFO, {"order": "greedy"}, 3.0),
        (MonoForward, {}, 3.0),
        (TinyFoA, {"split": "none"}, 3.125),  # and where no signal passes, one byte per unit of eight
        (CaFo, {}, 2.0),
    ],
)
def test_dense_layers_keep_two_neighbours_and_the_signal(rule, fields, least):
    task, width, n = Task("classification", (100,), 2), 100, 32
    stage = 3 if getattr(rule([width]), "stages", None) or rule is TinyFoA or fields.get("order") == "greedy" else None
    peak = growing(rule([width] * 5, **fields), task, stage, n)
    assert least <= peak / (width * 8 * n) <= 1.1 * least


@pytest.mark.parametrize(("fields", "stage"), [({"order": "sweep", "normalise": "sample"}, None), ({}, 2), ({}, 8)])
def test_residual_net_keeps_its_shortcut_besides(fields, stage):
    """Layer 3 of ResNet-8: its input, activity, signal, and in a sweep what the addition reads."""
    task = Task("classification", (3, 32, 32), 10)
    maps = growing(BioFO("resnet8", **fields), task, stage, n=2) / (16 * 32 * 32 * 8 * 2)
    assert maps <= 1.1 * (4 if stage is None else 3)


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [BioFO, MonoForward, TinyFoA, CaFo])
def test_refuses_in_one_sentence(rule):
    assert "class labels" in rule([5]).refuses(Task("reconstruction", (4,)))
    assert "none; give it" in rule([]).refuses(Task("classification", (4,), 3))
    assert rule("resnet8").refuses(Task("classification", (3, 32, 32), 10)) is None
    assert rule("autoencoder").refuses(networks.named_tasks()["autoencoder"])


def test_biofo_refuses_a_scale_that_does_not_pass():
    reason = BioFO([5], normalise="sample", activation="tanh").refuses(Task("classification", (4,), 3))
    assert "relu or linear" in reason and "tanh" in reason


def test_layers_of_the_published_convolutional_net():
    """Widths that the read-outs of VGG16's 13 stages see, 32 x 32 and 84 x 84 input (`learning_rules` 17.7)."""
    small = [65536, 16384, 32768, 8192, 16384, 16384, 4096, 8192, 8192, 2048, 2048, 2048, 512]
    large = [451584, 112896, 225792, 56448, 112896, 112896, 25600, 51200, 51200, 12800, 12800, 12800, 2048]
    for size, widths in ((32, small), (84, large)):
        layers = networks.layers("vgg16-conv", Task("classification", (3, size, size), 10))
        nodes = build(layers, RELU, "zero", False, torch.Generator(), "meta")
        assert [stage.units for stage in stages(nodes)] == widths


def test_ternary_read_out_is_one_for_layers_of_a_width():
    state = ready(BioFO([12, 7, 12], feedback="ternary"), 5, 5).state()
    assert state["B1"] is state["B3"] and state["B1"] is not state["B2"]
    assert [int((state["B2"] == value).sum()) for value in (1, -1)] == [7 * 5 // 6] * 2


@pytest.mark.parametrize(("name", "deviation"), [("kaiming-fan-out", (2 / (64 * 9)) ** 0.5), ("normal", 1.0)])
def test_initial_weights(name, deviation):
    learner = set_up(BioFO([conv(64)], weight_init=name), Task("classification", (32, 3, 3), 2))
    W, b = learner.state()["W1"], learner.state()["b1"]
    assert float(W.std()) == pytest.approx(deviation, rel=0.03)
    assert bool((b == 0).all()) == (name != "normal")
