"""Early exit beside the slow references, on vectors and on maps with a shortcut, a pool and layers without activation."""

import pytest
import slow_exits
import slow_ff
import slow_local
import torch
from learner_help import UNIT, directions
from learner_nets import numbered, set_up, slow_net

from fobench import networks
from fobench.contracts import Task
from fobench.learners.light_biofo import LightBioFO
from fobench.learners.light_pepita import LightPEPITA
from fobench.learners.lightbp import LightBP
from fobench.learners.lightff import LightFF
from fobench.networks import add, conv, depthwise, flatten, local, pool

NETS = {
    "vectors": ([8, 7, 6], Task("classification", (9,), 3)),
    "maps": (
        [
            conv(3, padding=1), conv(3, padding=1, activate=False), add(0, activate=True), pool(2),
            depthwise(3, padding="same"), local(2, kernel=2), flatten(), 5,
        ],
        Task("classification", (2, 6, 5), 3),
    ),
}  # fmt: skip
HEADED = {"bp": (LightBP, True), "pepita": (LightPEPITA, False)}
FLAVOURS = {"loewe": (slow_ff.rms, False), "mpezeshki": (slow_ff.length, True)}
every_net = pytest.mark.parametrize("net", NETS)
every_headed = pytest.mark.parametrize("kind", HEADED)
every_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


def made(rule, net, **fields):
    """A learner whose heads and biases are drawn, which begin at zero."""
    records, task = NETS[net]
    learner = set_up(rule(records, **fields), task)
    generator = torch.Generator().manual_seed(3)
    for name, tensor in learner.state().items():
        if name[0] in "Vcb":
            tensor.copy_(torch.empty(tensor.shape).normal_(0, 0.3, generator=generator))  # in order of units
    return learner


def drawn(net, samples):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, *NETS[net][1].input_shape, generator=generator)
    return x, torch.randint(3, (samples,), generator=generator)


def heads(state):
    """Return the heads as one matrix each, and their biases or None."""
    depths = sorted({int(name[1:].partition("_")[0]) for name in state if name[0] == "V"})
    V = [
        torch.cat([state[name].flatten(1) for name in state if name.partition("_")[0] == f"V{at}"], 1) for at in depths
    ]
    return V, [state.get(f"c{at}") for at in depths]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def close_heads(found, G, g):
    V, c = heads(found)
    for one, other in zip(V, G, strict=True):
        close(one, other)
    for one, other in zip(c, g, strict=True):
        if one is not None:
            close(one, other)


def answers_are_those_of(expected, learner, x):
    """Compare with leaving at the first depth that is sure; where one sample set a threshold, rounding must not decide."""
    learner.rule.tau = [tau - 1e-9 for tau in learner.rule.tau]
    answer = learner.predict(x)
    for row, scores in enumerate(expected):
        found, depth = slow_exits.leave(scores, learner.rule.tau)
        close(answer.scores[row], found)
        assert int(answer.depth[row]) == depth


# --- heads on a trained net ---------------------------------------------------------------------------------------------


@every_headed
@every_net
def test_every_depth_answers_what_the_equations_say(kind, net):
    rule, concatenated = HEADED[kind]
    learner, (x, y) = made(rule, net), drawn(net, 12)
    reference, (V, c) = slow_net(learner, NETS[net][1]), heads(learner.state())
    expected = [slow_exits.scores(reference, v, V, c, concatenated) for v in x]
    learner.calibrate(x, y)
    for depth, found in enumerate(learner.scores_by_depth(x)):
        close(found, torch.stack([rows[depth] for rows in expected]))
        rows = [scores[depth] for scores in expected]
        assert learner.rule.tau[depth] == pytest.approx(slow_exits.threshold(rows, y, 1, True), rel=1e-9)
    answers_are_those_of(expected, learner, x)


