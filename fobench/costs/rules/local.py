"""Rules in which each layer classifies by itself: Bio-FO, Mono-Forward, TinyFoA.

    O_l = H_l B_l^T,  E_l = softmax(O_l) - T,  D_l = (E_l B_l) o f'(A_l),  G_l = D_l^T H_{l-1} / N

    Bio-FO, one sweep       2 M_h + 2 C N_h MACs
    Bio-FO, one stage       forward through the frozen layers, then one layer
    Mono-Forward            M_l in the place of B_l is trained: + C N_h,  G_M = E_l^T H_l / N
    TinyFoA                 Bio-FO on binary weights and pre-activations; half of the units learn in a step

Nodes that no layer in training (or in predicting) needs are not computed.

`B_l` reads a map after the pools that follow its layer (a stage of VGG is convolution, pool and ReLU); the error passes
their adjoints. Two neighbouring maps and the signal are alive at any depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fobench.contracts import Role, Task
from fobench.costs import walk
from fobench.costs.builder import Draft
from fobench.costs.graph import Node, require_classes
from fobench.costs.program import BufferRole, CostError, Kind, Program
from fobench.costs.setting import PLAIN, Setting
from fobench.costs.walk import Pass, Writer
from fobench.networks import Layer

ORDERS = ("greedy", "sweep")

ReadOut = Callable[[Writer, Node, Draft], str]
"""Declares the read-out matrix of a node and returns its name."""


def biofo(
    network: Any, task: Task, setting: Setting = PLAIN, order: str = "greedy", stage: int | None = None
) -> Program:
    """Return the program of Bio-FO; when greedy, of one stage, counted from 0: the last and dearest unless given."""
    writer = local_writer("biofo", network, task, setting)
    walk_stages(writer, Pass(writer.train), active(writer, order, stage), _fixed)
    local_inference(writer, Pass(writer.infer), writer.graph.weighted[-1])
    return writer.program("biofo")


def mono_forward(
    network: Any,
    task: Task,
    setting: Setting = PLAIN,
    order: str = "sweep",
    stage: int | None = None,
    prediction: str = "last",
) -> Program:
    """Return the program of Mono-Forward; it predicts by the scores of the last layer, or by the sum of all."""
    if prediction not in ("last", "sum"):
        raise CostError(f"prediction is {prediction!r}; expected one of last, sum")
    writer = local_writer("mono-forward", network, task, setting)
    for node in writer.graph.weighted:
        writer.keep(f"M{node.number}", BufferRole.WEIGHT, task.classes * ends(writer, node).units)
    walk_stages(writer, Pass(writer.train), active(writer, order, stage), _trained)
    scored = writer.graph.weighted if prediction == "sum" else writer.graph.weighted[-1:]
    local_inference(writer, Pass(writer.infer), *scored)
    return writer.program("mono-forward")


def tinyfoa(
    network: Any, task: Task, setting: Setting = PLAIN, stage: int | None = None, split: str = "vertical"
) -> Program:
    """Return the program of TinyFoA: binary copies of the weights in use, a flag per unit where |A| < 1.

    With `split: vertical` half of a dense layer's units learn in a step; `quarter` and `none` cost what the whole costs.
    """
    if split not in ("vertical", "quarter", "none"):
        raise CostError(f"split is {split!r}; expected one of vertical, quarter, none")
    writer = local_writer("tinyfoa", network, task, setting)
    walk_stages(
        writer, Pass(writer.train, weight="q(W{})"), active(writer, "greedy", stage), _fixed, split == "vertical"
    )
    local_inference(writer, Pass(writer.infer, weight="q(W{})"), writer.graph.weighted[-1])
    return writer.program("tinyfoa")


# --- what the family shares -------------------------------------------------------------------------------------------


def local_writer(rule: str, network: Any, task: Task, setting: Setting) -> Writer:
    """Return a writer without output layer; the read-outs B_l are part of it."""
    require_classes(rule, task)
    return Writer(network, task, setting, output=False)


def active(writer: Writer, order: str, stage: int | None) -> tuple[Node, ...]:
    """Return the nodes that learn in this step."""
    nodes = writer.graph.weighted
    if order not in ORDERS:
        raise CostError(f"order is {order!r}; expected one of {', '.join(ORDERS)}")
    if order == "sweep":
        return nodes
    number = len(nodes) - 1 if stage is None else stage
    if not 0 <= number < len(nodes):
        raise CostError(f"stage is {stage}; the network has the stages 0 to {len(nodes) - 1}")
    return (nodes[number],)


def ends(writer: Writer, node: Node) -> Node:
    """Return the node whose map the read-out of `node` sees: the last pool that follows it, or itself."""
    return (node, *writer.graph.tail(node))[-1]


def walk_stages(writer: Writer, forward: Pass, learning: tuple[Node, ...], B: ReadOut, halved: bool = False) -> None:
    """Compute the maps that the nodes that learn need, and update those on the way."""
    for node in learning:
        writer.trains(node)
    done: set[str] = set()
    for node in writer.graph.path(*learning):
        if node.name in done:
            continue
        _computed(forward, node)
        if node in learning:
            tail = writer.graph.tail(node)
            forward.through(tail)
            done |= {pool.name for pool in tail}
            learn(writer, node, B(writer, node, writer.train), forward.weight != "W{}", halved)


def learn(writer: Writer, node: Node, B: str, binary: bool = False, halved: bool = False) -> None:
    """Update one layer, or the first half of a dense layer's units, from its own read-out."""
    phase, end, classes, number = writer.train, ends(writer, node), writer.task.classes, node.number
    part = replace(node, layer=_first_half(node.layer)) if halved and node.layer.kind == "dense" else node
    if binary:
        flags = phase.value(f"|A{number}| < 1", BufferRole.MASK, part.units, Kind.FLAG)
        phase.each(f"{flags} noted", (node.name,), flags, in_place=False)
    E = phase.value(f"E{number}", BufferRole.ERROR, classes)
    phase.product(f"O{number} = {end.name} {B}^T", Role.PROJECTION, classes * end.units, (end.name, B), E)
    phase.each(f"{E} = softmax(O{number}) - T", (E, "y"), E)
    units = part.units if end is node else end.units
    S = phase.value(f"S({end.name})", BufferRole.ERROR, units)
    phase.product(f"{S} = {E} {B}", Role.PROJECTION, classes * units, (E, B), S)
    if B.startswith("M"):
        walk.correlate(writer, B, f"G_{B} = {E}^T {end.name} / N", (E, end.name), classes * end.units)
    for pool in reversed(writer.graph.tail(node)):
        S = walk.unpool(phase, pool, S)
    if binary:
        phase.each(f"D{number} = {S} o [{flags}]", (S, flags), S)
        D = S
    else:
        D = walk.derive(phase, node, S)
    walk.accumulate(writer, part, D, node.source)


