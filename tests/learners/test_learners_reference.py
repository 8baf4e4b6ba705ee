"""Every rule against a slow per-sample loop, on nets, batches and activations that no vector fixes."""

import pytest
import slow_rules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_help import UNIT, batch, directions, ready, snapshot

from fobench.learners.biofo import BioFO
from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd
from fobench.learners.drtp import DRTP
from fobench.learners.ff import FF
from fobench.learners.pepita import PEPITA

widths = st.lists(st.integers(1, 7), min_size=1, max_size=4)
samples = st.integers(1, 7)
seeds = st.integers(0, 1000)
activations = st.sampled_from(["relu", "tanh", "sigmoid", "linear"])
outputs = st.sampled_from(["softmax", "sigmoid"])
few = settings(max_examples=25, deadline=None)
INPUTS, CLASSES = 5, 3


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def numbered(state, symbol):
    names = sorted((name for name in state if name[0] == symbol), key=lambda name: int(name[1:]))
    return [state[name] for name in names]


def compare(directions_found, G, g=None):
    for found, expected in zip(numbered(directions_found, "W"), G, strict=True):
        close(found, expected)
    if g is not None:
        for found, expected in zip(numbered(directions_found, "b"), g, strict=True):
            close(found, expected)


@pytest.mark.parametrize("rule", [BP, BPAutograd])
@few
@given(widths, samples, seeds, activations, outputs)
def test_bp(rule, network, n, seed, f, out):
    learner = ready(rule(network, activation=f, output=out, optimizer=UNIT), INPUTS, CLASSES, seed)
    x, y = batch(INPUTS, CLASSES, n, seed)
    s = snapshot(learner)
    compare(directions(learner, x, y), *slow_rules.bp(x, y, numbered(s, "W"), numbered(s, "b"), f, out))


@few
@given(widths, samples, seeds, activations, outputs, st.sampled_from(["sum", "mean"]))
def test_drtp(network, n, seed, f, out, scale):
    learner = DRTP(network, activation=f, output=out, hidden_scale=scale, optimizer=UNIT)
    learner = ready(learner, INPUTS, CLASSES, seed)
    x, y = batch(INPUTS, CLASSES, n, seed)
    s = snapshot(learner)
    over = (n, n) if scale == "mean" else (1, n * CLASSES if out == "sigmoid" else n)
    expected = slow_rules.drtp(x, y, numbered(s, "W"), numbered(s, "b"), numbered(s, "B"), f, out, *over)
    compare(directions(learner, x, y), *expected)


@few
@given(
    widths, samples, seeds, activations, st.sampled_from([1, -1]), st.sampled_from(["modulated", "standard"]),
    st.sampled_from([1, 0.9, 0.5]),
)  # fmt: skip
def test_pepita(network, n, seed, f, sign, output_error, keep):
    fields = {"activation": f, "sign": sign, "output_error": output_error, "keep": keep}
    learner = ready(PEPITA(network, **fields, feedback_scale=1.0, optimizer=UNIT), INPUTS, CLASSES, seed)
    masks = learner.dropout_masks(n)
    x, y = batch(INPUTS, CLASSES, n, seed)
    s = snapshot(learner)
    scaled = None if keep == 1 else [mask.double() / keep for mask in masks[:-1]]
    learner.dropout_masks = lambda _: masks
    expected = slow_rules.pepita(x, y, numbered(s, "W"), s["F"], scaled, f, sign, output_error)
    compare(directions(learner, x, y), expected)


@few
@given(widths, samples, seeds, activations, st.sampled_from(["gaussian", "ternary"]))
def test_biofo_sweep(network, n, seed, f, feedback):
    learner = BioFO(network, order="sweep", activation=f, feedback=feedback, optimizer=UNIT)
    learner = ready(learner, INPUTS, CLASSES, seed)
    x, y = batch(INPUTS, CLASSES, n, seed)
    s = snapshot(learner)
    G, g, _ = slow_rules.biofo(x, y, numbered(s, "W"), numbered(s, "b"), numbered(s, "B"), f)
    compare(directions(learner, x, y), G, g)


