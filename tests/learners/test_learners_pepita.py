"""The PEPITA family: published vectors, slow references on every kind of layer, and how its members are related."""

import dataclasses

import pytest
import slow_pepita
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_help import UNIT, batch, directions, ready, snapshot

from fobench import networks
from fobench.contracts import Task
from fobench.learners.afa import AFA
from fobench.learners.mempepita import MEMPEPITA
from fobench.learners.mirroring import Mirrors
from fobench.learners.modulation import NORMALISATIONS
from fobench.learners.pepita import PEPITA
from fobench.learners.pepita_hebbian import HebbianPEPITA
from fobench.learners.pepita_time_local import TimeLocalPEPITA

few = settings(max_examples=4, deadline=None)
BOTH = pytest.mark.parametrize("rule", [PEPITA, MEMPEPITA])
FAMILY = (PEPITA, MEMPEPITA, HebbianPEPITA, TimeLocalPEPITA)

CONV = [networks.conv(4, 3, stride=2, padding="same"), networks.depthwise(3), networks.pool(2), networks.flatten(), 5]
LOCAL = [networks.local(3, 3, padding=1), networks.pool([2, 3], mode="mean"), networks.conv(4, [2, 1]), 6]
RESIDUAL = [
    networks.conv(3, padding=1),
    networks.conv(3, padding=1),
    networks.conv(3, padding="same", activate=False),
    networks.add(0, activate=True),
    networks.conv(4, stride=2, padding="same"),
    networks.conv(4, padding="same", activate=False),
    networks.conv(4, kernel=1, stride=2, source=3, activate=False),
    networks.add(5, activate=True),
    networks.pool(3, mode="mean"),
    networks.flatten(),
]
NETS = {"dense": [7, 6, 5], "conv": CONV, "local": LOCAL, "residual": RESIDUAL}
TASKS = {
    "classification": Task("classification", (2, 8, 7), 3),
    "reconstruction": Task("reconstruction", (2, 8, 7)),
}
every_net = pytest.mark.parametrize("net", NETS)
every_task = pytest.mark.parametrize("kind", TASKS)


def made(rule, net, kind="classification", seed=0, **fields):
    fields = {"feedback_scale": 1.0, "optimizer": UNIT, **fields}
    learner = rule(NETS[net] if isinstance(net, str) else net, **fields)
    learner.setup(TASKS[kind], torch.Generator().manual_seed(seed), "cpu")
    return learner


def drawn(kind, samples=4, seed=1):
    task = TASKS[kind]
    x, y = batch(task.inputs, max(task.classes, 1), samples, seed)
    x = x.view(samples, *task.input_shape)
    t = torch.nn.functional.one_hot(y, task.classes).double() if task.classes else x.flatten(1)
    return x, y, t


def slow(learner, kind):
    """The learner's net for the slow reference, with copies of its weights."""
    net = []
    for node in learner.net.nodes:
        record, layer = node.layer.record, {"kind": node.layer.kind, "sources": node.sources}
        layer |= {"out": node.layer.output_shape, "f": node.layer.activated}
        if "kernel" in record:
            layer |= {"padding": node.layer.padding}
            layer |= {"kernel": networks.pair(record["kernel"]), "stride": networks.strides(record)}
        if node.weights:
            layer["W"] = node.W.clone()
        net.append(layer | {"mode": record.get("mode")})
    if kind == "reconstruction":
        return net, {"output": lambda a: a}
    return net, {}


def close(found, expected, tolerance=1e-9):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=1e-10)


def compare(found, expected):
    names = sorted((name for name in found if name[0] == "W"), key=lambda name: int(name[1:]))
    assert len(names) == len(expected)
    for name, G in zip(names, expected, strict=True):
        assert G.any(), name
        close(found[name], G)


# --- published vectors ------------------------------------------------------------------------------------------------

