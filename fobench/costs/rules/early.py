"""Early exit: what a sample costs if the share p_l of all samples gets as far as exit l, p_1 = 1.

    LightFF, multi-pass     C sum_l p_l m_l                        cumulative goodness
    LightFF, one-pass       sum_l p_l (m_l + C sum_{k<=l} n_k)     a head per depth on all maps so far
    LightBP                 the same heads on hidden layers, the network's own output as last exit
    Light-PEPITA            sum_l p_l (m_l + C n_l), heads on single maps; own output as last exit
    Light-Bio-FO            sum_l p_l (m_l + C n_l)                every layer's local logits

A layer once computed is not computed again. Exits follow layers with weights; memory is that of a sample that goes all the
way. LightBP and Light-PEPITA learn in two stages: the step of their rule, then that of their heads on the finished net.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from fobench.contracts import Role, Task
from fobench.costs import walk
from fobench.costs.graph import Node, require_classes
from fobench.costs.program import BufferRole, CostError, Program
from fobench.costs.rules import bp, ff, local, pepita
from fobench.costs.setting import PLAIN, UNBIASED, Setting
from fobench.costs.walk import Pass, Writer

Exits = Sequence[float] | None
"""p_l, the share of samples that reach each exit, from 1 downwards; None if every sample goes all the way."""


def lightff(
    network: Any,
    task: Task,
    setting: Setting = PLAIN,
    inference: str = "multi-pass",
    exits: Exits = None,
    trunk: Mapping[str, Any] = MappingProxyType({}),
) -> Program:
    """Return the program of LightFF; one-pass, a step trains a head per depth. Of `trunk` its `label_as` is read."""
    require_classes("lightff", task)
    writer = ff.ff_writer(network, task, setting, inference, trunk.get("label_as", "first-values"))
    nodes = writer.graph.weighted
    reach = _reach(writer, exits, len(nodes))
    if inference == "one-pass":
        _head_steps(writer)
    ff.layer_steps(writer, peer=0.03)
    if inference == "multi-pass":
        ff.multi_pass(writer, nodes, reach)
    else:
        _one_pass(writer, reach)
    return writer.program("lightff")


def lightbp(
    network: Any, task: Task, setting: Setting = PLAIN, stage: int | None = None, exits: Exits = None
) -> Program:
    """Return the program of LightBP: heads on all hidden maps so far; without `stage`, of the heads' stage."""
    base = bp.program(network, task, setting)
    return _with_heads("lightbp", base, Writer(network, task, setting), exits, True, stage)


def light_pepita(
    network: Any,
    task: Task,
    setting: Setting = UNBIASED,
    keep: float = 0.9,
    stage: int | None = None,
    exits: Exits = None,
) -> Program:
    """Return the program of Light-PEPITA: heads on single hidden maps; without `stage`, of the heads' stage."""
    base = pepita.program(network, task, setting, keep)
    return _with_heads("light-pepita", base, Writer(network, task, setting), exits, False, stage)


def light_biofo(
    network: Any,
    task: Task,
    setting: Setting = PLAIN,
    order: str = "greedy",
    stage: int | None = None,
    exits: Exits = None,
) -> Program:
    """Return the program of Light-Bio-FO: the local logits of every layer are an exit."""
    base = local.biofo(network, task, setting, order, stage)
    writer = local.local_writer("light-biofo", network, task, setting)
    nodes = writer.graph.weighted
    reach, forward = _reach(writer, exits, len(nodes)), Pass(writer.infer)
    read = {local.ends(writer, node).name: node for node in nodes}
    for node in writer.graph.path(*(local.ends(writer, node) for node in nodes)):
        writer.infer.repeats = reach[node.name]
        forward.forward(node)
        if node.name in read:
            local.local_logits(writer, read[node.name])
    return _exiting("light-biofo", base, writer)


def _exiting(rule: str, base: Program, writer: Writer) -> Program:
    """Return the training of `base` with the inference of `writer`."""
    persistent = {**base.persistent, **writer.persistent}
    return replace(base, rule=rule, persistent=persistent, infer=writer.infer.step())


