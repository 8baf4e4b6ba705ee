"""Rules that project the error or the label straight to every layer.

    DFA      D_l = (E B_l^T) o f'(A_l)             2M + C N_h MACs; all maps are kept until E exists
    sDFA     D_l = (sign(E) B_l^T) o f'(A_l)       the same, as a product; in hardware its C N_h are additions
    DRTP     D_l = (T B_l^T) o f'(A_l)             2M MACs: a row of B_l^T is picked, layer l learns at once

`B_l` is n_l x C, of a map with all its positions. Nodes are linear or activated, and `D_L = E`.
"""

from __future__ import annotations

from typing import Any

from fobench.contracts import Role, Task
from fobench.costs import walk
from fobench.costs.graph import Node, require_classes
from fobench.costs.program import BufferRole, Program
from fobench.costs.setting import PLAIN, Setting
from fobench.costs.walk import Pass, Writer


def dfa(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of direct feedback alignment."""
    return _direct("dfa", Writer(network, task, setting), sign=False)


def sdfa(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of direct feedback alignment by the error's sign."""
    return _direct("sdfa", Writer(network, task, setting), sign=True)


def drtp(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of direct random target projection."""
    require_classes("drtp", task)
    writer = Writer(network, task, setting)
    phase, forward = writer.train, Pass(writer.train)
    for node in writer.graph.nodes:
        forward.forward(node)
        if node.weighted:
            writer.trains(node)
            if node.is_output:
                walk.accumulate(writer, node, walk.error(writer, forward, node), node.source)
                continue
            B = _matrix(writer, node)
            S = phase.value(f"S({node.name})", BufferRole.ERROR, node.units)
            phase.each(f"{S} = rows y of {B}^T", ("y", B), S)
            walk.accumulate(writer, node, walk.derive(phase, node, S), node.source)
    walk.inference(writer)
    return writer.program("drtp")


def _direct(rule: str, writer: Writer, sign: bool) -> Program:
    """Update the output layer, then the hidden ones from the top: each frees the map above it."""
    phase, forward = writer.train, Pass(writer.train)
    forward.through(writer.graph.nodes)
    for node in writer.graph.weighted:
        writer.trains(node)
    output = writer.graph.nodes[-1]
    E = walk.error(writer, forward, output)
    walk.accumulate(writer, output, E, output.source)
    if sign:
        phase.each(f"{E} = sign({E})", (E,), E)
    for node in reversed(writer.graph.hidden):
        D = project(writer, node, E)
        walk.accumulate(writer, node, D, node.source)
    walk.inference(writer)
    return writer.program(rule)


def project(writer: Writer, node: Node, E: str) -> str:
    """Return D_l = (E B_l^T) o f'(A_l)."""
    phase, B = writer.train, _matrix(writer, node)
    S = phase.value(f"S({node.name})", BufferRole.ERROR, node.units)
    phase.product(f"{S} = {E} {B}^T", Role.PROJECTION, writer.task.outputs * node.units, (E, B), S)
    return walk.derive(phase, node, S)


def _matrix(writer: Writer, node: Node) -> str:
    return writer.feedback(writer.train, f"B{node.number}", writer.task.outputs * node.units)
