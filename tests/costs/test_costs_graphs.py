"""Programs of networks that nobody has seen: convolutions counted one by one, random residual nets, every rule on them."""

import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench import networks, plugins
from fobench.contracts import FobenchError, Phase, Role, Task
from fobench.costs import BufferRole, Format, Program, program_of
from fobench.costs.program import Lifetime

RULES = sorted(plugins.installed("costs"))
NEED_LABELS = ("biofo", "cafo", "drtp", "light-biofo", "lightff", "lightbp", "light-pepita", "mono-forward", "tinyfoa")
PHASES = (Phase.TRAIN, Phase.INFER)


# --- an independent count: one multiplication per output value, input channel and tap, padding included ------------------


def counted_one_by_one(layer: networks.Layer) -> int:
    if layer.kind == "dense":
        return sum(1 for _ in product(range(layer.units), range(layer.inputs)))
    if layer.kind not in ("conv", "depthwise", "local"):
        return 0
    channels, rows, columns = layer.output_shape
    seen = 1 if layer.kind == "depthwise" else layer.input_shape[0]
    taps = networks.pair(layer.record["kernel"])
    places = product(range(channels), range(rows), range(columns))
    return sum(1 for _ in places for _ in product(range(seen), range(taps[0]), range(taps[1])))


CONV_NETS = {
    "strided": [{"kind": "conv", "channels": 3, "stride": 2, "padding": "same"}, {"kind": "flatten"}],
    "separable": [
        {"kind": "conv", "channels": 4, "kernel": [3, 2]},
        {"kind": "depthwise", "padding": 1, "stride": [1, 2]},
        {"kind": "conv", "channels": 5, "kernel": 1},
        {"kind": "pool", "mode": "mean"},
        {"kind": "flatten"},
    ],
    "local": [{"kind": "local", "channels": 2, "padding": 1}, {"kind": "pool"}, {"kind": "flatten"}],
}


@pytest.mark.parametrize("name", CONV_NETS)
def test_convolutions_one_by_one(name: str) -> None:
    task, net = Task("classification", (2, 8, 7), 3), CONV_NETS[name]
    layers = [*networks.layers(net, task)]
    output = networks.layers([*networks.expand(net), networks.dense(3)], task)[-1]
    m = [counted_one_by_one(layer) for layer in layers if layer.has_weights]
    top, maps = counted_one_by_one(output), sum(layer.units for layer in layers if layer.has_weights)
    M = sum(m) + top
    sums = {rule: sum(program_of(rule, {"network": net}, task).macs().values()) for rule in RULES}
    projection = 2 * 8 * 7 * 3
    assert sums["bp"] == sums["bp-autograd"] == sums["fa"] == sums["brsf"] == 3 * M - m[0]
    assert sums["dfa"] == 2 * M + 3 * maps and sums["drtp"] == 2 * M
    assert sums["pepita"] == 3 * M + projection and sums["mempepita"] == 4 * M + projection
    assert sums["afa"] == M + sum(m) + M + projection
    assert sums["ff"] == 4 * sum(m)


@st.composite
def residual_nets(draw: st.DrawFn) -> list[dict[str, object]]:
    """A stem, blocks with identity or convolutional shortcuts (strided or not), a head of pools and dense layers."""
    records: list[dict[str, object]] = [{"kind": "conv", "channels": draw(st.integers(1, 6)), "padding": "same"}]
    for _ in range(draw(st.integers(0, 3))):
        block = len(records) - 1
        identity = draw(st.booleans())
        channels = _channels(records) if identity else draw(st.integers(1, 6))
        stride = 1 if identity else draw(st.integers(1, 2))
        same = {"padding": "same"}
        records.append({"kind": "conv", "channels": channels, "stride": stride, **same})
        records.append({"kind": "depthwise" if draw(st.booleans()) else "conv", **same, "activate": False})
        if records[-1]["kind"] == "conv":
            records[-1]["channels"] = channels
        if identity:
            records.append({"kind": "add", "source": block, "activate": draw(st.booleans())})
            continue
        shortcut = {"kind": "conv", "channels": channels, "kernel": 1, "stride": stride, "source": block}
        records += [{**shortcut, "activate": False}, {"kind": "add", "source": block + 2, "activate": True}]
    if draw(st.booleans()):
        records.append({"kind": "pool", "mode": draw(st.sampled_from(["max", "mean"])), "padding": 0})
    records.append({"kind": "flatten"})
    return records + [{"kind": "dense", "units": width} for width in draw(st.lists(st.integers(1, 9), max_size=2))]


