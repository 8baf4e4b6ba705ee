"""Feedback alignment and sign symmetry: backpropagation through another matrix than W, 3M - m_1 MACs.

    D_l = (D_{l+1} B_{l+1}^T) o f'(A_l)               FA: fixed random B
    D_l = (D_{l+1} S_{l+1}) o f'(A_l)                 uSF: S = s sign(W); brSF, frSF: S = |R| o sign(W)

FA stores a second copy of every weight but those that read the input, frSF as many magnitudes; brSF draws its magnitudes
anew in every step, uSF takes signs. Signs and draws are used at once, so they need no place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fobench.contracts import Task
from fobench.costs import walk
from fobench.costs.graph import Node
from fobench.costs.program import Program
from fobench.costs.setting import PLAIN, Setting
from fobench.costs.walk import Pass, Writer


def fa(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of feedback alignment."""
    return _program("fa", Writer(network, task, setting), lambda writer, node: (_feedback(writer, "B", node),))


def usf(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of uniform sign-concordant feedback."""
    return _program("usf", Writer(network, task, setting), lambda writer, node: (_signed(writer, node),))


def brsf(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of batchwise random sign-concordant feedback."""

    def matrix(writer: Writer, node: Node) -> tuple[str, ...]:
        name = writer.train.scratch(f"R{node.number}", 0)
        writer.train.once(f"{name} drawn", (), name, node.layer.weights)
        return (_signed(writer, node, name),)

    return _program("brsf", Writer(network, task, setting), matrix)


def frsf(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of fixed random sign-concordant feedback."""
    return _program(
        "frsf",
        Writer(network, task, setting),
        lambda writer, node: (_signed(writer, node, _feedback(writer, "R", node)),),
    )


def _feedback(writer: Writer, letter: str, node: Node) -> str:
    return writer.feedback(writer.train, f"{letter}{node.number}", node.layer.weights)


def _signed(writer: Writer, node: Node, R: str | None = None) -> str:
    """Form S = s sign(W), or |R| o sign(W), a few elements at a time."""
    name, W = writer.train.scratch(f"S{node.number}", 0), f"W{node.number}"
    text, reads = (f"s sign({W})", (W,)) if R is None else (f"|{R}| o sign({W})", (R, W))
    writer.train.once(f"{name} = {text}", reads, name, node.layer.weights)
    return name


def _program(rule: str, writer: Writer, matrix: Callable[[Writer, Node], tuple[str, ...]]) -> Program:
    for node in writer.graph.weighted:
        writer.trains(node)
    forward = Pass(writer.train)
    forward.through(writer.graph.nodes)
    E = walk.error(writer, forward, writer.graph.nodes[-1])
    above = [node for node in writer.graph.weighted if node.source in writer.graph.carries_error]
    matrices = {node.number: matrix(writer, node) for node in above}
    walk.backward(writer, E, lambda node: matrices[node.number])
    walk.inference(writer)
    return writer.program(rule)
