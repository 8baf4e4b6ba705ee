"""FA, DFA, sDFA, IFA, sign symmetry and DRTP: published vectors, definitions on every layer kind, properties."""

import pytest
import slow_feedback
import torch
from feedback_help import NETS, TASK, biased_randomly, images, layers_of, numbered, set_up
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_help import UNIT, directions, ready, snapshot

from fobench.contracts import FobenchError, Task
from fobench.learners import derived
from fobench.learners.bp import BP
from fobench.learners.dfa import DFA, SDFA
from fobench.learners.drtp import DRTP
from fobench.learners.fa import FA
from fobench.learners.ifa import IFA
from fobench.learners.sign_symmetry import BRSF, FRSF, USF, bound_of_draws, fresh
from fobench.networks import named_tasks

FAMILY = (FA, DFA, SDFA, IFA, USF, BRSF, FRSF, DRTP)
every_rule = pytest.mark.parametrize("rule", FAMILY)
every_net = pytest.mark.parametrize("net", NETS)


def close(found, expected, rtol=1e-9, atol=1e-12):
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)


# --- published vectors (`learning_rules` 0.4) ---------------------------------------------------------------------------

X, Y = [[1.0, 0.5], [-0.3, 0.8]], [0, 1]
W = {
    "W1": [[0.5, -0.2], [0.3, 0.8], [-0.6, 0.4]],
    "W2": [[0.7, -0.1, 0.6], [0.2, 0.5, -0.3]],
    "W3": [[0.6, -0.5], [-0.1, 0.9]],
}
B3, B2 = [[0.3, -0.2], [0.5, 0.4]], [[0.1, -0.4], [0.25, 0.35], [-0.15, 0.2]]
D1, D2 = [[0.2, -0.1], [-0.3, 0.4], [0.15, 0.05]], [[0.3, -0.2], [0.5, 0.4]]
G3 = [[-0.003099, -0.100348], [0.003099, 0.100348]]
DFA_1 = [[-0.091774, -0.045887], [0.266548, -0.032685], [-0.007487, 0.019965]]
DFA_2 = [[-0.061183, -0.038440, 0.062391], [-0.012237, -0.007688, 0.012478]]
VECTORS = [
    (FA, {"B2": B2, "B3": B3}, [[-0.003059, -0.001530], [-0.060925, 0.007471], [0.004118, -0.010981]], DFA_2),
    (DFA, {"B1": D1, "B2": D2}, DFA_1, DFA_2),
    (
        SDFA, {"B1": D1, "B2": D2},
        [[-0.15, -0.075], [0.455, -0.105], [-0.015, 0.04]], [[-0.1, -0.0375, 0.125], [-0.02, -0.0075, 0.025]],
    ),
    (IFA, {"B1": D1}, DFA_1, [[-0.034262, -0.042115, 0.016222], [0.035486, 0.009942, -0.047417]]),
    (
        USF, {},
        [[0, 0], [0.681164, -0.083527], [-0.133929, 0.357145]],
        [[-0.173051, -0.108725, 0.176467], [0.173051, 0.108725, -0.176467]],
    ),
    (
        FRSF, {"B2": [*zip(*B2, strict=True)], "B3": [*zip(*B3, strict=True)]},
        [[0.094833, 0.047417], [0.167544, -0.020545], [-0.019092, 0.050911]],
        [[-0.061183, -0.038440, 0.062391], [0.110129, 0.069192, -0.112303]],
    ),
]  # fmt: skip


def plainly(rule, network, **changed):
    """A learner whose one step shows G: ReLU, softmax, every signal over N."""
    fields = {"activation": "relu", "output": "softmax", "optimizer": UNIT, **changed}
    return rule(network, **fields, **({"hidden_scale": "mean"} if rule in (DFA, SDFA, DRTP) else {}))


@pytest.mark.parametrize(("rule", "B", "G1", "G2"), VECTORS)
def test_published_vectors(rule, B, G1, G2):
    found = directions(ready(plainly(rule, [3, 2], bias=False), 2, 2, **W, **B), torch.tensor(X), torch.tensor(Y))
    for name, expected in (("W1", G1), ("W2", G2), ("W3", G3)):
        close(found[name], torch.tensor(expected), rtol=0, atol=1e-6)
    assert not any(found[name].any() for name in B)


# --- definitions --------------------------------------------------------------------------------------------------------


