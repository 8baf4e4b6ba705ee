"""What the papers' figures do not tell, as sentences whose numbers are computed here, each with the command that shows it.

Published numbers come from `results/published`, counts and bytes from `fobench.costs`; nothing is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fobench.contracts import Task
from fobench.costs.catalog import program_of
from fobench.costs.program import Format, Program
from fobench.report.published import CANNOT, DIFFERS, REPRODUCED, Figure, table

WIDTH = 2000
UNIT = 2**20
"""What the LightFF table calls a million MACs."""

TASKS: Mapping[str, Task] = {
    "MNIST": Task("classification", (784,), 10),
    "CIFAR-10": Task("classification", (3072,), 10),
    "CHB-MIT": Task("classification", (1024,), 2),
    "MIT-BIH": Task("classification", (169,), 5),
}
"""The four tasks of the LightFF table; MIT-BIH has the first 169 of 187 values."""

DEPTHS = range(1, 7)
BATCH = 100
DEMO_WATTS = 5.0
JETSON_WATTS = (5.0, 10.0)


@dataclass(frozen=True)
class Doubt:
    """One checked statement about a published table; `command` prints the numbers of `shown`."""

    table: str
    name: str
    sentence: str
    verdict: str
    command: str
    shown: tuple[str, ...]


@cache
def doubts() -> tuple[Doubt, ...]:
    """Return every statement."""
    return (
        _ff_macs(),
        _mit_bih(),
        _labels_in_time(),
        _implied_exits(),
        _label_using_exit(),
        _two_ff_errors(),
        _bp_column(),
        _evaluation_in_training(),
        _energy(),
        _demo(),
        _memory(),
    )


def figure(name: str, row: str, column: str, group: str = "") -> Figure:
    """Return one figure by its place in a published table."""
    return next(
        found for found in table(name).figures if (found.row, found.group, found.column) == (row, group, column)
    )


def hidden_macs(inputs: int, depth: int = 4) -> int:
    """Return one pass through dense layers of 2000 units: n_0 w + (depth - 1) w^2."""
    return inputs * WIDTH + (depth - 1) * WIDTH**2


def evaluation_macs(task: Task, depth: int = 4) -> int:
    """Return what predicting every label at every depth adds to a training step of the released FF code, per sample."""
    return task.classes * sum(hidden_macs(task.inputs, shallow) for shallow in range(1, depth + 1))


def step_bytes(rule: str, task: Task, depth: int) -> int:
    """Return the bytes alive at the dearest moment of a training step: float32, Adam, batch 100, weights and state included."""
    return _program(rule, task, depth).peak(BATCH, Format.FLOAT32).bytes


def least_bytes(rule: str, task: Task, depth: int) -> int:
    """Return the batch-proportional bytes that a training step cannot do without."""
    return _program(rule, task, depth).minimum(BATCH, Format.FLOAT32)


def active_bytes(task: Task, depth: int) -> int:
    """Return the bytes of Bio-FO's last stage without the frozen layers' weights and biases."""
    frozen = hidden_macs(task.inputs, depth - 1) + WIDTH * (depth - 1) if depth > 1 else 0
    return step_bytes("biofo", task, depth) - Format.FLOAT32.bytes * frozen


def _program(rule: str, task: Task, depth: int) -> Program:
    return program_of(rule, {"network": [WIDTH] * depth, "optimizer": "adam"}, task)


def _cost(task: Task, rule: str, depth: int = 4, more: str = "") -> str:
    layers = f"{WIDTH}x{depth}" if depth > 1 else str(WIDTH)
    return f"fobench cost {layers} --input {task.inputs} --classes {task.classes} --learner {rule}{more}"


def _ff_macs() -> Doubt:
    parts = []
    for name in ("MNIST", "CIFAR-10", "CHB-MIT"):
        macs, printed = hidden_macs(TASKS[name].inputs), figure("lightff", name, "FF", "MACs [2^20]").text
        parts.append(f"{name} {macs:,} = {macs / UNIT:.3f} (printed {printed})")
    whole = TASKS["MNIST"].classes * hidden_macs(TASKS["MNIST"].inputs)
    return Doubt(
        "lightff",
        "LightFF's MACs",
        "FF's published MACs are the four hidden layers for one label, without heads, and their million is 2^20: "
        f"{'; '.join(parts)}. A prediction tries every label, so FF on MNIST spends {whole:,}.",
        REPRODUCED,
        _cost(TASKS["MNIST"], "ff"),
        (f"{whole:,}",),
    )


def _mit_bih() -> Doubt:
    printed = figure("lightff", "MIT-BIH", "FF", "MACs [2^20]").text
    short, long = hidden_macs(169), hidden_macs(187)
    heads = TASKS["MIT-BIH"].classes * sum(WIDTH * depth for depth in range(1, 5))
    whole = TASKS["MIT-BIH"].classes * short
    return Doubt(
        "lightff",
        "MIT-BIH's MACs",
        f"No counting that fits the other data sets gives {printed} for MIT-BIH: 169 inputs give {short:,} = "
        f"{short / UNIT:.3f}, 187 give {long:,} = {long / UNIT:.3f}; 187 with the heads of four depths give "
        f"{(long + heads) / UNIT:.3f}, but heads are counted for no other data set.",
        CANNOT,
        _cost(TASKS["MIT-BIH"], "ff"),
        (f"{whole:,}",),
    )


def _labels_in_time() -> Doubt:
    parts = []
    for name, task in TASKS.items():
        one = figure("lightff", name, "FF", "Time [ms]").value / task.classes
        rate = 4 * hidden_macs(task.inputs) / (one * 1e-3) / 1e9
        parts.append(f"{name} {one:.2f} ms ({rate:.0f} GB/s)")
    return Doubt(
        "lightff",
        "MACs of one label, times of all",
        "FF's published times are those of all labels, its MACs those of one. Per label they are "
        f"{', '.join(parts)}; in brackets the rate at which float32 weights would be read, nearly the same for all.",
        DIFFERS,
        "fobench published lightff",
        tuple(figure("lightff", name, "FF", "Time [ms]").text for name in TASKS),
    )


def _implied_exits() -> Doubt:
    def layers(name: str) -> float:
        macs = figure("lightff", name, "LightFF", "MACs [2^20]").value * UNIT
        return 1 + (macs - hidden_macs(TASKS[name].inputs, 1)) / WIDTH**2

    parts = [f"{name} {layers(name):.2f}" for name in TASKS]
    ratios = [figure("lightff", "MNIST", "ratio", group) for group in ("Time [ms]", "MACs [2^20]")]
    return Doubt(
        "lightff",
        "LightFF's exits",
        f"LightFF's MACs imply these mean numbers of layers used: {', '.join(parts)}. On MNIST FF takes {ratios[0].text} times "
        f"the time and {ratios[1].text} times the MACs: both cannot come from the same exits.",
        CANNOT,
        "fobench published lightff",
        tuple(ratio.text for ratio in ratios),
    )


def _label_using_exit() -> Doubt:
    parts = []
    for name in ("CIFAR-10", "CHB-MIT"):
        light, full = (figure("lightff", name, column, "Error [%]") for column in ("LightFF", "FF"))
        parts.append(f"{full.value - light.value:.2f} points on {name} ({full.text} to {light.text})")
    return Doubt(
        "lightff",
        "The label-using exit",
        f"LightFF's published error lies below that of the FF net that it leaves early: {' and '.join(parts)}. The released exit "
        "rule compares the score of the true test label with the threshold, which would explain it; which code made the table is "
        "not stated. Here `lightff` exits without labels, and `lightff-label-oracle` has the released rule (docs/learners.md).",
        CANNOT,
        "fobench published lightff",
        ("50.65", "46.05"),
    )


def _two_ff_errors() -> Doubt:
    own, other = figure("lightff", "CIFAR-10", "FF", "Error [%]"), figure("biofo-depth", "FF", "4 layers", "CIFAR-10")
    return Doubt(
        "lightff",
        "Two errors of FF",
        f"FF with four layers of {WIDTH:,} on CIFAR-10 has {own.text} % in the LightFF table and {other.printed} % in Bio-FO's "
        f"figure, {own.value - other.value:.2f} points less: other label amplitudes and other layers in the score.",
        DIFFERS,
        "fobench published lightff",
        (own.text,),
    )


def _bp_column() -> Doubt:
    pairs = [(figure("lightff", n, "BP", "Error [%]"), figure("biofo-depth", "BP", "4 layers", n)) for n in TASKS]
    most = max(abs(first.value - second.value) for first, second in pairs)
    parts = [f"{first.row} {first.text} and {second.text}" for first, second in pairs]
    return Doubt(
        "lightff",
        "One BP in two papers",
        f"The BP column of LightFF is the four-layer BP of Bio-FO's figure within {most:.2f} points, less than the reading "
        f"error of the figure: {', '.join(parts)}.",
        REPRODUCED,
        "fobench published lightff",
        tuple(first.text for first, _ in pairs),
    )


def _evaluation_in_training() -> Doubt:
    ten, hundred = TASKS["CIFAR-10"], Task("classification", (3072,), 100)
    step = 4 * hidden_macs(ten.inputs)
    energy = [figure("biofo-energy", "FF", name) for name in ("CIFAR-100", "CIFAR-10")]
    return Doubt(
        "biofo-energy",
        "Evaluation inside FF's training step",
        f"A training step of FF has {step:,} MACs a sample on 3072-2000x4. The released step also predicts every label at every "
        f"depth: {evaluation_macs(ten):,} more with 10 labels ({1 + evaluation_macs(ten) / step:.1f} times in all), "
        f"{evaluation_macs(hundred):,} with 100 ({1 + evaluation_macs(hundred) / step:.1f} times). Published are "
        f"{energy[0].text} Wh on CIFAR-100 and {energy[1].text} Wh on CIFAR-10, {energy[0].value / energy[1].value:.1f} times, "
        "with the same layers: no cost of the rule.",
        CANNOT,
        _cost(hundred, "ff"),
        (f"{step:,}",),
    )


def _energy() -> Doubt:
    values = [found.value for found in table("biofo-energy").figures]
    hours = [f"{sum(values) / watts:,.0f} h at {watts:.0f} W" for watts in JETSON_WATTS]
    most = figure("biofo-energy", "FF", "CIFAR-100")
    days = [f"{most.value / watts / 24:.1f}" for watts in JETSON_WATTS]
    return Doubt(
        "biofo-energy",
        "Energy is time x power",
        f"The watt-hours of Bio-FO are training time times the power of a Jetson Nano, no meter's; neither which of its modes "
        f"nor the number of layers is stated. All {len(values)} together would be {' or '.join(hours)}, the longest training "
        f"{' or '.join(days)} days.",
        CANNOT,
        "fobench published biofo-energy",
        (most.text,),
    )


def _demo() -> Doubt:
    long, short = (figure("lightff-demo", "demo", f"{name} [ms]") for name in ("FF", "LightFF"))
    saved = figure("lightff-demo", "demo", "energy saved [µWh]")
    own = (long.value - short.value) * 1e-3 * DEMO_WATTS / 3600 * 1e6
    return Doubt(
        "lightff-demo",
        "The demo's energy",
        f"The LightFF demo's {saved.text} µWh are ({long.text} - {short.text}) ms x {DEMO_WATTS:.0f} W = {own:.3f} µWh: "
        "a nominal power in the program, no meter.",
        REPRODUCED,
        "fobench published lightff-demo",
        (saved.text, long.text, short.text),
    )


def _memory() -> Doubt:
    task, deepest = TASKS["CIFAR-10"], max(DEPTHS)
    claim = figure("claims", "Bio-FO against BP", "times less")
    ratios = [
        [step_bytes(rule, own, depth) / step_bytes("biofo", own, depth) for own in TASKS.values() for depth in DEPTHS]
        for rule in ("bp", "bp-autograd")
    ]
    flags = f" --format float32 --optimizer adam --batch {BATCH} --accounting complete"
    return Doubt(
        "claims",
        "3 times less memory than BP",
        f"Claimed are about {claim.text} times; network, batch and what counts are not stated. One to six layers of {WIDTH:,} "
        f"(float32, Adam, batch {BATCH}, all that is alive in a step) on the four tasks need {min(ratios[0]):.1f} to "
        f"{max(ratios[0]):.1f} times Bio-FO's bytes under BP by hand, {min(ratios[1]):.1f} to {max(ratios[1]):.1f} under "
        "autograd. The table below has every depth, also without the weights of frozen layers, which passes 3.",
        CANNOT,
        _cost(task, "bp-autograd", deepest, flags),
        (f"{step_bytes('bp-autograd', task, deepest):,}",),
    )
