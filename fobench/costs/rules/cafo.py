"""CaFo: random blocks that are never trained, and a linear predictor on the features of each.

Phi_s = normalised pool(f(K_s * Phi_{s-1})),  O_s = Phi_s V_s,  V_s <- V_s - eta Phi_s^T (softmax(O_s) - T) / N
2 d_s C MACs per predictor and sample, and the blocks' own where features are not cached
"""

from __future__ import annotations

from typing import Any

from fobench.contracts import Role, Task
from fobench.costs import walk
from fobench.costs.graph import Node
from fobench.costs.program import Buffer, BufferRole, CostError, Program
from fobench.costs.rules.local import ends, local_writer
from fobench.costs.setting import PLAIN, Setting
from fobench.costs.walk import Pass, Writer


def program(
    network: Any,
    task: Task,
    setting: Setting = PLAIN,
    cached: bool = False,
    loss: str = "ce",
    normalise: str = "sample",
) -> Program:
    """Return the program of CaFo, all predictors in one step; `cached` features come with the batch."""
    if loss != "ce":
        raise CostError(
            f"the costs of cafo are written for the loss ce, found {loss!r}: a solve is no sum over samples"
        )
    writer = local_writer("cafo", network, task, setting)
    forward, predict = Pass(writer.train), Pass(writer.infer)
    blocks = {ends(writer, node).name: node for node in writer.graph.weighted}
    for node in writer.graph.nodes:
        if not cached:
            forward.forward(node)
        predict.forward(node)
        if node.name in blocks:
            for phase in [writer.infer] if cached else [writer.train, writer.infer]:
                if normalise == "sample":
                    phase.each(f"{node.name} = normalised {node.name}", (node.name,), node.name)
            _predictor(writer, blocks[node.name].number, node, cached)
    return writer.program("cafo")


def _predictor(writer: Writer, number: int, end: Node, cached: bool) -> None:
    """Train the predictor of one block, and add its softmax to the prediction."""
    phase, classes = writer.train, writer.task.classes
    macs = end.units * classes
    V = writer.keep(f"V{number}", BufferRole.WEIGHT, macs)
    writer.trains_weight(V)
    features = end.name
    if cached:
        phase.buffers[features] = Buffer(features, BufferRole.INPUT, end.units)
    E = phase.value(f"E{number}", BufferRole.ERROR, classes)
    phase.product(f"O{number} = {features} {V}", Role.HEAD, macs, (features, V), E)
    phase.each(f"{E} = softmax(O{number}) - T", (E, "y"), E)
    walk.correlate(writer, V, f"G_{V} = {features}^T {E} / N", (features, E), macs, role=Role.HEAD)
    logits = writer.infer.value(f"O{number}", BufferRole.OUTPUT, classes)
    writer.infer.product(f"O{number} = {features} {V}", Role.HEAD, macs, (end.name, V), logits)
    scores = writer.infer.value("scores", BufferRole.OUTPUT, classes)
    writer.infer.each(f"scores += softmax(O{number})", (logits, *((scores,) if number > 1 else ())), scores)
