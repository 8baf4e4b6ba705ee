"""Forward-Forward: each layer learns goodness from positive and negative rows, with no error from above.

    Z_l = relu(rms(Z_{l-1}) W_l^T + b_l),  s = sum_j z_j^2 - n_l,  D_l = 2 (sigmoid(s) - y) o Z_l
    G_l = D_l^T rms(Z_{l-1}) / 2N                                                4 M_h MACs; three maps of 2N rows
    head (one-pass): V on rms(Z_l) of the neutral sample                         + M_h + 2 C N_h
    inference: multi-pass C M_h;  one-pass M_h + C N_h;  reconstruction M_h

Every node with weights reads the normalised map of what feeds it and is scored by its own map; sums and pools pass values
on and are not scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fobench.contracts import Role, Task
from fobench.costs import walk
from fobench.costs.builder import Draft
from fobench.costs.graph import INPUT, Node
from fobench.costs.program import BufferRole, CostError, Kind, Program
from fobench.costs.setting import PLAIN, Setting
from fobench.costs.walk import Pass, Writer

INFERENCES = ("multi-pass", "one-pass")
PATTERNS = "S"
"""The fixed waves that are added as labels, C x n_0; seeded, a value is worked out where it is added."""


def program(
    network: Any,
    task: Task,
    setting: Setting = PLAIN,
    inference: str = "multi-pass",
    score_layers: str = "all",
    peer: float = 0.03,
    label_as: str = "first-values",
) -> Program:
    """Return the program of Forward-Forward with label in the input, or hybrid negatives for a reconstruction."""
    writer = ff_writer(network, task, setting, inference, label_as)
    scored = writer.graph.weighted[int(score_layers == "from-second" and len(writer.graph.weighted) > 1) :]
    if inference == "one-pass":
        _head_step(writer, scored)
    layer_steps(writer, peer)
    if inference == "one-pass":
        _one_pass(writer, scored)
    else:
        multi_pass(writer, scored)
    return writer.program("ff")


def mpezeshki(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of the flavour with mean goodness and a fixed threshold, which keeps no running means."""
    return replace(program(network, task, setting, peer=0), rule="ff-mpezeshki")


def ff_writer(network: Any, task: Task, setting: Setting, inference: str, label_as: str = "first-values") -> Writer:
    """Return a writer without output layer, all of whose nodes learn; it keeps the patterns, if labels are patterns."""
    if inference not in INFERENCES:
        raise CostError(f"inference is {inference!r}; expected one of {', '.join(INFERENCES)}")
    if inference == "one-pass" and task.kind != "classification":
        raise CostError("one-pass inference of ff needs class labels; a reconstruction is scored by its goodness")
    writer = Writer(network, task, setting, output=False)
    for node in writer.graph.weighted:
        writer.trains(node)
    if label_as == "pattern" and task.classes:
        writer.keep(PATTERNS, BufferRole.FEEDBACK, 1 if setting.seeded else task.classes * task.inputs)
    return writer


class Normalised:
    """A pass in which nodes with weights read rms(Z), computed once per map; the others read Z."""

    def __init__(self, walk_: Pass) -> None:
        """Begin with no map normalised."""
        self.walk, self.known = walk_, dict[str, str]()

    def before(self, source: str, units: int) -> str:
        """Return rms(Z) of a map."""
        name = self.walk.name(source)
        if name not in self.known:
            phase = self.walk.phase
            self.known[name] = phase.value(f"rms({name})", self.walk.buffers, units)
            phase.each(f"rms({name}) = {name} / rms", (name,), self.known[name])
        return self.known[name]

    def forward(self, node: Node) -> str:
        """Compute a node's map."""
        before = self.before(node.source, node.layer.inputs) if node.weighted else None
        return self.walk.forward(node, before)


def layer_steps(writer: Writer, peer: float) -> None:
    """Update layer after layer on N positive and N negative rows, or on the one, then on the other."""
    phase = writer.train
    phase.rows, phase.repeats = (1, 2) if writer.setting.apart else (2, 1)
    normalised = Normalised(Pass(phase, first=_overlay(writer, phase)))
    for node in writer.graph.nodes:
        Z = normalised.forward(node)
        if not node.weighted:
            continue
        s = phase.value(f"s{node.number}", BufferRole.ERROR, 1)
        phase.each(f"{s} = sigmoid(|{Z}|^2 - n) - y", (Z,), s, node.units, in_place=False)
        reads = [Z, s]
        if peer:
            r = writer.keep(f"r{node.number}", BufferRole.STATISTIC, node.units)
            phase.each(f"{r} = mean of positive {Z}", (Z, r), r)
            reads.append(r)
        D = phase.value(f"D{node.number}", BufferRole.ERROR, node.units)
        phase.each(f"{D} = 2 {s} o {Z}", tuple(reads), D)
        before = normalised.before(node.source, node.layer.inputs)
        walk.accumulate(writer, node, D, before, f"G{node.number} = {D}^T {before} / 2N")