X, Y = [[1.0, 0.5], [-0.3, 0.8]], [0, 1]
WEIGHTS = {
    "W1": [[0.5, -0.2], [0.3, 0.8], [-0.6, 0.4]],
    "W2": [[0.7, -0.1, 0.6], [0.2, 0.5, -0.3]],
    "W3": [[0.6, -0.5], [-0.1, 0.9]],
    "F": [[0.10, -0.05], [0.02, 0.08]],
}
PLUS = (
    [[0.024172, 0.014284], [-0.001002, 0.000084], [-0.006405, 0.021908]],
    [[0.006492, 0.022462, 0.007531], [0.001687, -0.001062, -0.003616]],
)
MINUS = (
    [[-0.029057, -0.012330], [0.001283, -0.000196], [0.010665, -0.023612]],
    [[-0.008485, -0.022444, -0.009465], [-0.002205, 0.001105, 0.004545]],
)
MODULATED = [[-0.001615, -0.094750], [0.001615, 0.094750]]
VECTORS = [
    (PEPITA, {"sign": 1}, (*PLUS, MODULATED)),
    (MEMPEPITA, {"sign": 1}, (*PLUS, MODULATED)),
    (MEMPEPITA, {"output_error": "standard"}, (*PLUS, [[-0.000127, -0.093298], [0.000127, 0.093298]])),
    (
        MEMPEPITA,
        {"sign": -1, "output_error": "standard"},
        (*MINUS, [[-0.006071, -0.107397], [0.006071, 0.107397]]),
    ),
    (
        HebbianPEPITA,
        {"sign": 1},
        (
            [[0.042527, 0.006942], [0.010530, -0.004529], [-0.025122, 0.029395]],
            [[0.012081, 0.022452, 0.014501], [0.013131, -0.001363, -0.000060]],
            [[0.015623, -0.095484], [0.020094, 0.092187]],
        ),
    ),
    (
        HebbianPEPITA,
        {"sign": -1},
        (
            [[-0.047412, -0.004988], [-0.010249, 0.004417], [0.029382, -0.031099]],
            [[-0.014074, -0.022434, -0.016435], [-0.013649, 0.001406, 0.000988]],
            [[-0.021821, -0.105212], [-0.013896, 0.108508]],
        ),
    ),
    (
        TimeLocalPEPITA,
        {"sign": 1},
        (
            [[0.053213, 0.013257], [0.028444, 0.017073], [-0.027046, 0.035975]],
            [[0.017752, 0.041010, 0.020097], [0.024923, 0.028565, 0.005001]],
            [[0.026886, -0.074300], [0.028998, 0.101233]],
        ),
    ),
    (
        AFA,
        {},
        (
            [[-0.026614, -0.013307], [0.001142, -0.000140], [0.008535, -0.022760]],
            [[-0.007489, -0.022453, -0.008498], [-0.001946, 0.001084, 0.004080]],
            [[-0.003099, -0.100348], [0.003099, 0.100348]],
        ),
    ),
]


@pytest.mark.parametrize(("rule", "fields", "expected"), VECTORS)
def test_vectors(rule, fields, expected):
    eta = 0.1 if rule is TimeLocalPEPITA else 1.0
    fields = {"optimizer": {"name": "sgd", "eta": eta}, **({} if rule is AFA else {"keep": 1}), **fields}
    learner = ready(rule([3, 2], **fields), 2, 2, **WEIGHTS)
    G = directions(learner, torch.tensor(X), torch.tensor(Y))
    for name, value in zip(("W1", "W2", "W3"), expected, strict=True):
        torch.testing.assert_close(G[name] / eta, torch.tensor(value), rtol=0, atol=1e-6)
    assert not G["F"].any()


# --- slow references --------------------------------------------------------------------------------------------------


@BOTH
@every_net
@every_task
@few
@given(
    st.sampled_from(["relu", "tanh"]), st.sampled_from([1, -1]), st.sampled_from(["modulated", "standard"]),
    st.sampled_from(["none", "per-sample"]), st.integers(0, 99),
)  # fmt: skip
def test_slow(rule, net, kind, f, sign, output_error, normalisation, seed):
    fields = {"activation": f, "sign": sign, "output_error": output_error, "normalisation": normalisation}
    learner = made(rule, net, kind, seed, keep=1, **fields)
    x, y, t = drawn(kind, 2, seed)
    layers, how = slow(learner, kind)
    normalise = normalisation != "none"
    expected = slow_pepita.pepita(layers, x, t, learner.net.F, sign, output_error, f=f, normalise=normalise, **how)
    found = directions(learner, x, y)
    for name, G in zip((name for name in found if name[0] == "W"), expected, strict=True):
        close(found[name], G)


def masks_of(learner, samples):
    """The masks that the coming step draws, by place, as 0 and 1/keep."""
    twin, net = learner.net.twin(), learner.net
    drawn = {node.index: net.draw(node, samples, twin) for node in net.hidden}
    return {place: mask.double() / net.keep for place, mask in drawn.items()}