def signals(rule, learner, slow):
    """Return the definition's signals; feedback by the index of its layer."""
    feedback = numbered(learner.state(), "B")
    B = {index: feedback[number] for number, index in enumerate(slow.weighted, 1) if number in feedback}
    if rule is FA:
        S = {index: matrix.T if matrix.ndim == 2 else matrix for index, matrix in B.items()}
    elif rule is FRSF:
        S = {index: matrix.abs() * slow.W[index].sign() for index, matrix in B.items()}
    elif rule in (USF, BRSF):
        S = sign_concordant(rule, learner, slow)
    else:
        return {
            DFA: lambda e, t, h, a: slow.direct(e, e, a, B),
            SDFA: lambda e, t, h, a: slow.direct(e.sign(), e, a, B),
            DRTP: lambda e, t, h, a: slow.direct(t, e, a, B),
            IFA: lambda e, t, h, a: slow.upward(e, h, a, B),
        }[rule]
    return lambda e, t, h, a: slow.backward(e, h, a, S)


def sign_concordant(rule, learner, slow):
    """Xavier's standard deviation, or magnitudes drawn in the order of the backward pass."""
    drawing = torch.Generator()
    drawing.set_state(learner.generator.get_state())
    above = [node for node in reversed(learner.nodes) if node.weights and not reads_input(learner.nodes, node)]
    S = {}
    for node in above:
        bound = (6 / (node.fan_in + node.fan_out)) ** 0.5
        size = bound / 3**0.5 if rule is USF else bound * magnitudes(node, drawing)
        S[node.index] = slow.W[node.index].sign() * size
    return S


def magnitudes(node, drawing):
    """|R| in [0, 1]: four signed words of 16 bits from each draw, lowest first; of a dense layer some rows at a time."""
    parts = []
    for rows in derived.blocks(node.W) if node.W.ndim == 2 else [slice(None)]:
        shape = node.W[rows].shape
        drawn = torch.empty((shape.numel() + 3) // 4, dtype=torch.int64).random_(generator=drawing).tolist()
        words = [(number >> shift) % 2**16 for number in drawn for shift in (0, 16, 32, 48)]
        sizes = [abs(word - 2**16 * (word >= 2**15)) / 2**15 for word in words]
        parts.append(torch.tensor(sizes[: shape.numel()]).view(shape))
    return torch.cat(parts)


def reads_input(nodes, node):
    return all(
        source < 0 or (not nodes[source].weights and reads_input(nodes, nodes[source])) for source in node.sources
    )


def compare(rule, network, task, x, y, output="softmax", **changed):
    learner = biased_randomly(set_up(plainly(rule, network, output=output, **changed), task))
    s = snapshot(learner)
    slow = slow_feedback.Net(
        layers_of(network, task), numbered(s, "W").values(), numbered(s, "b").values(), learner.activation
    )
    T = x.flatten(1) if task.kind == "reconstruction" else torch.eye(task.classes)[y]
    out = "linear" if task.kind == "reconstruction" else output
    G, g = slow_feedback.descent(slow, x, T, signals(rule, learner, slow), out)
    found = directions(learner, x, y)
    for symbol, expected in (("W", G), ("b", g)):
        for tensor, value in zip(numbered(found, symbol).values(), expected, strict=True):
            close(tensor, value)


@every_rule
@every_net
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_one_step_is_that_of_the_definition(rule, net, activation):
    compare(rule, NETS[net], TASK, *images(samples=3), activation=activation)


@pytest.mark.parametrize("rule", [USF, BRSF, FRSF])
def test_sign_concordant_feedback_of_a_large_layer_is_that_of_the_definition(rule, monkeypatch):
    """One to three rows at a time; a weight that is zero passes nothing on."""
    monkeypatch.setattr(derived, "VALUES", 13)
    compare(rule, NETS["dense"], TASK, *images(samples=3))
    learner = set_up(rule([5, 4], optimizer=UNIT, weight_init="zero"), TASK)
    assert not any(found.any() for name, found in directions(learner, *images()).items() if name in ("W1", "b1", "b2"))


@pytest.mark.parametrize("rule", [rule for rule in FAMILY if rule is not DRTP])
@pytest.mark.parametrize("net", ["dense", "residual"])
def test_reconstruction_is_that_of_the_definition(rule, net):
    task = Task("reconstruction", (2, 6, 4))
    compare(rule, NETS[net], task, *images(task, samples=2), activation="tanh")


@every_rule
@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.integers(1, 6), max_size=4), st.integers(1, 5), st.integers(0, 99),
    st.sampled_from(["tanh", "sigmoid", "linear"]), st.sampled_from(["softmax", "sigmoid"]),
)  # fmt: skip
def test_dense_nets_are_those_of_the_definition(rule, widths, samples, seed, activation, output):
    task = Task("classification", (4,), 3)
    compare(rule, widths, task, *images(task, samples, seed), output, activation=activation)


