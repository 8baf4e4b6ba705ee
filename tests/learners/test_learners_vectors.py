"""The published test vectors of `learning_rules` 0.4: one step, SGD with eta 1, no bias unless stated, to 1e-6."""

import pytest
import torch
from learner_help import UNIT, directions, ready

from fobench.learners.biofo import BioFO
from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd
from fobench.learners.drtp import DRTP
from fobench.learners.ff import FF
from fobench.learners.pepita import PEPITA

X = [[1.0, 0.5], [-0.3, 0.8]]
Y = [0, 1]
W1 = [[0.5, -0.2], [0.3, 0.8], [-0.6, 0.4]]
W2 = [[0.7, -0.1, 0.6], [0.2, 0.5, -0.3]]
W3 = [[0.6, -0.5], [-0.1, 0.9]]
F = [[0.10, -0.05], [0.02, 0.08]]
D1 = [[0.2, -0.1], [-0.3, 0.4], [0.15, 0.05]]
D2 = [[0.3, -0.2], [0.5, 0.4]]
G3 = [[-0.003099, -0.100348], [0.003099, 0.100348]]
WEIGHTS = {"W1": W1, "W2": W2, "W3": W3}


def close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-6)


def step(learner, **values):
    learner = ready(learner, 2, 2, **values)
    return directions(learner, torch.tensor(X), torch.tensor(Y))


@pytest.mark.parametrize("rule", [BP, BPAutograd])
def test_bp(rule):
    G = step(rule([3, 2], bias=False, optimizer=UNIT), **WEIGHTS)
    close(G["W1"], [[-0.064242, -0.032121], [0.293202, -0.035954], [-0.062890, 0.167706]])
    close(G["W2"], [[-0.085656, -0.053816, 0.087347], [0.171312, 0.107632, -0.174694]])
    close(G["W3"], G3)


@pytest.mark.parametrize("rule", [BP, BPAutograd, DRTP, PEPITA])
def test_forward_output(rule):
    changed = {DRTP: {"activation": "relu", "output": "softmax"}}.get(rule, {})
    learner = ready(rule([3, 2], bias=False, **changed), 2, 2, **WEIGHTS)
    scores = learner.predict(torch.tensor(X)).scores
    close(scores, [[0.388173, 0.611827], [0.499125, 0.500875]])
    assert -scores[torch.arange(2), torch.tensor(Y)].log().mean() == pytest.approx(0.818851912, abs=1e-9)


def test_drtp():
    learner = DRTP([3, 2], activation="relu", output="softmax", bias=False, hidden_scale="mean", optimizer=UNIT)
    G = step(learner, **WEIGHTS, B1=D1, B2=D2)
    close(G["W1"], [[0.1, 0.05], [-0.21, 0.085], [-0.0075, 0.02]])
    close(G["W2"], [[0.06, 0.05, -0.05], [0.1, 0.285, 0.1]])
    close(G["W3"], G3)
    assert not G["B1"].any() and not G["B2"].any()


PLUS = (
    [[0.024172, 0.014284], [-0.001002, 0.000084], [-0.006405, 0.021908]],
    [[0.006492, 0.022462, 0.007531], [0.001687, -0.001062, -0.003616]],
)
MINUS = (
    [[-0.029057, -0.012330], [0.001283, -0.000196], [0.010665, -0.023612]],
    [[-0.008485, -0.022444, -0.009465], [-0.002205, 0.001105, 0.004545]],
)


@pytest.mark.parametrize(
    ("sign", "output_error", "hidden", "top"),
    [
        (1, "modulated", PLUS, [[-0.001615, -0.094750], [0.001615, 0.094750]]),
        (1, "standard", PLUS, [[-0.000127, -0.093298], [0.000127, 0.093298]]),
        (-1, "standard", MINUS, [[-0.006071, -0.107397], [0.006071, 0.107397]]),
    ],
)
def test_pepita(sign, output_error, hidden, top):
    G = step(PEPITA([3, 2], sign=sign, output_error=output_error, keep=1, optimizer=UNIT), **WEIGHTS, F=F)
    close(G["W1"], hidden[0])
    close(G["W2"], hidden[1])
    close(G["W3"], top)
    assert not G["F"].any()


def test_pepita_momentum_of_the_first_step_is_one_step_of_sgd():
    optimizer = {"name": "momentum", "eta": 1.0, "eta_in_buffer": True}
    close(step(PEPITA([3, 2], keep=1, optimizer=optimizer), **WEIGHTS, F=F)["W1"], PLUS[0])


