"""Rules whose signal travels forward through W, linear but for f': IFA, and AFA, the linearised PEPITA.

    IFA      D_1 = (E B_1^T) o f'(A_1)             2M + C n_1 + (M_h - m_1) MACs
    AFA      D_0 = E F^T                           2M + n_0 C + M_h MACs
    both     D_l = (D_{l-1} W_l^T) o f'(A_l),  D_L = E,  G_l = D_l^T H_{l-1} / N

In a graph IFA injects into every layer that stands above no other; a sum adds the signals of its addends, a pool passes on the
signals of the values that it passed on.
"""

from __future__ import annotations

from typing import Any

from fobench.contracts import Role, Task
from fobench.costs import walk
from fobench.costs.graph import INPUT, Node
from fobench.costs.program import BufferRole, Program
from fobench.costs.rules.direct import project
from fobench.costs.setting import PLAIN, UNBIASED, Setting
from fobench.costs.walk import Pass, Writer


def ifa(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of indirect feedback alignment."""
    writer = Writer(network, task, setting)
    E = _standard_pass(writer)
    first = [node for node in writer.graph.hidden if node.source not in writer.graph.carries_error]
    output = writer.graph.nodes[-1]
    signals = {node.name: project(writer, node, E) for node in first}
    walk.accumulate(writer, output, E, output.source)
    _propagate(writer, signals)
    walk.inference(writer)
    return writer.program("ifa")


def afa(network: Any, task: Task, setting: Setting = UNBIASED) -> Program:
    """Return the program of adaptive feedback alignment."""
    writer = Writer(network, task, setting)
    E = _standard_pass(writer)
    phase, output = writer.train, writer.graph.nodes[-1]
    F = writer.feedback(phase, "F", task.inputs * task.outputs)
    D_0 = phase.value("D0", BufferRole.ERROR, task.inputs)
    phase.product(f"{D_0} = {E} {F}^T", Role.PROJECTION, task.inputs * task.outputs, (E, F), D_0)
    walk.accumulate(writer, output, E, output.source)
    _propagate(writer, {INPUT: D_0})
    walk.inference(writer)
    return writer.program("afa")


def _standard_pass(writer: Writer) -> str:
    forward = Pass(writer.train)
    forward.through(writer.graph.nodes)
    for node in writer.graph.weighted:
        writer.trains(node)
    return walk.error(writer, forward, writer.graph.nodes[-1])


def _propagate(writer: Writer, signals: dict[str, str]) -> None:
    """Carry the signals up and update each hidden layer once its own has been derived."""
    for node in writer.graph.nodes[:-1]:
        below = [signals[source] for source in node.sources if source in signals]
        if node.name not in signals and below:
            signals[node.name] = _signal(writer, node, below)
        if node.weighted and node.name in signals:
            walk.accumulate(writer, node, signals[node.name], node.source)


def _signal(writer: Writer, node: Node, below: list[str]) -> str:
    phase, W = writer.train, f"W{node.number}"
    if node.layer.kind == "add" and len(below) == 1:
        return walk.derive(phase, node, below[0])
    S = phase.value(f"S({node.name})", BufferRole.ERROR, node.units)
    if node.weighted:
        operand = phase.padded_copy(node.layer, below[0])
        phase.product(f"{S} = {below[0]} {W}^T", Role.SECOND_PASS, node.layer.macs, (operand, W), S)
    elif node.layer.kind == "pool":
        reads = (*below, node.source) if node.layer.record["mode"] == "max" else tuple(below)
        phase.each(f"{S} = {node.name} of {below[0]}", reads, S, node.layer.inputs, in_place=False)
    else:
        phase.each(f"{S} = {' + '.join(below)}", tuple(below), S)
    return walk.derive(phase, node, S)