@pytest.mark.parametrize("rule", FAMILY)
@every_net
@every_task
def test_slow_with_dropout(rule, net, kind):
    eta = 0.01 if rule is TimeLocalPEPITA else 1.0
    learner = made(rule, net, kind, keep=0.7, optimizer={"name": "sgd", "eta": eta})
    x, y, t = drawn(kind)
    layers, how = slow(learner, kind)
    how |= {"f": "relu", "masks": masks_of(learner, len(x))}
    found = directions(learner, x, y)
    if rule is TimeLocalPEPITA:
        expected = slow_pepita.time_local(layers, x, t, learner.net.F, eta, **how)
        found = {name: G / eta for name, G in found.items()}
    else:
        reference = slow_pepita.hebbian if rule is HebbianPEPITA else slow_pepita.pepita
        expected = reference(layers, x, t, learner.net.F, **how)
    for name, G in zip((name for name in found if name[0] == "W"), expected, strict=True):
        close(found[name], G, 1e-7)


def test_convolutions_follow_the_correlation_formula():
    """`learning_rules` 8.1, by unfolding: the mean over samples and positions of D times the window."""
    learner = made(PEPITA, [networks.conv(4, [3, 2])], keep=1, output_error="standard")
    x, y, t = drawn("classification", 5)
    state = snapshot(learner)
    W, top, F = state["W1"], state["W2"], state["F"]
    H = torch.conv2d(x, W).relu()
    E = torch.softmax(H.flatten(1) @ top.T, 1) - t
    X_err = x + (E @ F.T).view(x.shape)
    H_err = torch.conv2d(X_err, W).relu()
    windows = torch.nn.functional.unfold(X_err, (3, 2)).permute(0, 2, 1).reshape(-1, W[0].numel())
    D = (H - H_err).flatten(2).permute(0, 2, 1).reshape(-1, 4)
    found = directions(learner, x, y)
    close(found["W1"], (D.T @ windows / len(windows)).view_as(W))
    close(found["W2"], E.T @ H_err.flatten(1) / 5)


def test_bias_takes_the_mean_of_the_signal():
    learner = made(PEPITA, [6], keep=1, bias=True)
    x, y, t = drawn("classification")
    s = snapshot(learner)
    H = (x.flatten(1) @ s["W1"].T).relu()
    E = torch.softmax(H @ s["W2"].T, 1) - t
    H_err = ((x.flatten(1) + E @ s["F"].T) @ s["W1"].T).relu()
    close(directions(learner, x, y)["b1"], (H - H_err).mean(0))


# --- normalisation ----------------------------------------------------------------------------------------------------


def test_normalisations():
    H = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    close(NORMALISATIONS["batch"](H.clone()), H / H.norm())
    close(NORMALISATIONS["per-sample"](H.clone()), torch.stack([h / h.norm() for h in H]))
    silent = NORMALISATIONS["per-sample"](torch.zeros(2, 3))
    assert torch.equal(silent, torch.zeros(2, 3))


@BOTH
def test_batch_normalisation_is_over_samples_and_features(rule):
    learner = made(rule, [6], keep=1, normalisation="batch")
    x, y, t = drawn("classification")
    s = snapshot(learner)

    def hidden(x):
        H = (x @ s["W1"].T).relu()
        return H / H.norm()

    flat = x.flatten(1)
    P = torch.softmax(hidden(flat) @ s["W2"].T, 1)
    flat_err = flat + (P - t) @ s["F"].T
    G = directions(learner, x, y)
    close(G["W1"], (hidden(flat) - hidden(flat_err)).T @ flat_err / 4)
    close(G["W2"], (torch.softmax(hidden(flat_err) @ s["W2"].T, 1) - t).T @ hidden(flat_err) / 4)


# --- MEMPEPITA is PEPITA ----------------------------------------------------------------------------------------------

OPTIMIZERS = (
    {"name": "sgd", "eta": 0.01},
    {"name": "momentum", "eta": 0.005, "eta_in_buffer": True, "decay": 1e-3},
    {"name": "adam", "eta": 0.01},
)