@pytest.mark.parametrize(
    ("rule", "output", "over_top"),
    [*((rule, *case) for rule in (DFA, SDFA, DRTP) for case in (("softmax", 4), ("sigmoid", 12))), (DFA, "linear", 4)],
)
def test_released_scale(rule, output, over_top):
    """Hidden signals carry no 1/N; the output's loss is averaged over the batch and, if binary, over the classes."""
    reconstruct = output == "linear"
    task = Task("reconstruction" if reconstruct else "classification", (2, 6, 4), 0 if reconstruct else 3)
    found = []
    for scale in ("sum", "mean"):
        fields = {"optimizer": UNIT, "hidden_scale": scale, "output": "softmax" if reconstruct else output}
        found.append(directions(set_up(rule(NETS["residual"], **fields), task), *images(task)))
    last = str(len(numbered(found[0], "W")))
    for name in found[0]:
        if name[0] in "Wb":
            close(found[0][name], found[1][name] * (4 / over_top if name[1:] == last else 4))


# --- properties ---------------------------------------------------------------------------------------------------------


@every_net
@pytest.mark.parametrize("rule", [FA, FRSF])
def test_with_the_weights_as_feedback_it_is_bp_to_the_bit(rule, net):
    fields = {
        "activation": "tanh",
        "output": "softmax",
        "weight_init": "linear",
        "optimizer": {"name": "sgd", "eta": 0.1},
    }
    learner, bp = (set_up(each(NETS[net], **fields)) for each in (rule, BP))
    for number in range(3):
        state = learner.state()
        for name, B in numbered(state, "B").items():
            B.copy_(state[f"W{name}"].T if rule is FA and B.ndim == 2 else state[f"W{name}"])
        for each in (learner, bp):
            each.train_step(*images(seed=number))
    for name, tensor in bp.state().items():
        assert torch.equal(tensor, learner.state()[name]), name


