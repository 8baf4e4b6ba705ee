"""Programs against the learners themselves: counted contractions, and bytes that live within a step."""

from collections import Counter
from functools import partial

import pytest
import torch

from fobench.contracts import Phase, Task
from fobench.costs import Format, program_of
from fobench.learners.biofo import BioFO
from fobench.learners.bp import BP
from fobench.learners.bp_autograd import BPAutograd
from fobench.learners.drtp import DRTP
from fobench.learners.ff import FF
from fobench.learners.pepita import PEPITA
from fobench.tracers.macs import MACs
from fobench.tracers.memory import LiveTensors

TASK = Task("classification", (40,), 6)
NETS = ([48, 48, 48, 48], [64, 20, 30])
RULES = {
    "bp": BP,
    "bp-autograd": BPAutograd,
    "drtp": DRTP,
    "pepita": PEPITA,
    "pepita without dropout": partial(PEPITA, keep=1),
    "pepita with E": partial(PEPITA, output_error="standard"),
    "ff": FF,
    "ff one-pass": partial(FF, inference="one-pass"),
    "biofo": partial(BioFO, order="sweep"),
}
CASES = pytest.mark.parametrize(("rule", "net"), [(rule, net) for rule in RULES for net in NETS], ids=str)


def take(tracer, learner, task, batch, phase):
    """Trace the second step (or prediction) of a learner that is set up anew."""
    learner.setup(task, torch.Generator().manual_seed(0), "cpu")
    x = torch.randn(batch, *task.input_shape, generator=torch.Generator().manual_seed(1))
    y = torch.arange(batch) % task.classes
    for context in (None, tracer):
        if context is None:
            learner.train_step(x, y)
            continue
        with context.trace(learner, (x, y)):
            learner.train_step(x, y) if phase is Phase.TRAIN else learner.predict(x)


def counted(learner, task, phase):
    tracer, batch, counts = MACs(), 4, Counter()
    take(tracer, learner, task, batch, phase)
    for reading in tracer.readings():
        if reading.quantity == "macs":
            counts[reading.channel.split("/")[1]] += reading.value / batch
    return dict(counts)


def peak(make, task, batch, phase):
    tracer = LiveTensors()
    for size in (batch, batch + 1):
        take(tracer, make(), task, size, phase)
    return next(r.value for r in tracer.readings() if (r.quantity, r.channel) == ("memory_peak", "batch"))


@CASES
@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.INFER])
def test_counted_contractions_are_those_of_the_program(rule, net, phase):
    learner = RULES[rule](net)
    assert counted(learner, TASK, phase) == program_of(rule.split()[0], learner, TASK).macs(phase)


@CASES
def test_live_bytes_of_a_step_are_near_the_minimum(rule, net):
    """At most 1.10 of it, and never less: it would not be the least. Autograd keeps more, by its nature."""
    program = program_of(rule.split()[0], RULES[rule](net), TASK)
    ratio = peak(partial(RULES[rule], net), TASK, 64, Phase.TRAIN) / program.minimum(64, Format.FLOAT32)
    assert 1 <= ratio <= (1.35 if rule == "bp-autograd" else 1.10)


def test_a_residual_convolutional_net():
    task = Task("classification", (2, 8, 8), 3)
    net = [
        {"kind": "conv", "channels": 4, "padding": 1},
        {"kind": "conv", "channels": 4, "padding": 1, "activate": False},
        {"kind": "add", "source": 0, "activate": True},
        {"kind": "depthwise", "stride": 2, "padding": 1},
        {"kind": "pool"},
        {"kind": "flatten"},
        {"kind": "dense", "units": 7},
    ]
    for rule, learner in (("bp", BP(net)), ("bp-autograd", BPAutograd(net))):
        for phase in (Phase.TRAIN, Phase.INFER):
            assert counted(learner, task, phase) == program_of(rule, learner, task).macs(phase)
    ratio = peak(lambda: BP(net), task, 16, Phase.TRAIN) / program_of("bp", BP(net), task).minimum(16, Format.FLOAT32)
    assert 1 <= ratio <= 1.10


def test_optimizer_state_is_what_the_learner_holds():
    """Persistent bytes: weights, biases, feedback and both moments of Adam, to the byte."""
    for rule, learner in (("bp", BP([48, 20])), ("biofo", BioFO([48, 20], order="sweep"))):
        tracer = LiveTensors()
        for size in (8, 9):
            take(tracer, learner, TASK, size, Phase.TRAIN)
        held = next(r.value for r in tracer.readings() if (r.quantity, r.channel) == ("memory", "persistent"))
        closed = sum(program_of(rule, learner, TASK).persistent_bytes(Format.FLOAT32).values())
        counters = 4 * len([name for name in learner.state() if name[0] in "Wb"])  # of Adam's steps
        assert held == closed + counters