@every_net
@every_task
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer["name"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_mempepita_is_pepita_bit_for_bit(net, kind, optimizer, dtype):
    torch.set_default_dtype(dtype)
    for fields in (
        {"keep": 0.8, "output_error": "standard"},
        {"keep": 0.5, "feedback": "shuffled", "normalisation": "batch", "bias": True},
        {"keep": 1, "sign": -1, "normalisation": "per-sample"},
    ):
        fields |= {"feedback_scale": 0.05, "optimizer": optimizer}
        pair = [made(rule, net, kind, seed=5, **fields) for rule in (PEPITA, MEMPEPITA)]
        for number in range(4):
            x, y, _ = drawn(kind, 5 - number % 2, number)
            for learner in pair:
                learner.train_step(x.to(dtype), y)
        one, other = (learner.state() for learner in pair)
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
        assert all(W.isfinite().all() for W in one.values())


def test_mempepita_has_the_hyperparameters_of_pepita():
    assert dataclasses.asdict(MEMPEPITA([3])) == dataclasses.asdict(PEPITA([3]))


# --- AFA is PEPITA to first order -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@every_net
@every_task
def test_pepita_is_afa_where_no_unit_changes_sign(net, kind, sign):
    scale = 1e-6 if kind == "classification" else 1e-7
    fields = {"feedback_scale": scale, "sign": sign}
    pepita = made(PEPITA, net, kind, keep=1, output_error="standard", **fields)
    afa = made(AFA, net, kind, presynaptic="modulated", **fields)
    x, y, _ = drawn(kind)
    found, expected = directions(pepita, x, y), directions(afa, x, y)
    for name in expected:
        scale_of = expected[name].abs().max()
        assert scale_of > 0 or name == "F"
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=float(scale_of) * 1e-6)


def test_afa_is_not_pepita_where_units_change_sign():
    pepita = made(PEPITA, "dense", keep=1, output_error="standard", feedback_scale=100.0)
    afa = made(AFA, "dense", presynaptic="modulated", feedback_scale=100.0, sign=1)
    x, y, _ = drawn("classification")
    assert not torch.allclose(directions(pepita, x, y)["W1"], directions(afa, x, y)["W1"], rtol=0.01)


# --- Hebbian and time-local -------------------------------------------------------------------------------------------


def test_hebbian_is_half_the_gradient_of_the_difference_of_goodness():
    """`learning_rules` 9.4; each layer's own goodness, with what it reads held fixed."""
    learner = made(HebbianPEPITA, [6, 5], keep=1)
    x, y, t = drawn("classification")
    s = snapshot(learner)
    H1 = (x.flatten(1) @ s["W1"].T).relu()
    E = torch.softmax((H1 @ s["W2"].T).relu() @ s["W3"].T, 1) - t
    pair = x.flatten(1), x.flatten(1) + E @ s["F"].T
    found = directions(learner, x, y)
    for name in ("W1", "W2"):
        W = s[name].requires_grad_()
        clean, modulated = ((h @ W.T).relu() for h in pair)
        (clean.square().sum() - modulated.square().sum()).backward()
        close(found[name], W.grad / 2 / len(x))
        pair = clean.detach(), modulated.detach()


def test_time_local_is_hebbian_for_a_small_step():
    """The difference shrinks with eta."""
    x, y, _ = drawn("classification")
    hebbian = directions(made(HebbianPEPITA, "dense", keep=1), x, y)
    apart = []
    for eta in (1e-6, 1e-7):
        local = directions(made(TimeLocalPEPITA, "dense", keep=1, optimizer={"name": "sgd", "eta": eta}), x, y)
        apart.append(max(float((local[name] / eta - hebbian[name]).abs().max()) for name in ("W1", "W2", "W3", "W4")))
    assert 5 < apart[0] / apart[1] < 20


# --- ablations --------------------------------------------------------------------------------------------------------


@BOTH
@every_net
def test_zero_feedback_leaves_hidden_weights(rule, net):
    learner = made(rule, net, keep=0.6, feedback="zero")
    x, y, _ = drawn("classification")
    *hidden, top = [value for name, value in directions(learner, x, y).items() if name[0] == "W"]
    assert not any(G.any() for G in hidden) and top.any()


@BOTH
def test_frozen_hidden_weights_change_nothing_else(rule):
    x, y, _ = drawn("classification")
    free, frozen = (directions(made(rule, "conv", train_hidden=train), x, y) for train in (True, False))
    *hidden, top = [name for name in free if name[0] == "W"]
    assert all(free[name].any() and not frozen[name].any() for name in hidden)
    assert torch.equal(free[top], frozen[top])


@BOTH
def test_shuffled_feedback_hands_on_the_errors_of_others(rule):
    learner = made(rule, "dense", feedback="shuffled")
    E = torch.arange(12.0).view(6, 2)
    shuffled = learner.fed_back(E)
    assert not torch.equal(shuffled, E) and torch.equal(shuffled.sort(0)[0], E)


# --- weight mirroring -------------------------------------------------------------------------------------------------


