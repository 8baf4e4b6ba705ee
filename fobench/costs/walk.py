"""The verbs that rules are written in: a layer forward, its adjoint, its update, and whole passes over a graph.

forward       A_l = H_{l-1} W_l^T + b_l,  H_l = f(A_l)
adjoint       S_{l-1} = D_l W_l
derive        D_l = S_l o f'(A_l), f' read off H_l
accumulate    W_l takes its step along D_l^T H_{l-1}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fobench.contracts import Role, Task
from fobench.costs.builder import Draft
from fobench.costs.graph import INPUT, Graph, Node, graph
from fobench.costs.program import Buffer, BufferRole, Program
from fobench.costs.setting import Setting

Matrix = Callable[[Node], tuple[str, ...]]
"""Names of what stands in the place of `W_l` on the way back: `W_l` itself, `B_l`, or two that make up one."""


class Writer:
    """A program being written: the graph, what persists, and the phases `train` and `infer`."""

    def __init__(self, network: Any, task: Task, setting: Setting, output: bool = True) -> None:
        """Declare weights and biases, and the batch of both phases."""
        self.graph, self.task, self.setting = graph(network, task, output), task, setting
        self.persistent: dict[str, Buffer] = {}
        self.train = Draft(self.persistent, setting.padded)
        self.infer = Draft(self.persistent, setting.padded)
        labelled = task.kind == "classification"
        self.train.batch(task.inputs, labelled)
        self.infer.batch(task.inputs, False)
        for node in self.graph.weighted:
            self.keep(f"W{node.number}", BufferRole.WEIGHT, node.layer.weights)
            if setting.bias:
                self.keep(f"b{node.number}", BufferRole.BIAS, node.layer.biases)

    @property
    def target(self) -> str:
        """What the output is compared with: the labels, or the input itself."""
        return "y" if self.task.kind == "classification" else INPUT

    def keep(self, name: str, role: BufferRole, elements: int) -> str:
        """Declare a buffer that stays between steps."""
        self.persistent[name] = Buffer(name, role, elements, per_sample=False)
        return name

    def feedback(self, phase: Draft, name: str, elements: int) -> str:
        """Return a fixed random matrix: stored, or with `setting.seeded` drawn again into a scratch of no size.

        A drawn element is used at once, so it needs no place; the draws are counted as elementwise operations.
        """
        if not self.setting.seeded:
            return self.keep(name, BufferRole.FEEDBACK, elements)
        self.keep(f"seed of {name}", BufferRole.FEEDBACK, 1)
        phase.once(f"{name} drawn from its seed", (f"seed of {name}",), phase.scratch(name, 0), elements)
        return name

    def trains(self, node: Node) -> None:
        """Allocate the optimizer's buffers of a node."""
        for name in self.parameters(node):
            self.trains_weight(name)

    def trains_weight(self, name: str) -> None:
        """Allocate the optimizer's buffers of one weight."""
        for state in self.setting.states:
            self.keep(f"{state}_{name}", BufferRole.OPTIMIZER, self.persistent[name].elements)

    def parameters(self, node: Node) -> list[str]:
        """Return `W_l` and, with biases, `b_l`."""
        return [f"W{node.number}", f"b{node.number}"] if self.setting.bias else [f"W{node.number}"]

    def program(self, rule: str) -> Program:
        """Return the finished program."""
        return Program(rule, self.persistent, self.train.step(), self.infer.step())


@dataclass(frozen=True)
class Pass:
    """One pass over the graph: its maps carry a suffix, its buffers and products a role."""

    phase: Draft
    suffix: str = ""
    role: Role = Role.FORWARD
    buffers: BufferRole = BufferRole.ACTIVATION
    first: str = INPUT
    weight: str = "W{}"

    def name(self, source: str) -> str:
        """Return the name of a map in this pass; `first` is what takes the input's place."""
        return self.first if source == INPUT else source + self.suffix

    def forward(self, node: Node, before: str | None = None) -> str:
        """Compute a node's map and return its name; `before` replaces the map that it reads."""
        sources = tuple(self.name(source) for source in node.sources)
        name = self.phase.value(self.name(node.name), BufferRole.OUTPUT if node.is_output else self.buffers, node.units)
        if node.weighted:
            self._weighted(node, name, before or sources[0])
        elif node.layer.kind == "pool":
            mode = node.layer.record["mode"]
            self.phase.each(f"{name} = {mode} pool of {sources[0]}", sources, name, node.layer.inputs, in_place=False)
        else:
            self.phase.each(f"{name} = {' + '.join(sources)}", sources, name)
        if node.layer.activated and not node.is_output:
            self.phase.each(f"{name} = f({name})", (name,), name)
        return name

    def _weighted(self, node: Node, name: str, before: str) -> None:
        operand = self.phase.padded_copy(node.layer, before)
        weight = self.weight.format(node.number)
        text, reads = f"A{node.number}{self.suffix} = {before} {weight}^T", [operand, weight]
        if f"b{node.number}" in self.phase.persistent:
            text, reads = f"{text} + b{node.number}", [*reads, f"b{node.number}"]
        self.phase.product(text, self.role, node.layer.macs, tuple(reads), name)

    def through(self, nodes: Iterable[Node]) -> None:
        """Compute the maps of several nodes, in order."""
        for node in nodes:
            self.forward(node)


def error(writer: Writer, walk: Pass, output: Node, name: str = "E") -> str:
    """Turn an output map into E = P - T, for a reconstruction into E = output - x."""
    phase, map_ = walk.phase, walk.name(output.name)
    squashed(writer, walk, output)
    phase.value(name, BufferRole.ERROR, output.units)
    phase.each(f"{name} = {map_} - {'T' if writer.target == 'y' else INPUT}", (map_, writer.target), name)
    return name


