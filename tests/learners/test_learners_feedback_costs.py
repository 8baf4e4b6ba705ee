"""Contractions and live bytes of one step of the rules with a backward or feedback path, against closed forms."""

import pytest
from feedback_help import NETS, TASK, images, layers_of, set_up

from fobench.contracts import Role, Task
from fobench.learners import derived
from fobench.learners.dfa import DFA, SDFA
from fobench.learners.drtp import DRTP
from fobench.learners.fa import FA
from fobench.learners.ifa import IFA
from fobench.learners.sign_symmetry import BRSF, FRSF, USF
from fobench.tracers.macs import MACs
from fobench.tracers.memory import LiveTensors

N, WIDTH = 64, 16
MAP = N * WIDTH * 8
SGD = {"name": "sgd"}
DENSE = Task("classification", (WIDTH,), 3)
FAMILY = (FA, USF, BRSF, FRSF, DFA, SDFA, DRTP, IFA)


# --- contractions -------------------------------------------------------------------------------------------------------


def counted(learner, task, samples=3):
    """Return MACs per sample by role, and the operations that nobody could count."""
    set_up(learner, task)
    tracer = MACs()
    x, y = images(task, samples)
    with tracer.trace(learner, (x, y)):
        learner.train_step(x, y)
    readings = tracer.readings()
    macs = {}
    for reading in readings:
        if reading.quantity == "macs":
            role = reading.channel.rpartition("/")[2]
            macs[role] = macs.get(role, 0) + reading.value
    assert all(value % samples == 0 for value in macs.values())
    return {role: value // samples for role, value in macs.items()}


def reads_pixels(layers, layer):
    return all(s < 0 or (not layers[s].has_weights and reads_pixels(layers, layers[s])) for s in layer.sources)


@pytest.mark.parametrize("rule", FAMILY)
@pytest.mark.parametrize("net", NETS)
def test_contractions(rule, net):
    """With m_l the MACs of layer l, M their sum, C classes and n_l the values of a hidden layer's map:

    backward path 3M - m of the layers that read the input; DFA and sDFA 2M + C N_h; DRTP 2M; IFA 2M + C n_1 + the hidden
    layers above the first ones.
    """
    layers = [layer for layer in layers_of(NETS[net]) if layer.has_weights]
    first = [layer for layer in layers if reads_pixels(layers_of(NETS[net]), layer)]
    M, m_1 = (sum(layer.macs for layer in some) for some in (layers, first))
    C, N_h = 3, sum(layer.units for layer in layers[:-1])
    extra = {Role.INPUT_GRADIENT: M - m_1}
    if rule in (DFA, SDFA):
        extra = {Role.PROJECTION: C * N_h}
    if rule is DRTP:
        extra = {}
    if rule is IFA:
        above = sum(layer.macs for layer in layers[:-1]) - m_1
        extra = {Role.PROJECTION: C * sum(layer.units for layer in first), Role.SECOND_PASS: above}
    expected = {Role.FORWARD: M, Role.WEIGHT_UPDATE: M, **extra}
    assert counted(rule(NETS[net]), TASK) == {role: macs for role, macs in expected.items() if macs}


# --- live bytes ---------------------------------------------------------------------------------------------------------


def peaks(learner, task=DENSE, samples=N):
    """Return the batch-proportional and the constant peak of one step in bytes; the batch itself does not count."""
    tracer = LiveTensors()
    for batch in (samples, samples + 1):
        set_up(learner, task)
        x, y = images(task, batch)
        with tracer.trace(learner, (x, y)):
            learner.train_step(x, y)
    found = {r.channel: r.value for r in tracer.readings() if r.quantity == "memory_peak"}
    return found["batch"], found["constant"]


@pytest.mark.parametrize(
    ("rule", "maps"),
    [
        # D_l and D_{l-1} at the top, while H_1 .. H_{l-2} and the activity that derives D_{l-1} wait: L + 1
        (FA, lambda L: L + 1),
        (USF, lambda L: L + 1),
        (BRSF, lambda L: L + 1),
        (FRSF, lambda L: L + 1),
        # all H_l and one signal
        (DFA, lambda L: L + 1),
        (SDFA, lambda L: L + 1),
        # all H_l, the signals of layers 1 and 2
        (IFA, lambda L: L + 2),
        # H_{l-1}, H_l and D_l
        (DRTP, lambda L: 3),
    ],
)
@pytest.mark.parametrize("depth", [2, 4, 6])
def test_batch_proportional_peak(rule, maps, depth):
    found, _ = peaks(rule([WIDTH] * depth, optimizer=SGD))
    small = N * 3 * 8  # one value per class and sample
    assert maps(depth) * MAP <= found <= maps(depth) * MAP + 3 * small


@pytest.mark.parametrize("rule", [DRTP, DFA])
def test_residual_net_keeps_what_is_read_again(rule):
    """On ResNet-8 the first block rules: maps of 16 x 32 x 32.

    DRTP: the shortcut, what the second convolution reads, its output and its signal: 3 maps and the signal. DFA: all
    activities that updates and derivatives read, and the signal of the largest that is projected while all are there.
    """
    layers = layers_of("resnet8", Task("classification", (3, 32, 32), 10))
    largest = 16 * 32 * 32
    if rule is DRTP:
        needed = 4 * largest
    else:
        weighted = [layer for layer in layers if layer.has_weights]
        kept = {layer.sources[0] for layer in weighted} | {
            index for index, layer in enumerate(layers[:-1]) if layer.has_weights and layer.activated
        }
        needed = sum(layers[index].units for index in kept - {-1}) + largest
    found, _ = peaks(rule("resnet8", optimizer=SGD), Task("classification", (3, 32, 32), 10), samples=2)
    assert found <= 1.10 * needed * 2 * 8


@pytest.mark.parametrize("rule", [USF, BRSF, FRSF])
def test_sign_concordant_feedback_lives_for_one_layer_only(rule):
    """Of the constant bytes of a step most is one S, and for brSF the 16 bits that each of its values is drawn from."""
    wide = 200
    _, constant = peaks(rule([wide] * 4, bias=False, optimizer=SGD), samples=2)
    per_value = 8 + 2 * (rule is BRSF)
    assert wide**2 * per_value <= constant <= wide**2 * per_value + 2000


@pytest.mark.parametrize("rule", [USF, BRSF, FRSF])
def test_sign_concordant_feedback_of_a_large_layer_exists_some_rows_at_a_time(rule):
    """Of 1,000 x 1,000 weights at most `VALUES`, 262 rows, are there at once, and for brSF the 16 bits of each."""
    _, constant = peaks(rule([1000] * 2, bias=False, optimizer=SGD), samples=2)
    assert constant <= derived.VALUES * (8 + 2 * (rule is BRSF)) + 20000


def test_feedback_is_the_only_persistent_extra():
    task = Task("classification", (WIDTH,), 5)
    sizes = {
        rule: sum(t.numel() for name, t in set_up(rule([6, 7]), task).state().items() if name[0] == "B")
        for rule in FAMILY
    }
    assert sizes == {FA: 6 * 7 + 7 * 5, FRSF: 6 * 7 + 7 * 5, USF: 0, BRSF: 0, DFA: 65, SDFA: 65, DRTP: 65, IFA: 30}


def test_no_operation_is_without_a_formula():
    for rule in FAMILY:
        learner, tracer = set_up(rule(NETS["residual"])), MACs()
        x, y = images()
        with tracer.trace(learner, (x, y)):
            learner.train_step(x, y)
        assert not [reading.channel for reading in tracer.readings() if reading.quantity == "uncovered"]