def mirrored(rule=PEPITA, network=(12, 8), **numbers):
    learner = rule(list(network), sign=-1, keep=1, mirror={"eta": 0.5, "decay": 0.01, **numbers})
    return ready(learner, 10, 4)


def angle(one, other):
    cosine = (one * other).sum() / one.norm() / other.norm()
    return float(cosine)


def test_mirroring_turns_factors_towards_the_weights():
    """Weights rest; `E[Xi^T R] = sigma^2 W^T / 2` for ReLU, and with the class mean taken off for softmax (9.3)."""
    learner = mirrored(pre_mirror=1)
    before = snapshot(learner)
    x, y = batch(10, 4, 256)
    for _ in range(600):
        learner.train_step(x, y)
    after = learner.state()
    assert all(torch.equal(before[name], after[name]) for name in ("W1", "W2", "W3"))
    targets = [after["W1"].T, after["W2"].T, (after["W3"] - after["W3"].mean(0)).T]
    for name, target in zip(("F1", "F2", "F3"), targets, strict=True):
        assert angle(before[name], target) < 0.6 < 0.97 < angle(after[name], target)


@BOTH
def test_mirroring_keeps_the_size_of_feedback(rule):
    learner = mirrored(rule, pre_mirror=1)
    std = 0.05 * (2 / 10) ** 0.5
    for _ in range(3):
        learner.train_step(*batch(10, 4, 16))
    s = learner.state()
    assert float(s["F"].std()) == pytest.approx(std, rel=1e-9)
    close(s["F"], s["F1"] @ s["F2"] @ s["F3"])


def test_factors_begin_so_that_their_product_has_its_size():
    learner = mirrored(network=(300, 300))
    assert float(learner.state()["F"].std()) == pytest.approx(0.05 * (2 / 10) ** 0.5, rel=0.25)


def test_mirroring_schedule():
    learner = mirrored(pre_mirror=2, mirror=3)
    phases = {}
    for epoch in range(9):
        learner.begin_epoch(epoch, 9)
        phases[epoch] = (learner.mirrors.weights_learn, learner.mirrors.learn)
    only, both, none = (False, True), (True, True), (True, False)
    assert list(phases.values()) == [only, only, both, none, none, both, none, none, both]


def test_a_mirror_step_follows_the_update_of_the_weights():
    learner = mirrored(pre_mirror=0, mirror=1)
    plain = ready(PEPITA([12, 8], sign=-1, keep=1), 10, 4, **{k: v for k, v in learner.state().items() if len(k) < 3
                                                             and k not in ("F1", "F2", "F3")})  # fmt: skip
    x, y = batch(10, 4, 16)
    before = snapshot(learner)
    learner.train_step(x, y), plain.train_step(x, y)
    assert all(torch.equal(learner.state()[name], plain.state()[name]) for name in ("W1", "W2", "W3"))
    assert not torch.equal(learner.state()["F1"], before["F1"])


@pytest.mark.parametrize(
    ("learner", "reason"),
    [
        (PEPITA([5], mirror={}), "set sign to -1"),
        (PEPITA([5], sign=-1, mirror={"etta": 1}), "did you mean 'eta'"),
        (PEPITA([5], sign=-1, mirror={"mirror": 0}), "a whole number of at least 1"),
        (PEPITA([5], sign=-1, mirror={"eta": "fast"}), "expected a number of at least 0"),
        (PEPITA([5], sign=-1, mirror=3), "expected the numbers of weight mirroring"),
        (PEPITA([networks.conv(2), 5], sign=-1, mirror={}), "found conv at layer 0"),
        (PEPITA([5, networks.dense(5), networks.add(0)], sign=-1, mirror={}), "found add at layer 2"),
        (PEPITA([5], normalisation="sample"), "unknown normalisation"),
        (MEMPEPITA([5], feedback="errors"), "did you mean 'error'"),
        (HebbianPEPITA([5], keep=0), "keep is 0"),
        (TimeLocalPEPITA([5], sign=0), "unknown sign"),
        (AFA([5], presynaptic="modulatd"), "did you mean 'modulated'"),
    ],
)
def test_refuses(learner, reason):
    assert reason in learner.refuses(TASKS["classification"])


def test_mirrors_are_what_state_says():
    learner = mirrored()
    assert isinstance(learner.mirrors, Mirrors)
    assert [learner.state()[f"F{level}"].shape for level in (1, 2, 3)] == [(10, 12), (12, 8), (8, 4)]