def _channels(records: list[dict[str, object]]) -> int:
    return next(int(record["channels"]) for record in reversed(records) if "channels" in record)  # type: ignore[call-overload]


tasks = st.builds(
    Task, st.just("classification"), st.tuples(st.integers(1, 3), st.just(8), st.integers(8, 10)), st.integers(2, 6)
)


def slow_minimum(program: Program, phase: Phase) -> int:
    """Walk the operations and keep, at each product, the values that it or a later operation reads or changes."""
    step, best = program.step(phase), 0
    for now, op in enumerate(step.ops):
        if not op.macs:
            continue
        written = {name for earlier in step.ops[: now + 1] for name in earlier.writes}
        needed = {name for later in step.ops[now:] for name in later.reads} | set(op.writes)
        alive = [step.buffers[name] for name in written & needed if name in step.buffers]
        best = max(best, sum(b.elements for b in alive if b.per_sample and b.role is not BufferRole.INPUT))
    return best


@settings(max_examples=25, deadline=None)
@given(residual_nets(), tasks, st.sampled_from(RULES))
def test_every_rule_on_random_residual_nets(net: list[dict[str, object]], task: Task, rule: str) -> None:
    program = program_of(rule, {"network": net, "optimizer": "momentum"}, task)
    weights = {name for name, buffer in program.persistent.items() if buffer.role is BufferRole.WEIGHT}
    for phase in PHASES:
        step = program.step(phase)
        known = {*program.persistent, *step.buffers}
        seen = {name for name, buffer in step.buffers.items() if buffer.role is BufferRole.INPUT} | {
            *program.persistent
        }
        for op in step.ops:
            assert {*op.reads, *op.writes} <= known and {*op.reads} - {*op.writes} <= seen, op
            seen |= {*op.writes}
        assert program.minimum(1, Format.INT8, phase) == slow_minimum(program, phase) > 0
        assert program.minimum(7, Format.INT8, phase) == 7 * program.minimum(1, Format.INT8, phase)
        peaks = [program.peak(batch, format, phase).bytes for batch in (1, 4) for format in Format]
        assert peaks == sorted(peaks[:6]) + sorted(peaks[6:]) and peaks[0] < peaks[6]
    written = {name for op in program.train.ops for name in op.writes}
    assert rule in ("biofo", "light-biofo", "lightbp", "light-pepita", "tinyfoa", "cafo") or weights - written <= {
        name for name in weights if rule.startswith("light") and name.startswith("V")
    }


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.data(), st.sampled_from(RULES))
def test_wider_costs_no_less(widths: list[int], data: st.DataObject, rule: str) -> None:
    task, place = Task("classification", (12,), 4), data.draw(st.integers(0, len(widths) - 1))
    wider = [width + (5 if number == place else 0) for number, width in enumerate(widths)]
    one, other = (program_of(rule, {"network": net}, task) for net in (widths, wider))
    for phase in PHASES:
        assert sum(one.macs(phase).values()) <= sum(other.macs(phase).values())
        assert one.minimum(3, Format.FLOAT32, phase) <= other.minimum(3, Format.FLOAT32, phase)
        assert one.peak(3, Format.FLOAT32, phase).bytes < other.peak(3, Format.FLOAT32, phase).bytes


@pytest.mark.parametrize(("rule", "trunk"), [("lightbp", "bp"), ("light-pepita", "pepita")])
def test_with_one_hidden_layer_there_is_no_exit_to_train_and_the_trunk_is_what_it_costs(rule: str, trunk: str) -> None:
    task = Task("classification", (12,), 4)
    light, plain = (program_of(name, {"network": [5]}, task) for name in (rule, trunk))
    assert light.macs(Phase.TRAIN) == plain.macs(Phase.TRAIN)
    assert light.peak(3, Format.FLOAT32).bytes == plain.peak(3, Format.FLOAT32).bytes > 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", networks.named_tasks())