def test_biofo_sweep():
    values = {"W1": W1, "W2": W2, "b1": [0.0] * 3, "b2": [0.0] * 2}
    feedback = {"B1": [[0.2, -0.3, 0.15], [-0.1, 0.4, 0.05]], "B2": [[0.3, 0.5], [-0.2, 0.4]]}
    G = step(BioFO([3, 2], order="sweep", optimizer=UNIT), **values, **feedback)
    close(G["W1"], [[-0.088719, -0.044359], [0.250798, -0.013262], [-0.006255, 0.016681]])
    close(G["b1"], [-0.088719, 0.061052, 0.020851])
    close(G["W2"], [[-0.046307, -0.007653, 0.066712], [-0.009261, -0.001531, 0.013342]])
    close(G["b2"], [0.017658, 0.003532])


def test_biofo_local_losses():
    x, y = torch.tensor(X), torch.tensor(Y)
    for depth, loss in ((1, 0.717387), (2, 0.692403)):
        values = {"W1": W1, "W2": W2, "b1": [0.0] * 3, "b2": [0.0] * 2}
        feedback = {"B1": [[0.2, -0.3, 0.15], [-0.1, 0.4, 0.05]], "B2": [[0.3, 0.5], [-0.2, 0.4]]}
        learner = ready(BioFO([3, 2]), 2, 2, **values, **feedback)
        learner.begin_stage(depth - 1)
        found = torch.nn.functional.cross_entropy(learner.predict(x).scores, y)
        assert float(found) == pytest.approx(loss, abs=1e-6)


FF_X = [[0.9, 0.1, 1, 0.5], [0.2, 0.7, -0.3, 0.8]]
FF_VALUES = {
    "W1": [[0.5, -0.2, 0.3, 0.8], [0.3, 0.8, -0.6, 0.4], [-0.6, 0.4, 0.7, -0.1]],
    "W2": [[0.7, -0.1, 0.6], [0.2, 0.5, 0.3]],
    "b1": [0.0] * 3,
    "b2": [0.0] * 2,
}
FF_PLAIN = (
    [
        [0.246584, 0.095611, -0.700332, 0.411681],
        [0.681344, -0.192556, 0.048811, 0.345927],
        [-0.026987, 0.365639, 0.376372, 0.160622],
    ],
    [[-0.161919, 0.248117, 0.572041], [0.041750, -0.291619, 0.341500]],
)
FF_PEER = (
    [
        [0.246630, 0.095663, -0.700302, 0.411745],
        [0.681379, -0.192515, 0.048834, 0.345977],
        [-0.027068, 0.365547, 0.376318, 0.160508],
    ],
    [[-0.161907, 0.248127, 0.572043], [0.041738, -0.291628, 0.341499]],
)


@pytest.mark.parametrize(("peer", "expected"), [(0, FF_PLAIN), (0.03, FF_PEER)])
def test_ff(peer, expected):
    learner = ready(FF([3, 2], peer=peer, optimizer=UNIT), 4, 2, **FF_VALUES)
    G = directions(learner, torch.tensor(FF_X), torch.tensor(Y))
    close(G["W1"], expected[0])
    close(G["W2"], expected[1])


def test_ff_goodness_and_losses():
    """With one layer at a time, s follows from the multi-pass score: s = ||z||^2 - n; columns are labels."""
    learner = ready(FF([3, 2]), 4, 2, **FF_VALUES)
    both = learner.predict(torch.tensor(FF_X)).scores
    first = ready(FF([3]), 4, 2, W1=FF_VALUES["W1"], b1=FF_VALUES["b1"]).predict(torch.tensor(FF_X)).scores
    y = torch.tensor(Y)
    for scores, width, s, loss in (
        (first, 3, [-0.435556, 1.218728, -0.311111, 1.028902], 0.769387),
        (both - first, 2, [-0.290624, -1.013861, 0.502793, -0.620732], 0.894600),
    ):
        found = torch.cat([scores[torch.arange(2), y], scores[torch.arange(2), 1 - y]]) - width
        close(found, s)
        truth = torch.tensor([1.0, 1, 0, 0])
        assert float(torch.nn.functional.binary_cross_entropy_with_logits(found, truth)) == pytest.approx(
            loss, abs=1e-6
        )


def test_ff_multi_pass_scores():
    learner = ready(FF([3, 2]), 4, 2, **FF_VALUES)
    close(learner.predict(torch.tensor(FF_X)).scores, [[4.273820, 5.191682], [5.408170, 5.204868]])