@few
@given(widths, samples, seeds)
def test_biofo_stage_is_its_layer_of_the_sweep(network, n, seed):
    """Without optimizer state, stage l moves layer l as a sweep would, and nothing else."""
    x, y = batch(INPUTS, CLASSES, n, seed)
    for stage in range(len(network)):
        learner = ready(BioFO(network, optimizer=UNIT), INPUTS, CLASSES, seed)
        learner.begin_stage(stage)
        s = snapshot(learner)
        G, g, _ = slow_rules.biofo(x, y, numbered(s, "W"), numbered(s, "b"), numbered(s, "B"))
        frozen = [level for level in range(len(network)) if level != stage]
        for level in frozen:
            G[level].zero_(), g[level].zero_()
        compare(directions(learner, x, y), G, g)


@few
@given(widths, samples, seeds, st.sampled_from([0, 0.03, 2.0]), st.sampled_from([1, 2.5, "max"]))
def test_ff(network, n, seed, peer, label):
    learner = ready(FF(network, peer=peer, label_amplitude=label, optimizer=UNIT), INPUTS, CLASSES, seed)
    x, y = batch(INPUTS, CLASSES, n, seed)
    wrong = learner.wrong_labels(y)
    learner.wrong_labels = lambda _: wrong
    s = snapshot(learner)
    W, b, r = (numbered(s, symbol) for symbol in "Wbr")
    G, g, means, _ = slow_rules.ff(x, y, wrong, W, b, r, CLASSES, peer, label)
    close(learner.predict(x).scores, slow_rules.ff_scores(x, W, b, CLASSES, 0, label))
    compare(directions(learner, x, y), G, g)
    for found, mean in zip(numbered(learner.state(), "r"), means, strict=True):
        close(found, mean)


@few
@given(widths, samples, seeds, st.sampled_from(["all", "from-second"]))
def test_ff_head(network, n, seed, score_layers):
    learner = FF(network, inference="one-pass", score_layers=score_layers, head_optimizer=UNIT, optimizer=UNIT)
    learner = ready(learner, INPUTS, CLASSES, seed)
    for V in numbered(learner.state(), "V"):
        V.normal_(generator=torch.Generator().manual_seed(seed))
    x, y = batch(INPUTS, CLASSES, n, seed)
    s = snapshot(learner)
    first = 1 if score_layers == "from-second" and len(network) > 1 else 0
    W, b, V = (numbered(s, symbol) for symbol in "WbV")
    G, logits = slow_rules.ff_head(x, y, W, b, V, CLASSES, first)
    close(learner.predict(x).scores, logits)
    found = directions(learner, x, y)
    assert {name for name in found if name[0] == "V"} == {f"V{level + 1}" for level in range(first, len(network))}
    for part, expected in zip(numbered(found, "V"), G, strict=True):
        close(part, expected)


@few
@given(st.integers(2, 4), samples, seeds)
def test_ff_scores_from_the_second_layer(depth, n, seed):
    learner = ready(FF([4] * depth, score_layers="from-second"), INPUTS, CLASSES, seed)
    x, _ = batch(INPUTS, CLASSES, n, seed)
    s = learner.state()
    close(learner.predict(x).scores, slow_rules.ff_scores(x, numbered(s, "W"), numbered(s, "b"), CLASSES, 1))


@pytest.mark.parametrize("peer", [0, 0.03])
def test_ff_equals_autograd(peer):
    """The released form: straight-through ReLU, detached inputs, running mean with its history detached."""
    learner = ready(FF([6, 7, 5], peer=peer, optimizer=UNIT), 8, CLASSES, seed=3)
    x, y = batch(8, CLASSES, 5, seed=4)
    wrong = learner.wrong_labels(y)
    learner.wrong_labels = lambda _: wrong
    z = learner.overlay(x, torch.cat([y, wrong]))
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in learner.state().items() if name[0] in "Wb"}
    truth = torch.cat([torch.ones(5), torch.zeros(5)])
    loss = torch.zeros(())
    for level in (1, 2, 3):
        z = z.detach()
        z = z / (z.square().mean(1, keepdim=True).sqrt() + 1e-8)
        a = torch.nn.functional.linear(z, leaves[f"W{level}"], leaves[f"b{level}"])
        z = a + (a.relu() - a).detach()
        loss = loss + torch.nn.functional.binary_cross_entropy_with_logits(z.square().sum(1) - z.shape[1], truth)
        r = 0.9 * 0.5 + 0.1 * z[:5].mean(0)
        loss = loss + peer * (r.mean() - r).square().mean()
    loss.backward()
    found = directions(learner, x, y)
    for name, leaf in leaves.items():
        close(found[name], leaf.grad)