@every_net
def test_the_way_back_of_fa_does_not_know_the_weights(net):
    x, _ = images()
    ends = []
    for spoilt in (False, True):
        learner = set_up(plainly(FA, NETS[net]))
        H = learner.forward_pass(x)
        A = H.pop(learner.nodes[-1])
        if spoilt:
            for tensor in numbered(learner.state(), "W").values():
                tensor.fill_(torch.nan)
        learner.backward_pass(A, H)
        ends.append(numbered(snapshot(learner), "b"))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_brsf_draws_again_for_every_batch_from_its_own_generator():
    x, y = images()
    learner = set_up(plainly(BRSF, NETS["residual"]))
    start = snapshot(learner)
    found = []
    for _ in range(2):
        found.append(directions(learner, x, y)["W1"])
        for name, tensor in learner.state().items():
            tensor.copy_(start[name])
    assert not torch.equal(*found) and torch.equal(
        found[0], directions(set_up(plainly(BRSF, NETS["residual"])), x, y)["W1"]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_brsf_draws_magnitudes_evenly(dtype):
    """20,001 draws in eight classes of 2,500: five standard deviations are 234."""
    bound = bound_of_draws(dtype)
    found = fresh(torch.empty(59, 339, dtype=dtype), torch.Generator().manual_seed(0)).abs()
    assert found.dtype == dtype and found.max() <= bound
    assert (found.double().histc(8, 0, bound) - 20001 / 8).abs().max() < 234


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_wide_layers_of_few_bits_do_not_overflow(dtype):
    torch.set_default_dtype(dtype)
    learner = BRSF([2000, 2000], optimizer={"name": "sgd", "eta": 0.01})
    task = Task("classification", (50,), 3)
    learner.setup(task, torch.Generator().manual_seed(0), "cpu")
    learner.train_step(*images(task))
    assert all(tensor.isfinite().all() for tensor in learner.state().values())


@pytest.mark.parametrize("rule", [USF, BRSF, FRSF])
def test_a_weight_of_zero_has_no_sign(rule):
    learner = set_up(plainly(rule, [5, 4], weight_init="zero", feedback_init="linear"))
    G = directions(learner, *images())
    assert not any(G[name].any() for name in ("W1", "b1", "W2", "b2")) and G["b3"].any()


@pytest.mark.parametrize("rule", [USF, BRSF, FRSF])
def test_only_the_signs_of_the_weights_come_back(rule):
    """Larger weights above change no signal below, so long as the forward pass is held fixed."""
    x, _ = images()
    found = []
    for factor in (1, 7):
        learner = set_up(plainly(rule, NETS["residual"]))
        H = learner.forward_pass(x)
        A = H.pop(learner.nodes[-1])
        for tensor in numbered(learner.state(), "W").values():
            tensor.mul_(factor)
        before = learner.state()["b1"].clone()
        learner.backward_pass(A, H)
        found.append(before - learner.state()["b1"])
    close(*found)


@pytest.mark.parametrize(
    ("init", "bound"), [("linear", lambda n, c: n**-0.5), ("he-uniform", lambda n, c: (6 / n) ** 0.5),
                        ("xavier-uniform", lambda n, c: (6 / (n + c)) ** 0.5)],
)  # fmt: skip
def test_feedback_is_as_large_as_published(init, bound):
    task = Task("classification", (90,), 20)
    for rule in (DFA, SDFA, DRTP, IFA):
        B = set_up(rule([400, 300], feedback_init=init), task).state()["B1"]
        assert 0.97 * bound(400, 20) < B.abs().max() <= bound(400, 20) and B.shape == (400, 20)
    for rule in (FA, FRSF):
        B = set_up(rule([400, 300], feedback_init=init), task).state()["B2"]
        assert 0.99 * bound(400, 300) < B.abs().max() <= bound(400, 300)
        assert B.shape == ((400, 300) if rule is FA else (300, 400))


@pytest.mark.parametrize("rule", [DFA, SDFA, DRTP, IFA])
def test_feedback_is_scaled(rule):
    plain, small = (set_up(rule([5, 4], feedback_scale=scale)).state()["B1"] for scale in (1, 0.03))
    close(small, 0.03 * plain)
    assert "feedback_scale" in rule([5], feedback_scale=-1).refuses(TASK)


@pytest.mark.parametrize("net", ["conv", "residual"])
def test_centred_feedback_of_drtp_projects_the_label_less_its_mean(net):
    """`(T - 1/C) B^T` with B as drawn: the reference takes the centred T, the learner the centred B."""
    drawn, learner = (plainly(DRTP, NETS[net], feedback_centred=centred, optimizer=UNIT) for centred in (False, True))
    B = {symbol: B for symbol, B in set_up(drawn).state().items() if symbol.startswith("B")}
    found = set_up(learner).state()
    T = torch.eye(3) - 1 / 3
    for symbol, feedback in B.items():
        close(found[symbol].T, T @ feedback.T)


def test_only_the_first_layers_of_ifa_have_feedback():
    assert set(numbered(set_up(IFA(NETS["residual"])).state(), "B")) == {1}
    assert set(numbered(set_up(IFA(NETS["two inputs"])).state(), "B")) == {1, 2}


@every_rule
def test_feedback_does_not_move_and_every_weight_does(rule):
    learner = set_up(plainly(rule, NETS["residual"], activation="tanh"))
    G = directions(learner, *images())
    assert not any(G[name].any() for name in G if name[0] == "B")
    assert all(G[name].any() for name in G if name[0] in "Wb")


@every_rule
def test_inputs_are_not_written_and_same_seed_same_life(rule):
    x, y = images()
    x0, y0 = x.clone(), y.clone()
    lives = []
    for _ in range(2):
        learner = set_up(rule(NETS["residual"]))
        for _ in range(2):
            learner.train_step(x, y)
        lives.append(snapshot(learner))
    assert torch.equal(x, x0) and torch.equal(y, y0)
    assert all(torch.equal(lives[0][name], lives[1][name]) for name in lives[0])


@every_rule
@pytest.mark.parametrize("net", ["ds-cnn", "mobilenet-v1-0.25", "resnet8"])
def test_the_tiny_classifiers_are_accepted(rule, net):
    assert rule(net).refuses(named_tasks()[net]) is None


def test_refusals_are_one_sentence():
    auto = named_tasks()["autoencoder"]
    assert DRTP([5]).refuses(auto) == (
        "DRTP learns from class labels, a reconstruction task has none; take another data set"
    )
    assert DFA([5]).refuses(auto) is None and FA("autoencoder").refuses(auto) is None
    with pytest.raises(FobenchError, match="class labels"):
        set_up(DRTP([5]), auto)
    assert "did you mean 'he-uniform'" in FA([5], feedback_init="he-unifrom").refuses(TASK)
    assert "hidden_scale" in DFA([5], hidden_scale="avg").refuses(TASK)