def test_every_rule_on_the_tiny_nets(rule: str, name: str) -> None:
    task = networks.named_tasks()[name]
    if task.kind == "reconstruction" and rule in NEED_LABELS:
        with pytest.raises(FobenchError, match="needs class labels"):
            program_of(rule, {"network": name}, task)
        return
    program = program_of(rule, {"network": name}, task)
    layers = networks.layers(name, task)
    hidden = sum(layer.macs for layer in layers)
    total = hidden + layers[-1].units * task.outputs
    one_pass = program.macs(Phase.INFER)[Role.FORWARD]
    if name == "resnet8" and rule in ("biofo", "mono-forward", "tinyfoa"):
        hidden -= layers[8].macs + layers[9].macs  # the last layer, a shortcut, does not read the branch beside it
    passes = max(task.classes, 1) if rule in ("ff", "ff-mpezeshki", "lightff") else 1
    local = rule in ("ff", "ff-mpezeshki", "lightff", "biofo", "light-biofo", "cafo", "mono-forward", "tinyfoa")
    assert one_pass == passes * (hidden if local else total)


def test_every_feature_is_normalised_once() -> None:
    """A block's input that two convolutions read, and nobody else, is normalised in place; one that a sum reads is copied."""
    program = program_of("ff", {"network": "resnet8"}, networks.named_tasks()["resnet8"])
    copies = [name for name in program.train.buffers if name.startswith("rms")]
    assert copies == ["rms(H1)"]


def overlapping(one: Lifetime, other: Lifetime) -> bool:
    return one.first <= other.last and other.first <= one.last


@pytest.mark.parametrize("rule", ["pepita", "mempepita"])
def test_masks_of_dropout(rule: str) -> None:
    """PEPITA keeps the masks of all layers from one pass to the other; MEMPEPITA one at a time."""
    task = Task("classification", (12,), 4)
    lives = program_of(rule, {"network": [5, 6, 7], "keep": 0.5}, task).lifetimes(1, Format.FLOAT32)
    masks = [life for life in lives if life.buffer.role is BufferRole.MASK]
    assert {life.bytes for life in masks} == {5, 6, 7}
    together = [(one, other) for one in masks for other in masks if one is not other and overlapping(one, other)]
    assert len(together) == (6 if rule == "pepita" else 0)


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("bp", {}, "needs a network"),
        ("bp", {"network": [3], "optimiser": "adam"}, "did you mean 'optimizer'"),
        ("bp", {"network": [3], "optimizer": "adagrad"}, "unknown optimizer 'adagrad'"),
        ("bq", {"network": [3]}, "unknown learner 'bq'; did you mean 'bp'"),
        ("ff", {"network": []}, "has none"),
        ("ff", {"network": [3], "inference": "two-pass"}, "expected one of multi-pass, one-pass"),
        ("biofo", {"network": [3], "stage": 1}, "stages 0 to 0"),
        ("biofo", {"network": [3], "order": "random"}, "expected one of greedy, sweep"),
        ("pepita", {"network": [3], "output_error": "none"}, "expected one of modulated, standard"),
        ("pepita", {"network": "pepita-conv", "mirror": True}, "written for dense layers"),
        ("lightff", {"network": [3, 3], "exits": [0.5, 0.2]}, "expected 2 shares"),
        ("light-biofo", {"network": [3, 3], "exits": [1, 1.5]}, "expected 2 shares"),
        ("bp", {"network": [{"kind": "convolution"}]}, "layer 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(rule: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(FobenchError, match=message):
        program_of(rule, options, Task("classification", (1, 9, 9), 2))


def test_a_hundred_layers_without_torch() -> None:
    code = (
        "import sys\nfrom fobench.contracts import Task\nfrom fobench.costs import Format, program_of\n"
        "program = program_of('mempepita', {'network': [64] * 100}, Task('classification', (32,), 10))\n"
        "print(len(program.train.ops) > 900, program.peak(8, Format.INT8).bytes > 0, 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "True", "False"]