def _first_half(layer: Layer) -> Layer:
    return replace(layer, output_shape=(max(layer.units // 2, 1),))


def _fixed(writer: Writer, node: Node, phase: Draft) -> str:
    return writer.feedback(phase, f"B{node.number}", writer.task.classes * ends(writer, node).units)


def _trained(writer: Writer, node: Node, phase: Draft) -> str:
    writer.trains_weight(f"M{node.number}")
    return f"M{node.number}"


def _computed(forward: Pass, node: Node) -> None:
    """Compute a node's map; where weights are binary, form q(W) = mean|W| sign(W) first, and make the result binary."""
    if not node.weighted or forward.weight == "W{}":
        forward.forward(node)
        return
    phase, W, q = forward.phase, f"W{node.number}", forward.weight.format(node.number)
    phase.once(f"{q} = mean|{W}| sign({W})", (W,), phase.scratch(q, node.layer.weights), node.layer.weights)
    name = forward.forward(node)
    phase.each(f"{name} = mean|{name}| sign({name})", (name,), name)


def local_inference(writer: Writer, forward: Pass, *scored: Node) -> None:
    """Write one pass to the last layer, and the local logits of those that are scored."""
    read = {ends(writer, node).name: node for node in scored}
    for node in writer.graph.path(*(ends(writer, node) for node in scored)):
        _computed(forward, node)
        if node.name in read:
            local_logits(writer, read[node.name])


def local_logits(writer: Writer, node: Node) -> None:
    """Write the local logits of a layer in an inference."""
    phase, end, classes = writer.infer, ends(writer, node), writer.task.classes
    trained = f"M{node.number}" in writer.persistent
    B = f"M{node.number}" if trained else _fixed(writer, node, phase)
    logits = phase.value(f"O{node.number}", BufferRole.OUTPUT, classes)
    phase.product(f"{logits} = {end.name} {B}^T", Role.PROJECTION, classes * end.units, (end.name, B), logits)
