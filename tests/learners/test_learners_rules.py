"""What holds for every rule, and what is peculiar to one."""

import dataclasses
import json

import pytest
import torch
from learner_help import RULES, UNIT, batch, directions, ready, snapshot, toy, train

from fobench import contracts
from fobench.contracts import FobenchError, Scheduled, Selective, Staged, Task
from fobench.learners.biofo import BioFO
from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd
from fobench.learners.drtp import DRTP
from fobench.learners.ff import FF
from fobench.learners.pepita import PEPITA

every_rule = pytest.mark.parametrize("rule", RULES)
TASK = Task("classification", (2, 7), 3)


# --- every rule -------------------------------------------------------------------------------------------------------


@every_rule
def test_constructor_only_stores(rule):
    one, other = rule([5, 4]), rule([5, 4])
    assert one == other and repr(one) == repr(other) and one != rule([5])
    assert vars(one) == {item.name: getattr(one, item.name) for item in dataclasses.fields(one)}
    ready(one, 6, 3)
    assert one == other and repr(one) == repr(other)


@every_rule
def test_fields_are_json(rule):
    fields = dataclasses.asdict(rule([5, 4]))
    assert rule(**json.loads(json.dumps(fields))) == rule([5, 4])


@every_rule
def test_same_seed_same_life(rule):
    lives = []
    for seed in (7, 7, 8):
        learner = ready(toy(rule), 14, 3, seed)
        for number in range(3):
            learner.train_step(*batch(14, 3, 6, number))
        lives.append(snapshot(learner))
    assert all(torch.equal(lives[0][name], lives[1][name]) for name in lives[0])
    assert not torch.equal(lives[0]["W1"], lives[2]["W1"])


@every_rule
def test_global_random_state_is_not_touched(rule):
    before = torch.get_rng_state()
    ready(toy(rule), 14, 3).train_step(*batch(14, 3, 6))
    assert torch.equal(before, torch.get_rng_state())


@every_rule
def test_learns_separable_classes(rule):
    learner = ready(toy(rule), 14, 3)
    assert train(learner, stages=getattr(learner, "stages", 1)) < 0.1


@pytest.mark.parametrize(
    "changed",
    [
        (FF, {"inference": "one-pass", "head_optimizer": {"name": "momentum", "eta": 0.1}}),
        (BioFO, {"order": "sweep", "feedback": "ternary"}),
        (DRTP, {"hidden_scale": "sum", "optimizer": {"name": "momentum", "eta": 2e-3, "nesterov": True}}),
        (PEPITA, {"sign": -1, "output_error": "standard"}),
        (BP, {"activation": "tanh", "output": "sigmoid"}),
    ],
)
def test_variants_learn_separable_classes(changed):
    rule, fields = changed
    assert train(ready(toy(rule, **fields), 14, 3), epochs=15) < 0.1


@every_rule
def test_nothing_lingers_between_steps(rule):
    learner = ready(toy(rule), 14, 3)
    x, y = batch(14, 3, 6)
    learner.train_step(x, y)
    assert all(tensor.grad is None and tensor.grad_fn is None for tensor in learner.state().values())
    assert learner.predict(x).scores.grad_fn is None and not learner.predict(x).scores.requires_grad
    if rule is BPAutograd:
        assert all(tensor.grad is None for node in learner.nodes for tensor in node.weights)


@every_rule
def test_inputs_are_not_written(rule):
    learner = ready(toy(rule), 14, 3)
    x, y = batch(14, 3, 6)
    x0, y0 = x.clone(), y.clone()
    learner.train_step(x, y)
    learner.predict(x)
    assert torch.equal(x, x0) and torch.equal(y, y0)


@every_rule
def test_state_is_live(rule):
    learner = ready(toy(rule), 14, 3)
    x, _ = batch(14, 3, 6)
    before = learner.predict(x).scores.clone()
    for name, tensor in learner.state().items():
        if contracts.is_trained(name):
            tensor.mul_(0.5)
    assert not torch.allclose(before, learner.predict(x).scores)