def _reach(writer: Writer, exits: Exits, count: int) -> dict[str, float]:
    """Return the share of samples for which each node is computed: that of the next exit."""
    shares = [1.0] * count if exits is None else list(exits)
    if len(shares) != count or shares[0] != 1 or shares != sorted(shares, reverse=True) or shares[-1] < 0:
        raise CostError(f"exits is {exits!r}; expected {count} shares of samples that fall from 1, one per exit")
    reach, number = {}, 0
    for node in writer.graph.nodes:
        reach[node.name] = shares[min(number, count - 1)]
        number += node.weighted
    return {name: int(share) if share == int(share) else share for name, share in reach.items()}


def _with_heads(rule: str, base: Program, writer: Writer, exits: Exits, cumulative: bool, stage: int | None) -> Program:
    """Put heads on all hidden layers but the last, whose exit is the network's own output."""
    require_classes(rule, writer.task)
    hidden = writer.graph.hidden
    reach, forward = _reach(writer, exits, max(len(hidden), 1)), Pass(writer.infer)
    seen: list[tuple[Node, str]] = []
    for node in writer.graph.nodes:
        writer.infer.repeats = reach[node.name]
        name = forward.forward(node)
        if node in hidden[:-1]:
            seen = [*seen, (node, name)] if cumulative else [(node, name)]
            _head(writer, node.number, seen)
    walk.squashed(writer, forward, writer.graph.nodes[-1])
    program = _exiting(rule, base, writer)
    if stage == 0 or len(hidden) < 2:  # with one hidden layer there is no head to train
        return program
    _train_heads(writer, cumulative)
    # the heads' optimizer state, where they have one, comes with their steps
    return replace(program, train=writer.train.step(), persistent={**program.persistent, **writer.persistent})


def _train_heads(writer: Writer, cumulative: bool) -> None:
    """Take a step of all heads on the finished net, which is run no further than the last of them."""
    forward, seen = Pass(writer.train), list[tuple[Node, str]]()
    read = writer.graph.hidden[:-1]
    for node in writer.graph.path(*read):
        name = forward.forward(node)
        if node in read:
            seen = [*seen, (node, name)] if cumulative else [(node, name)]
            _head_step(writer, node.number, seen)


def _head(writer: Writer, number: int, seen: list[tuple[Node, str]]) -> None:
    """Write one exit of an inference: logits V_l of the maps that the head sees."""
    phase, classes = writer.infer, writer.task.classes
    units = sum(node.units for node, _ in seen)
    V = writer.keep(f"V{number}", BufferRole.WEIGHT, classes * units)
    logits = phase.value(f"O{number}", BufferRole.OUTPUT, classes)
    names = tuple(name for _, name in seen)
    phase.product(f"O{number} = [{', '.join(names)}] {V}^T", Role.HEAD, classes * units, (*names, V), logits)


def _head_step(writer: Writer, number: int, seen: list[tuple[Node, str]]) -> None:
    """Train one head: its logits, their error, its update."""
    phase, classes = writer.train, writer.task.classes
    units, names = classes * sum(node.units for node, _ in seen), tuple(name for _, name in seen)
    V, E, maps = f"V{number}", f"E{number}", f"[{', '.join(names)}]"
    writer.keep(V, BufferRole.WEIGHT, units)
    writer.trains_weight(V)
    phase.value(E, BufferRole.ERROR, classes)
    phase.product(f"O{number} = {maps} {V}^T", Role.HEAD, units, (*names, V), E)
    phase.each(f"{E} = softmax(O{number}) - T", (E, "y"), E)
    walk.correlate(writer, V, f"G_{V} = {E}^T {maps} / N", (E, *names), units, role=Role.HEAD)


# --- the heads of LightFF: one per depth, on maps that are not normalised ---------------------------------------------


def _head_steps(writer: Writer) -> None:
    """Train the head of every depth on the neutral sample."""
    seen: list[tuple[Node, str]] = []
    for node, Z in ff.neutral(writer, writer.train, Role.HEAD, normalise=False):
        seen.append((node, Z))
        _head_step(writer, node.number, seen)


def _one_pass(writer: Writer, reach: dict[str, float]) -> None:
    """Pass the neutral sample up, with an exit at every layer."""
    seen: list[tuple[Node, str]] = []
    for node, Z in ff.neutral(writer, writer.infer, Role.FORWARD, normalise=False, reach=reach):
        seen.append((node, Z))
        _head(writer, node.number, seen)