@every_headed
@every_net
def test_heads_take_the_step_of_the_equations(kind, net):
    rule, concatenated = HEADED[kind]
    learner, (x, y) = made(rule, net, head_optimizer=UNIT), drawn(net, 4)
    learner.begin_stage(1)
    reference, (V, c) = slow_net(learner, NETS[net][1]), heads(learner.state())
    rows = [slow_exits.read_by_heads(reference, v, concatenated) for v in x]
    G, g = slow_exits.step(rows, y, V, c)
    found = directions(learner, x, y)
    close_heads(found, G, g)
    assert not any(found[name].any() for name in found if name[0] not in "Vc")


# --- Forward-Forward ------------------------------------------------------------------------------------------------------


@every_flavour
@every_net
@pytest.mark.parametrize("score_layers", ["all", "from-second"])
def test_multi_pass_is_the_slow_recipe_in_both_flavours(flavour, net, score_layers):
    norm, mean = FLAVOURS[flavour]
    trunk = {"score_layers": score_layers} if flavour == "loewe" else {}
    learner, (x, y) = made(LightFF, net, flavour=flavour, trunk=trunk), drawn(net, 10)
    s, layers = learner.state(), networks.layers(*NETS[net])
    first = 1 if trunk.get("score_layers") == "from-second" else 0
    W, b = numbered(s, "W"), numbered(s, "b")
    expected = [slow_ff.light(v, layers, W, b, 3, norm, mean, first) for v in x]
    learner.calibrate(x, y)
    for depth, tau in enumerate(learner.rule.tau):
        rows = [scores[depth] for scores in expected]
        assert tau == pytest.approx(slow_exits.threshold(rows, y, 1, False), rel=1e-9)
    answers_are_those_of(expected, learner, x)


def neutral_activities(learner, net, x, norm):
    """What the heads of the one-pass net read of each sample, depth by depth."""
    s, layers = learner.state(), networks.layers(*NETS[net])
    rows = []
    for v in x:
        neutral = v.clone()
        neutral.view(-1)[:3] = 1 / 3
        own = [z.flatten() for _, z in slow_ff.layers_of(neutral, layers, numbered(s, "W"), numbered(s, "b"), norm)]
        rows.append([torch.cat(own[: depth + 1]) for depth in range(len(own))])
    return rows


@every_flavour
@every_net
def test_one_pass_heads_take_the_step_of_the_equations(flavour, net):
    norm, _ = FLAVOURS[flavour]
    learner = made(LightFF, net, flavour=flavour, inference="one-pass", head_optimizer=UNIT)
    x, y = drawn(net, 4)
    V, c = heads(learner.state())
    V = [v.clone() for v in V]
    rows = neutral_activities(learner, net, x, norm)
    for depth, found in enumerate(learner.scores_by_depth(x)):
        close(found, torch.stack([V[depth] @ seen[depth] for seen in rows]))
    G, g = slow_exits.step(rows, y, V, c)
    close_heads(directions(learner, x, y), G, g)


# --- Bio-FO ---------------------------------------------------------------------------------------------------------------


@every_net
@pytest.mark.parametrize("feedback", ["gaussian", "linear"])
def test_every_depth_of_bio_fo_answers_by_its_local_logits(net, feedback):
    records, task = NETS[net]
    learner, (x, y) = made(LightBioFO, net, trunk={"feedback": feedback}), drawn(net, 8)
    s = learner.state()
    B, Bb = numbered(s, "B"), numbered(s, "Bb")
    read_outs = list(zip(B, Bb or [torch.zeros(3)] * len(B), strict=True))
    weights = numbered(s, "W"), numbered(s, "b")
    _, _, expected, *_ = slow_local.biofo(networks.layers(records, task), x, y, weights, read_outs)
    learner.calibrate(x, y)
    for depth, found in enumerate(learner.scores_by_depth(x)):
        close(found, expected[depth])
        assert learner.rule.tau[depth] == pytest.approx(slow_exits.threshold(expected[depth], y, 1, True), rel=1e-9)
