"""The published accounting: D. P. Pau and F. M. Aymone, IEEE COINS 2023 (doi 10.1109/COINS57856.2023.10189239).

Their spreadsheet, column by column, for any network: int8, one sample at a time, an update in place, no optimizer state. With
the column sums F0 (forward), F = F0 + 19 n (with the output stage), B, U, G, N and per sample E = n, P = n x:

    BP         F + B + U + E            FF         2 (F0 + U + G + N);   inference L (F0 + G + N)
    PEPITA     2 F + U + E + P          MEMPEPITA  3 F + U + E + P;      inference of all but FF: F

Bytes: training RAM = weights + biases + activations, inference RAM = activations. Left out, as published: feedback matrix,
error maps, the modulated pass's own buffers, wider accumulators, batch; batch normalisation is folded.

Chosen where the sheet has no case: a first layer is one that has no trained layer below it; a padded copy has kernel - 1 rows
and columns more than its map (their 3x3: 2); a window of a pool costs its area; other formats change the bytes, not the MACs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from fobench import networks
from fobench.contracts import Task
from fobench.costs import slips as sheet_slips
from fobench.costs.program import CostError
from fobench.costs.sheet import Operator, Sheet

RULES = ("bp", "ff", "pepita", "mempepita")
"""The rules that the sheet has."""

TRAINING: Mapping[str, Mapping[str, int]] = {
    "bp": {"forward": 1, "backward": 1, "update": 1, "error": 1},
    "ff": {"forward": 2, "update": 2, "goodness": 2, "normalisation": 2},
    "pepita": {"forward": 2, "update": 1, "error": 1, "projection": 1},
    "mempepita": {"forward": 3, "update": 1, "error": 1, "projection": 1},
}
"""How often a training sample pays each column; FF's positive and negative pass have an update each."""

BUDGETS: Mapping[str, tuple[int, int]] = {
    "ds-cnn": (36, 85_511),
    "mobilenet-v1-0.25": (50, 109_619),
    "resnet8": (500, 50_000),
    "autoencoder": (100, 4_000),
}
"""Epochs and samples of the sheet's whole training."""


class PublishedError(CostError):
    """A rule or a slip that the published accounting does not have."""


@dataclass(frozen=True)
class Published:
    """One rule on one network as the sheet has it: MACs of one sample by column, bytes of the buffers."""

    rule: str
    training: Mapping[str, int]
    inference: Mapping[str, int]
    parameters: int
    training_activations: int
    inference_activations: int

    @property
    def training_macs(self) -> int:
        """MACs of one training sample."""
        return sum(self.training.values())

    @property
    def inference_macs(self) -> int:
        """MACs of one prediction; FF tries every label."""
        return sum(self.inference.values())

    @property
    def training_ram(self) -> int:
        """Bytes: weights, biases and activations."""
        return self.parameters + self.training_activations

    @property
    def inference_ram(self) -> int:
        """Bytes: activations only, the weights sit in flash."""
        return self.inference_activations


def sheet(network: object, task: Task, slips: Iterable[str] = ()) -> Sheet:
    """Return the sheet of a network with its output layer; `slips` are the published mistakes to repeat, by name."""
    layers = networks.layers([*networks.expand(network), networks.dense(task.outputs)], task)
    operators: list[Operator] = []
    trained: list[bool] = []
    for number, layer in enumerate(layers):
        below = any(source >= 0 and (trained[source] or layers[source].has_weights) for source in layer.sources)
        trained.append(below)
        operators += _operators(layer, number, below)
    classification = task.kind == "classification"
    found = Sheet(
        operators=(*operators, *(_output_stage(task.outputs) if classification else ())),
        inputs=task.inputs,
        outputs=task.outputs,
        input_buffer=task.inputs,
        labels=task.classes if classification else 1,
        supervised=classification,
    )
    for name in slips:
        found = _with_slip(found, name, network, task)
    return found


def _with_slip(found: Sheet, name: str, network: object, task: Task) -> Sheet:
    if name not in sheet_slips.SLIPS:
        raise PublishedError(f"no slip is called {name!r}; expected one of: {', '.join(sheet_slips.SLIPS)}")
    slip = sheet_slips.SLIPS[name]
    if name not in slips_of(network, task):
        raise PublishedError(f"the slip {name!r} is one of {slip.network}'s; this is another network")
    return slip.repeat(found)


