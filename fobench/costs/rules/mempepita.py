"""MEMPEPITA: PEPITA's numbers with two neighbouring layers of two passes alive; 4M + n_0 C MACs.

    o = X; for each l: o = f(o W_l^T)                                     standard pass, only E is kept
    a = X, b = X + s E F^T; for each l: a' = f(a W_l^T), b' = f(b W_l^T), W_l takes (a' - b')^T b / N; a, b = a', b'

The masks of dropout are drawn again from the state that a layer's generator had, so only one layer's exist at a time. The
output of the recomputed pass is E again; it is counted, as the published closed form does.
"""

from __future__ import annotations

from typing import Any

from fobench.contracts import Task
from fobench.costs import walk
from fobench.costs.graph import Node
from fobench.costs.program import BufferRole, Program
from fobench.costs.rules.pepita import checked, difference, drop, has_mask, mask_of, output_update, second_pass
from fobench.costs.setting import UNBIASED, Setting
from fobench.costs.walk import Pass, Writer


def program(
    network: Any, task: Task, setting: Setting = UNBIASED, keep: float = 0.9, output_error: str = "modulated"
) -> Program:
    """Return the program of MEMPEPITA, the recomputed pass in lockstep with the modulated one."""
    checked(output_error)
    writer = Writer(network, task, setting)
    first, again = Pass(writer.train), Pass(writer.train, "'")
    for node in writer.graph.nodes:
        first.forward(node)
        _masked(writer, node, keep, "", first)
        if node.weighted:
            writer.trains(node)
    E = walk.error(writer, first, writer.graph.nodes[-1])
    modulated = second_pass(writer, E)
    for node in writer.graph.nodes[:-1]:
        H, H_err = again.forward(node), modulated.forward(node)
        _masked(writer, node, keep, "'", again, modulated)
        if node.weighted:
            difference(writer, node, H, H_err, modulated)
    again.forward(writer.graph.nodes[-1])
    output_update(writer, modulated, E, output_error)
    walk.inference(writer)
    return writer.program("mempepita")


def _masked(writer: Writer, node: Node, keep: float, suffix: str, *passes: Pass) -> None:
    """Draw a node's mask from its generator's state and apply it to the maps of some passes."""
    if not has_mask(node, keep):
        return
    writer.keep(f"state of mask{node.number}", BufferRole.MASK, 1)
    mask_of(writer, node, suffix)
    for walk_ in passes:
        drop(writer, walk_, node, keep, suffix)