@every_rule
def test_fixed_symbols_do_not_move_and_trained_ones_do(rule):
    learner = ready(toy(rule), 14, 3)
    G = directions(learner, *batch(14, 3, 6))
    fixed = [name for name in G if not contracts.is_trained(name) and name[0] != "r"]
    assert not any(G[name].any() for name in fixed)
    moved = {name for name in G if contracts.is_trained(name) and G[name].any()}
    expected = {name for name in G if contracts.is_trained(name)}
    assert moved == (expected if rule is not BioFO else {"W1", "b1"})


@every_rule
def test_maps_are_flattened_and_one_sample_is_a_batch(rule):
    learner = toy(rule)
    learner.setup(TASK, torch.Generator().manual_seed(0), "cpu")
    x, y = batch(14, 3, 4)
    flat_scores = learner.predict(x.view(4, 2, 7)).scores
    assert flat_scores.shape == (4, 3)
    alone = torch.cat([learner.predict(row.view(1, 2, 7)).scores for row in x])
    torch.testing.assert_close(flat_scores, alone)
    learner.train_step(x[:1].view(1, 2, 7), y[:1])


@every_rule
def test_default_dtype_is_used(rule):
    torch.set_default_dtype(torch.float32)
    learner = ready(toy(rule), 14, 3)
    x, y = batch(14, 3, 6)
    learner.train_step(x, y)
    assert {tensor.dtype for tensor in learner.state().values()} == {torch.float32}
    assert learner.predict(x).scores.dtype == torch.float32


@every_rule
def test_refuses_what_does_not_fit(rule):
    assert isinstance(rule([5]), Selective)
    assert rule([5]).refuses(TASK) is None
    assert rule([{"kind": "flatten"}, 5]).refuses(TASK) is None
    assert rule([{"kind": "conv", "channels": 2}, 5]).refuses(Task("classification", (1, 8, 8), 3)) is None
    reconstruction = Task("reconstruction", (4,))
    assert (rule([5]).refuses(reconstruction) is None) == (rule not in (DRTP, BioFO))
    for learner, task, reason in (
        *([(rule([5]), reconstruction, "learns from class labels")] if rule in (DRTP, BioFO) else []),
        (rule([{"kind": "conv", "channels": 2}]), TASK, "needs a map"),
        (rule(["x"]), TASK, "layer 0"),
        (rule([5], weight_init="liner"), TASK, "did you mean 'linear'"),
        (rule([5], optimizer={"name": "adma"}), TASK, "did you mean 'adam'"),
    ):
        assert reason in learner.refuses(task)
        with pytest.raises(FobenchError, match=reason):
            learner.setup(task, torch.Generator(), "cpu")


@pytest.mark.parametrize(
    ("learner", "reason"),
    [
        (BP([5], activation="rely"), "did you mean 'relu'"),
        (DRTP([5], output="sigmod"), "did you mean 'sigmoid'"),
        (DRTP([5], hidden_scale="total"), "expected one of: sum, mean"),
        (PEPITA([5], sign=2), "unknown sign 2"),
        (PEPITA([5], keep=0), "keep is 0; expected a number from"),
        (PEPITA([5], decay_epochs="60"), "expected a list of epochs"),
        (BP([5], bias="no"), "unknown bias 'no'"),
        (FF([5], label_amplitude="maximum"), "expected a number or max"),
        (FF([5], inference="multipass"), "did you mean 'multi-pass'"),
        (FF([5], head_optimizer={"name": "adam", "eta": "x"}), "eta of adam"),
        (FF([]), "none"),
        (BioFO([]), "none"),
        (BioFO([5], feedback="ternery"), "did you mean 'ternary'"),
        (BPAutograd([5], optimizer={"name": "momentum", "eta_in_buffer": True}), "eta_in_buffer"),
    ],
)
def test_wrong_fields_are_refused(learner, reason):
    assert reason in learner.refuses(TASK)


def test_ff_refuses_a_label_that_does_not_fit():
    assert "first 3 input values" in FF([5]).refuses(Task("classification", (2,), 3))