def _overlay(writer: Writer, phase: Draft) -> str:
    """Write positive and negative rows: the label written or added, or for a reconstruction a mix of two samples."""
    rows = phase.value("Z0", BufferRole.ACTIVATION, writer.task.inputs)
    reads: tuple[str, ...] = (INPUT, *(("y",) if "y" in phase.buffers else ()), *_patterns(writer))
    if writer.task.kind != "classification" and phase is writer.train:
        mask = phase.value("hybrid", BufferRole.MASK, writer.task.inputs, Kind.FLAG)
        phase.each("hybrid mask drawn", (), mask, in_place=False)
        reads = (INPUT, mask)
    text = (
        "x with labels" if writer.task.classes else "x" if reads == (INPUT,) else "x, and x mixed with another sample"
    )
    phase.each(f"{rows} = {text}", reads, rows)
    return rows


def _patterns(writer: Writer) -> tuple[str, ...]:
    """Return the patterns that are added to a sample, if there are any."""
    return (PATTERNS,) if PATTERNS in writer.persistent else ()


def multi_pass(writer: Writer, scored: tuple[Node, ...], reach: Mapping[str, float] | None = None) -> None:
    """Score every label (a reconstruction: the sample itself) by the sum of goodness; `reach` is the share per node."""
    phase, labels = writer.infer, max(writer.task.classes, 1)
    scores = phase.value("scores", BufferRole.OUTPUT, labels)
    phase.rows, repeats = (1, labels) if writer.setting.apart else (labels, 1)
    phase.repeats = repeats
    normalised = Normalised(Pass(phase, first=_overlay(writer, phase)))
    for node in writer.graph.nodes[: writer.graph.nodes.index(scored[-1]) + 1]:
        phase.repeats = repeats * (reach[node.name] if reach else 1)
        Z = normalised.forward(node)
        if node in scored:
            phase.each(f"scores += |{Z}|^2", (Z, scores), scores, node.units)


# --- the head of one-pass inference -----------------------------------------------------------------------------------


def neutral(
    writer: Writer, phase: Draft, role: Role, normalise: bool = True, reach: Mapping[str, float] | None = None
) -> Iterator[tuple[Node, str]]:
    """Pass the sample with a neutral label up, and yield each node with weights and its map, normalised or as it is."""
    first = phase.value("Z0^n", BufferRole.ACTIVATION, writer.task.inputs)
    phase.each("Z0^n = x with 1/C", (INPUT, *_patterns(writer)), first)
    normalised = Normalised(Pass(phase, "^n", role, first=first))
    for node in writer.graph.nodes:
        phase.repeats = reach[node.name] if reach else 1
        Z = normalised.forward(node)
        if node.weighted:
            yield node, normalised.before(node.name, node.units) if normalise else Z


def _head_step(writer: Writer, scored: tuple[Node, ...]) -> None:
    """Train the softmax head, one block V_l per layer that it reads, once the neutral sample has passed."""
    phase, classes = writer.train, writer.task.classes
    activities = [(node, Z) for node, Z in neutral(writer, phase, Role.HEAD) if node in scored]
    E = phase.value("E", BufferRole.ERROR, classes)
    for node, Z in activities:
        V = writer.keep(f"V{node.number}", BufferRole.WEIGHT, classes * node.units)
        writer.trains_weight(V)
        phase.product(f"O += {Z} {V}^T", Role.HEAD, classes * node.units, (Z, V), E)
    phase.each("E = softmax(O) - T", (E, "y"), E)
    for node, Z in activities:
        text = f"G_V{node.number} = E^T {Z} / N"
        walk.correlate(writer, f"V{node.number}", text, (E, Z), classes * node.units, role=Role.HEAD)


def _one_pass(writer: Writer, scored: tuple[Node, ...]) -> None:
    """Score a sample once, by the head on its neutral pass; a block is read as soon as its map exists."""
    phase, classes = writer.infer, writer.task.classes
    logits = phase.value("O", BufferRole.OUTPUT, classes)
    for node, Z in neutral(writer, phase, Role.FORWARD):
        if node in scored:
            V = f"V{node.number}"
            phase.product(f"O += {Z} {V}^T", Role.HEAD, classes * node.units, (Z, V), logits)