def squashed(writer: Writer, walk: Pass, output: Node) -> str:
    """Turn logits into P = softmax(A_L), in place; the output of a reconstruction is linear."""
    map_ = walk.name(output.name)
    if writer.target == "y":
        walk.phase.each(f"{map_} = softmax({map_})", (map_,), map_)
    return map_


def derive(phase: Draft, node: Node, signal: str) -> str:
    """Return D = S o f'(A) of an activated node, the signal itself of a linear one."""
    if not node.layer.activated or node.is_output:
        return signal
    name = phase.value(f"D({node.name})" if not node.weighted else f"D{node.number}", BufferRole.ERROR, node.units)
    phase.each(f"{name} = {signal} o f'({node.name})", (signal, node.name), name)
    return name


def unpool(phase: Draft, node: Node, signal: str) -> str:
    """Return the adjoint of a pool: indices of a maximum are found again from the map that was pooled."""
    name = phase.value(f"S({node.source}) by {node.name}", BufferRole.ERROR, node.layer.inputs)
    reads = (signal, node.source) if node.layer.record["mode"] == "max" else (signal,)
    phase.each(f"{name} = adjoint of {node.name} of {signal}", reads, name, in_place=False)
    return name


def accumulate(
    writer: Writer, node: Node, signal: str, before: str, text: str | None = None, gradient: bool = False
) -> None:
    """Let a node's weights take their step along D^T H; `gradient` stores it and leaves the step to `apply`."""
    phase, number = writer.train, node.number
    operand = phase.padded_copy(node.layer, before)
    text = text or f"G{number} = {signal}^T {before} / N"
    correlate(writer, f"W{number}", text, (signal, operand), node.layer.macs, gradient)
    if writer.setting.bias:
        result = phase.scratch(f"G_b{number}", node.layer.biases)
        phase.each(f"{result} = mean of {signal}", (signal,), result, node.units, in_place=False)
        if not gradient:
            apply(writer, f"b{number}")


def correlate(
    writer: Writer,
    weight: str,
    text: str,
    operands: tuple[str, ...],
    macs: int,
    gradient: bool = False,
    role: Role = Role.WEIGHT_UPDATE,
) -> None:
    """Write the product of an update, fused into the weight or its momentum where the optimizer allows."""
    phase, states = writer.train, writer.setting.states
    if gradient or len(states) > 1 or not writer.setting.fused:
        result = phase.scratch(f"G_{weight}", writer.persistent[weight].elements)
        phase.product(text, role, macs, operands, result)
        if not gradient:
            apply(writer, weight)
        return
    into = f"{states[0]}_{weight}" if states else weight
    phase.product(text, role, macs, (*operands, into), into)
    if states:
        phase.once(f"{weight} <- {weight} - {into}", (weight, into), weight, writer.persistent[weight].elements)


def apply(writer: Writer, weight: str) -> None:
    """Let a weight take its step along a gradient that is stored."""
    buffers = [f"{state}_{weight}" for state in writer.setting.states]
    elements = writer.persistent[weight].elements * (1 + len(buffers))
    writer.train.once(f"{weight} <- step along G_{weight}", (weight, f"G_{weight}", *buffers), weight, elements)


def backward(writer: Writer, error_name: str, matrix: Matrix, gradient: bool = False) -> None:
    """Carry E from the output down through `matrix` of each node, and update every node on the way."""
    phase, net = writer.train, writer.graph
    signals: dict[str, str] = {net.nodes[-1].name: error_name}
    for node in reversed(net.nodes):
        if node.name not in signals:
            continue
        signal = derive(phase, node, signals.pop(node.name))
        for source in dict.fromkeys(node.sources):
            if source in net.carries_error:
                _join(phase, net, signals, source, _adjoint(phase, net, node, signal, matrix))
        if node.weighted:
            accumulate(writer, node, signal, node.source, gradient=gradient)


def _adjoint(phase: Draft, net: Graph, node: Node, signal: str, matrix: Matrix) -> str:
    if node.layer.kind == "add":
        return signal
    if node.layer.kind == "pool":
        return unpool(phase, node, signal)
    alone = len(net.consumers[node.source]) == 1
    name = f"S({node.source})" if alone else f"S({node.source}) by {node.name}"
    phase.value(name, BufferRole.ERROR, node.layer.inputs)
    text = f"{name} = {signal} {' o '.join(matrix(node))}"
    phase.product(text, Role.INPUT_GRADIENT, node.layer.macs, (signal, *matrix(node)), name)
    return name


def _join(phase: Draft, net: Graph, signals: dict[str, str], source: str, signal: str) -> None:
    """Add the signals of all readers of a map."""
    if source in signals:
        one, other = signals[source], signal
        name = f"S({source})" if f"S({source})" not in phase.buffers else f"{one}'"
        signal = phase.value(name, BufferRole.ERROR, net.by_name[source].units)
        phase.each(f"{name} = {one} + {other}", (one, other), signal)
    signals[source] = signal


def inference(writer: Writer) -> None:
    """Write one pass to the output P."""
    walk = Pass(writer.infer)
    walk.through(writer.graph.nodes)
    output = squashed(writer, walk, writer.graph.nodes[-1])
    if writer.target == INPUT:
        score = writer.infer.value("score", BufferRole.OUTPUT, 1)
        writer.infer.each(f"score = |{output} - x|^2", (output, INPUT), score, writer.task.inputs, in_place=False)