# --- initialisation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight_init", "deviation", "bias_deviation"),
    [
        ("linear", (1 / 400 / 3) ** 0.5, (1 / 400 / 3) ** 0.5),
        ("he-uniform", (2 / 400) ** 0.5, 0),
        ("fan-out-normal", (1 / 300) ** 0.5, 0),
        ("zero", 0, 0),
    ],
)
def test_weight_init(weight_init, deviation, bias_deviation):
    state = ready(BP([300], weight_init=weight_init), 400, 3).state()
    assert float(state["W1"].std()) == pytest.approx(deviation, rel=0.02)
    assert float(state["b1"].std()) == pytest.approx(bias_deviation, rel=0.15)


def test_pepita_initial_norms():
    """`learning_rules` 7.10: ||W1|| about 45.25, ||W2|| about 4.47 on 3072-1024-10; F = 0.05 U(+-sqrt(6/n0))."""
    state = ready(PEPITA([1024]), 3072, 10).state()
    assert float(state["W1"].norm()) == pytest.approx(45.25, rel=0.01)
    assert float(state["W2"].norm()) == pytest.approx(4.47, rel=0.03)
    assert 0.049 * (6 / 3072) ** 0.5 < float(state["F"].abs().max()) <= 0.05 * (6 / 3072) ** 0.5


def test_drtp_feedback():
    B = ready(DRTP([200]), 10, 6).state()["B1"]
    assert B.shape == (200, 6) and 0.98 * (6 / 200) ** 0.5 < float(B.abs().max()) <= (6 / 200) ** 0.5


