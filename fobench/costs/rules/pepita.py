"""PEPITA and its variants: two forward passes, the second on an input modulated by the error.

    H_l = f(H_{l-1} W_l^T),  E = H_L - T,  X^err = X + s E F^T,  H_l^err = f(H_{l-1}^err W_l^T)
    G_l = (H_l - H_l^err)^T H_{l-1}^err / N,  G_L = (E^err)^T H_{L-1}^err / N     3M + n_0 C MACs; all H_l and masks
    G_l = (H_l^T H_{l-1} - (H_l^err)^T H_{l-1}^err) / N                           Hebbian: 4M + n_0 C
    W_l <- W_l - eta H_l^T H_{l-1}, later + eta (H_l^err)^T H_{l-1}^err           time-local: the same, no map is kept

The modulated output is computed in every variant, as published and as the closed forms count it.
In convolutional nets the difference is taken after the activation and before pooling, at every node with weights.
Weight mirroring adds a step of its own: M + M MACs on noise, and F = F_1 ... F_L is multiplied out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from fobench.contracts import Role, Task
from fobench.costs import walk
from fobench.costs.graph import INPUT, Node
from fobench.costs.program import BufferRole, CostError, Kind, Program
from fobench.costs.setting import UNBIASED, Setting
from fobench.costs.walk import Pass, Writer

OUTPUT_ERRORS = ("modulated", "standard")


def program(
    network: Any,
    task: Task,
    setting: Setting = UNBIASED,
    keep: float = 0.9,
    output_error: str = "modulated",
    mirror: bool | Mapping[str, Any] | None = None,
    train_hidden: bool = True,
) -> Program:
    """Return the program of PEPITA; `keep` below 1 adds masks, `mirror` a step of weight mirroring.

    `train_hidden: False` is the ablation that updates the output layer only.
    """
    checked(output_error)
    writer = _writer(network, task, setting)
    standard = Pass(writer.train)
    for node in writer.graph.nodes:
        standard.forward(node)
        draw_and_drop(writer, standard, node, keep)
    E = walk.error(writer, standard, writer.graph.nodes[-1])
    modulated = second_pass(writer, E, bool(mirror))
    for node in writer.graph.nodes[:-1]:
        H_err = modulated.forward(node)
        drop(writer, modulated, node, keep)
        if node.weighted and train_hidden:
            difference(writer, node, node.name, H_err, modulated)
    output_update(writer, modulated, E, output_error)
    if mirror:
        _mirror(writer)
    walk.inference(writer)
    return writer.program("pepita")


def hebbian(network: Any, task: Task, setting: Setting = UNBIASED, keep: float = 0.9) -> Program:
    """Return the program of PEPITA-Hebbian: each layer takes the difference of two correlations; masks are drawn twice."""
    writer = _writer(network, task, setting)
    standard = Pass(writer.train)
    for node in writer.graph.nodes:
        standard.forward(node)
        draw_and_drop(writer, standard, node, keep)
    output = writer.graph.nodes[-1]
    P = walk.squashed(writer, standard, output)
    E = _error_beside(writer, P, output)
    modulated = second_pass(writer, E)
    for node in writer.graph.nodes:
        modulated.forward(node)
        draw_and_drop(writer, modulated, node, keep)
        if node.weighted:
            _two_correlations(writer, node, modulated)
    walk.inference(writer)
    return writer.program("pepita-hebbian")


def time_local(network: Any, task: Task, setting: Setting = UNBIASED, keep: float = 0.9) -> Program:
    """Return the program of time-local PEPITA: half an update in each pass; masks are drawn twice."""
    writer = _writer(network, task, setting)
    standard, output = Pass(writer.train), writer.graph.nodes[-1]
    for node in writer.graph.nodes:
        H = standard.forward(node)
        draw_and_drop(writer, standard, node, keep)
        if node is output:
            walk.squashed(writer, standard, node)
        if node.weighted:
            walk.accumulate(writer, node, H, node.source, f"G{node.number} = {H}^T {node.source} / N")
    E = walk.error(writer, standard, output)
    modulated = second_pass(writer, E)
    for node in writer.graph.nodes:
        H_err, before = modulated.forward(node), modulated.name(node.source)
        draw_and_drop(writer, modulated, node, keep)
        if node.weighted:
            H_err = writer.target if node is output else H_err
            walk.accumulate(writer, node, H_err, before, f"G{node.number} = -{H_err}^T {before} / N")
    walk.inference(writer)
    return writer.program("pepita-time-local")


# --- what the family shares -------------------------------------------------------------------------------------------


def checked(output_error: str) -> None:
    """Raise CostError for an output error that there is not."""
    if output_error not in OUTPUT_ERRORS:
        raise CostError(f"output_error is {output_error!r}; expected one of {', '.join(OUTPUT_ERRORS)}")


def _writer(network: Any, task: Task, setting: Setting) -> Writer:
    writer = Writer(network, task, setting)
    for node in writer.graph.weighted:
        writer.trains(node)
    return writer


def second_pass(writer: Writer, E: str, mirrored: bool = False) -> Pass:
    """Write X^err = X + s E F^T and return the pass that starts from it."""
    phase, task = writer.train, writer.task
    F = _mirrored_feedback(writer) if mirrored else writer.feedback(phase, "F", task.inputs * task.outputs)
    modulated = phase.value("x^err", BufferRole.MODULATED, task.inputs)
    phase.product("x^err = x + s E F^T", Role.PROJECTION, task.inputs * task.outputs, (INPUT, E, F), modulated)
    return Pass(phase, "^err", Role.SECOND_PASS, BufferRole.MODULATED, modulated)


def has_mask(node: Node, keep: float) -> bool:
    """Say whether dropout acts on a node: hidden, with weights."""
    return node.weighted and not node.is_output and keep < 1


def mask_of(writer: Writer, node: Node, suffix: str = "") -> str:
    """Draw the mask of a node, one byte per unit."""
    name = writer.train.value(f"mask{node.number}{suffix}", BufferRole.MASK, node.units, Kind.FLAG)
    writer.train.each(f"{name} drawn", (), name, in_place=False)
    return name


def drop(writer: Writer, walk_: Pass, node: Node, keep: float, suffix: str = "") -> None:
    """Apply the mask of a node to its map, if it has one."""
    if has_mask(node, keep):
        H, mask = walk_.name(node.name), f"mask{node.number}{suffix}"
        writer.train.each(f"{H} = {H} o {mask} / keep", (H, mask), H)


def draw_and_drop(writer: Writer, walk_: Pass, node: Node, keep: float) -> None:
    """Draw the mask of a node and apply it to its map."""
    if has_mask(node, keep):
        mask_of(writer, node, walk_.suffix)
        drop(writer, walk_, node, keep, walk_.suffix)


def difference(writer: Writer, node: Node, H: str, H_err: str, modulated: Pass) -> None:
    """Update a hidden node along (H_l - H_l^err)^T H_{l-1}^err / N."""
    D = writer.train.value(f"{H} - {H_err}", BufferRole.ERROR, node.units)
    writer.train.each(f"D{node.number} = {D}", (H, H_err), D)
    before = modulated.name(node.source)
    walk.accumulate(writer, node, D, before, f"G{node.number} = ({D})^T {before} / N")


def output_update(writer: Writer, modulated: Pass, E: str, output_error: str) -> None:
    """Update the output layer along E^err, or E; the modulated output is computed either way."""
    output = writer.graph.nodes[-1]
    modulated.forward(output)
    E_err = walk.error(writer, modulated, output, "E^err")
    signal = E_err if output_error == "modulated" else E
    walk.accumulate(writer, output, signal, modulated.name(output.source))


def _error_beside(writer: Writer, P: str, output: Node) -> str:
    """Return E = P - T in a place of its own, for P is needed later."""
    E = writer.train.value("E", BufferRole.ERROR, output.units)
    writer.train.each(f"E = {P} - T", (P, writer.target), E, in_place=False)
    return E


def _two_correlations(writer: Writer, node: Node, modulated: Pass) -> None:
    """Update along H_l^T H_{l-1} - (H_l^err)^T H_{l-1}^err; of the output layer P^T H_{L-1} - T^T H_{L-1}^err."""
    H_err = writer.target if node.is_output else modulated.name(node.name)
    before, before_err = node.source, modulated.name(node.source)
    gradient = len(writer.setting.states) > 1
    walk.accumulate(writer, node, node.name, before, f"G{node.number} = {node.name}^T {before} / N", gradient)
    walk.accumulate(writer, node, H_err, before_err, f"G{node.number} -= {H_err}^T {before_err} / N", gradient)
    for weight in writer.parameters(node) if gradient else ():
        walk.apply(writer, weight)


def _mirrored_feedback(writer: Writer) -> str:
    """Keep one factor per layer, and multiply them out where F is read."""
    if any(node.layer.kind != "dense" for node in writer.graph.nodes):
        raise CostError("weight mirroring is written for dense layers; give the network widths, such as [1024, 1024]")
    nodes, inputs = writer.graph.weighted, writer.task.inputs
    factors = [writer.keep(f"F{node.number}", BufferRole.FEEDBACK, node.layer.weights) for node in nodes]
    F = writer.train.scratch("F", inputs * writer.task.outputs)
    macs = inputs * sum(one.units * other.units for one, other in pairwise(nodes))
    writer.train.product_once("F = F_1 ... F_L", Role.PROJECTION, macs, tuple(factors), F)
    return F


def _mirror(writer: Writer) -> None:
    """Let each factor learn from noise: F_l <- F_l + eta_F (Xi^T R / N - lambda_F F_l), R = block_l(Xi)."""
    phase = writer.train
    for node in writer.graph.weighted:
        Xi = phase.value(f"Xi{node.number}", BufferRole.SCRATCH, node.layer.inputs)
        R = phase.value(f"R{node.number}", BufferRole.SCRATCH, node.units)
        W, F, macs = f"W{node.number}", f"F{node.number}", node.layer.macs
        phase.each(f"{Xi} drawn, less its mean", (), Xi, in_place=False)
        phase.product(f"{R} = {Xi} {W}^T", Role.FORWARD, macs, (Xi, W), R)
        phase.each(f"{R} = f({R})", (R,), R)
        phase.product(f"{F} <- {F} + {Xi}^T {R} / N", Role.WEIGHT_UPDATE, macs, (Xi, R, F), F)
        phase.once(f"{F} rescaled", (F,), F, node.layer.weights)
