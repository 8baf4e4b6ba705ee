"""Backpropagation: 3M - m_1 MACs, all maps kept.

H_l = f(H_{l-1} W_l^T),  E = P - T,  D_l = (D_{l+1} W_{l+1}) o f'(A_l),  G_l = D_l^T H_{l-1} / N
"""

from __future__ import annotations

from typing import Any

from fobench.contracts import Task
from fobench.costs import walk
from fobench.costs.program import Program
from fobench.costs.setting import PLAIN, Setting
from fobench.costs.walk import Pass, Writer


def program(network: Any, task: Task, setting: Setting = PLAIN, train_hidden: bool = True) -> Program:
    """Return the program of backpropagation by hand: a layer is updated once the signal below it is there.

    `train_hidden: False` updates the output layer only: no signal goes down, and nothing below is kept.
    """
    if not train_hidden:
        return _output_alone(network, task, setting)
    return _program("bp", network, task, setting, gradient=False)


def autograd(network: Any, task: Task, setting: Setting = PLAIN) -> Program:
    """Return the program of backpropagation by autograd: all gradients exist before the optimizer's step."""
    return _program("bp-autograd", network, task, setting, gradient=True)


def _program(rule: str, network: Any, task: Task, setting: Setting, gradient: bool) -> Program:
    writer = Writer(network, task, setting)
    writer.train.in_place = not gradient
    forward = Pass(writer.train)
    forward.through(writer.graph.nodes)
    for node in writer.graph.weighted:
        writer.trains(node)
    E = walk.error(writer, forward, writer.graph.nodes[-1])
    walk.backward(writer, E, matrix=lambda node: (f"W{node.number}",), gradient=gradient)
    if gradient:
        for node in writer.graph.weighted:
            for weight in writer.parameters(node):
                walk.apply(writer, weight)
    walk.inference(writer)
    return writer.program(rule)


def _output_alone(network: Any, task: Task, setting: Setting) -> Program:
    writer = Writer(network, task, setting)
    forward, output = Pass(writer.train), writer.graph.nodes[-1]
    forward.through(writer.graph.nodes)
    writer.trains(output)
    E = walk.error(writer, forward, output)
    walk.accumulate(writer, output, E, output.source)
    walk.inference(writer)
    return writer.program("bp")