def test_biofo_feedback():
    gaussian = ready(BioFO([200, 200]), 10, 6).state()
    assert float(gaussian["B1"].std()) == pytest.approx(1, rel=0.08) and not torch.equal(gaussian["B1"], gaussian["B2"])
    ternary = ready(BioFO([200, 50, 200], feedback="ternary"), 10, 7).state()
    for name, units in (("B1", 200), ("B2", 50)):
        assert [int((ternary[name] == value).sum()) for value in (1, -1)] == [units * 7 // 6] * 2
        assert set(ternary[name].unique().tolist()) == {-1, 0, 1}
    assert ternary["B1"].data_ptr() == ternary["B3"].data_ptr()


# --- one rule's own ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer", [{"name": "adam", "eta": 0.01}, {"name": "momentum", "eta": 0.1, "nesterov": True}]
)
def test_bp_by_hand_lives_the_life_of_autograd(optimizer):
    pair = [ready(rule([9, 8, 7], optimizer=optimizer), 6, 4, seed=5) for rule in (BP, BPAutograd)]
    for number in range(6):
        for learner in pair:
            learner.train_step(*batch(6, 4, 5, number))
    for one, other in zip(pair[0].state().values(), pair[1].state().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("keep", [1, 0.9, 0.5])
def test_pepita_without_feedback_leaves_hidden_weights(keep):
    """The two passes are then the same, masks included, and H - H^err is exactly zero."""
    learner = ready(PEPITA([8, 7, 6], keep=keep, feedback_scale=0, optimizer=UNIT), 5, 3)
    G = directions(learner, *batch(5, 3, 6))
    assert not any(G[f"W{level}"].any() for level in (1, 2, 3)) and G["W4"].any()


def test_pepita_masks_are_drawn_anew_and_drop_their_share():
    learner = ready(PEPITA([400]), 5, 3)
    one, other = (learner.dropout_masks(50)[0] for _ in range(2))
    assert not torch.equal(one, other)
    assert float(one.double().mean()) == pytest.approx(0.9, abs=0.01)


def test_pepita_schedule():
    learner = ready(PEPITA([4], optimizer={"name": "momentum", "eta": 0.1}), 5, 3)
    assert isinstance(learner, Scheduled)
    found = {}
    for epoch in (0, 59, 60, 89, 90, 99):
        learner.begin_epoch(epoch, 100)
        found[epoch] = learner.steps.eta
    assert found == pytest.approx({0: 0.1, 59: 0.1, 60: 0.01, 89: 0.01, 90: 0.001, 99: 0.001})


def test_ff_schedule():
    """Constant for the first half, then lr * 2 * (1 + E - epoch) / E."""
    learner = ready(FF([4]), 5, 3)
    for epoch, factor in ((0, 1), (50, 1), (51, 1), (76, 0.5), (99, 0.04)):
        learner.begin_epoch(epoch, 100)
        assert learner.steps.eta == pytest.approx(1e-3 * factor)
        assert learner.head_steps.eta == pytest.approx(1e-2 * factor)
    learner.begin_epoch(0, 1)
    assert learner.steps.eta == 1e-3


def test_ff_layers_do_not_see_the_layers_above():
    moved = []
    for scale in (1, 5):
        learner = ready(FF([6, 5, 4], optimizer=UNIT), 8, 3)
        learner.state()["W3"].mul_(scale)
        moved.append(directions(learner, *batch(8, 3, 5)))
    assert all(torch.equal(moved[0][name], moved[1][name]) for name in ("W1", "b1", "W2", "b2"))
    assert not torch.equal(moved[0]["W3"], moved[1]["W3"])


def test_ff_wrong_labels_are_wrong_and_uniform():
    learner = ready(FF([4]), 8, 4)
    y = torch.arange(4).repeat(3000)
    wrong = learner.wrong_labels(y)
    counts = torch.zeros(4, 4).index_put_((y, wrong), torch.ones(len(y)), accumulate=True)
    assert not counts.diagonal().any() and int(wrong.min()) == 0 and int(wrong.max()) == 3
    assert counts[counts > 0].sub(1000).abs().max() < 120


def test_ff_peer_term_reaches_silent_units():
    learner = ready(FF([3], optimizer=UNIT), 4, 2)
    state = learner.state()
    state["W1"][0].fill_(0)
    state["b1"][0].fill_(-1)
    G = directions(learner, *batch(4, 2, 5))
    assert not learner.predict(batch(4, 2, 5)[0]).scores.isnan().any()
    assert float(G["b1"][0]) < 0, "a unit that is always silent is pushed up"


def test_biofo_stages_freeze_all_but_one_layer():
    learner = ready(BioFO([6, 5, 4]), 7, 3)
    assert isinstance(learner, Staged) and learner.stages == 3
    for stage in range(3):
        learner.begin_stage(stage)
        for number in range(3):
            G = directions(learner, *batch(7, 3, 5, number))
            assert {name for name in G if G[name].any()} == {f"W{stage + 1}", f"b{stage + 1}"}


def test_biofo_predicts_from_the_last_layer_trained():
    learner = ready(BioFO([6, 5]), 7, 3)
    x, _ = batch(7, 3, 5)
    s = learner.state()
    H1 = torch.relu(x @ s["W1"].T + s["b1"])
    torch.testing.assert_close(learner.predict(x).scores, H1 @ s["B1"].T)
    learner.begin_stage(1)
    H2 = torch.relu(H1 @ s["W2"].T + s["b2"])
    torch.testing.assert_close(learner.predict(x).scores, H2 @ s["B2"].T)


def test_biofo_holds_optimizer_state_of_one_layer_only():
    learner = ready(BioFO([6, 5, 4]), 7, 3)
    learner.begin_stage(1)
    assert [W.shape for W in learner.steps.moments] == [(5, 6), (5,)]


def test_biofo_sweep_has_one_stage():
    learner = ready(BioFO([6, 5], order="sweep"), 7, 3)
    learner.begin_stage(0)
    G = directions(learner, *batch(7, 3, 5))
    assert learner.stages == 1 and all(G[name].any() for name in ("W1", "b1", "W2", "b2"))


@pytest.mark.parametrize("inference", ["multi-pass", "one-pass"])
def test_ff_has_a_head_only_where_it_reads_one(inference):
    names = set(ready(FF([6, 5], inference=inference), 8, 3).state())
    assert {"V1", "V2"} <= names if inference == "one-pass" else not {"V1", "V2"} & names


@pytest.mark.parametrize("rule", [BP, BPAutograd])
def test_nesterov_without_momentum_is_plain_descent(rule):
    plain, nesterov = ({"name": "sgd", "eta": 0.1}, {"name": "momentum", "eta": 0.1, "mu": 0, "nesterov": True})
    ends = []
    for optimizer in (plain, nesterov):
        learner = ready(rule([5], optimizer=optimizer), 6, 3)
        learner.train_step(*batch(6, 3, 4))
        ends.append(snapshot(learner))
    for name in ends[0]:
        torch.testing.assert_close(ends[0][name], ends[1][name])