def slips_of(network: object, task: Task) -> tuple[str, ...]:
    """Return the names of the slips that the published sheet of this network has."""
    records = networks.expand(network)
    named = [name for name, own in networks.named_tasks().items() if own == task and networks.expand(name) == records]
    return tuple(name for name, slip in sheet_slips.SLIPS.items() if slip.network in named)


def _operators(layer: networks.Layer, number: int, below: bool) -> list[Operator]:
    """Return the columns of one layer: none of a flatten, two of a padded convolution."""
    name, inputs = f"{number} {layer.kind}", (layer.inputs,) * len(layer.sources)
    if layer.kind == "flatten":
        return []
    if layer.kind == "add":
        return [Operator(name, "add", inputs, layer.units, {"forward": layer.units})]
    if layer.kind == "pool":
        window = layer.units * prod(networks.pair(layer.record["kernel"]))
        return [Operator(name, "pool", inputs, layer.units, {"forward": window, "backward": window if below else 0})]
    backward = layer.macs if below else 0
    macs = {"forward": layer.macs, "backward": backward, "update": layer.macs}
    macs |= {"goodness": layer.units, "normalisation": layer.units}
    padded = _padded(layer) if below else None
    own = Operator(name, layer.kind, inputs, layer.units, macs, layer.weights, layer.biases, padded)
    return [own] if padded is None else [Operator(f"{number} padding", "padding", inputs, padded, {}), own]


def _padded(layer: networks.Layer) -> int | None:
    """Return the elements of the padded copy that a convolution reads, or None where it reads its input."""
    if layer.kind == "dense" or not any(layer.padding):
        return None
    channels, rows, columns = layer.input_shape
    kernel = networks.pair(layer.record["kernel"])
    return channels * (rows + kernel[0] - 1) * (columns + kernel[1] - 1)


def _output_stage(outputs: int) -> tuple[Operator, ...]:
    """Return the converter to float32, the softmax and the converter back: 19 MACs an output in all."""
    return (
        Operator("converter", "converter", (outputs,), outputs, {"forward": 2 * outputs}),
        Operator("softmax", "softmax", (outputs,), outputs, {"forward": 15 * outputs}),
        Operator("converter back", "converter", (outputs,), outputs, {"forward": 2 * outputs}),
    )


def account(found: Sheet, rule: str, element_bytes: int = 1) -> Published:
    """Return what the sheet says of one rule; raises PublishedError for a rule that it does not have."""
    if rule not in RULES:
        raise PublishedError(
            f"there is no published accounting of {rule!r}: Pau and Aymone (2023) have {', '.join(RULES)}; "
            "ask for the complete accounting"
        )
    training = {column: times * _sum(found, rule, column) for column, times in TRAINING[rule].items()}
    scored = ("forward", "goodness", "normalisation") if rule == "ff" else ("forward",)
    tries = found.labels if rule == "ff" else 1
    return Published(
        rule,
        training,
        {column: tries * _sum(found, rule, column) for column in scored},
        element_bytes * sum(operator.weights + operator.biases for operator in found.operators),
        _training_activations(found, rule, element_bytes),
        element_bytes * (found.peak + (found.input_buffer if rule == "ff" and found.supervised else 0)),
    )


def _sum(found: Sheet, rule: str, column: str) -> int:
    """Return a column's sum, with or without the output stage, which FF has not."""
    own = {"error": found.outputs, "projection": found.outputs * found.inputs}
    if column in own:
        return own[column]
    return sum(operator.macs.get(column, 0) for operator in (found.network if rule == "ff" else found.operators))


def _training_activations(found: Sheet, rule: str, element_bytes: int) -> int:
    if rule == "ff":
        return element_bytes * (found.peak + found.input_buffer)
    if rule == "mempepita":
        # two passes in step: while one computes an operator, the other holds its inputs or its output
        return element_bytes * max(
            operator.live + max(sum(operator.inputs), operator.output) for operator in found.measured
        )
    kept = found.input_buffer + sum(operator.output for operator in found.measured if operator.summed)
    softmax = sum(operator.output for operator in found.operators if operator.kind == "softmax")
    return element_bytes * kept + 4 * softmax


def latency(macs: int, cycles_per_mac: float, clock: float) -> float:
    """Return seconds for so many MACs at `clock` Hz."""
    return macs * cycles_per_mac / clock


def hours(seconds: float, epochs: int, samples: int) -> float:
    """Return the hours of a whole training at so many seconds a sample."""
    return seconds * epochs * samples / 3600
