"""Sharing of places: a program means the same with and without it, and no incoming batch is overwritten."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_costs_graphs import RULES, residual_nets, tasks

from fobench.contracts import Phase, Role, Task
from fobench.costs import Program, builder, program_of
from fobench.costs.program import BufferRole, Format
from fobench.costs.rules import bp


def meaning(program: Program, phase: Phase) -> dict[str, int]:
    """Run a phase on symbols: a value is what was done to which values. Return what the last step left behind."""
    held: dict[str, int] = {}
    done = []
    for op in program.step(phase).ops:
        value = hash((op.name, *(held.get(name, hash(name)) for name in op.reads)))
        held |= dict.fromkeys(op.writes, value)
        done.append(value)
    kept = {name: value for name, value in held.items() if name in program.persistent}
    return {**kept, "every operation": hash(tuple(done))}


@settings(max_examples=25, deadline=None)
@given(residual_nets(), tasks, st.sampled_from(RULES))
def test_a_result_takes_a_place_only_when_nobody_reads_it_again(
    net: list[dict[str, object]], task: Task, rule: str
) -> None:
    shared = program_of(rule, {"network": net, "optimizer": "adam"}, task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder.Draft, "_fits", lambda self, name, result: False)
        apart = program_of(rule, {"network": net, "optimizer": "adam"}, task)
    for phase in (Phase.TRAIN, Phase.INFER):
        assert meaning(shared, phase) == meaning(apart, phase)
        assert shared.minimum(1, Format.INT8, phase) <= apart.minimum(1, Format.INT8, phase)
        batch = {name for name, buffer in shared.step(phase).buffers.items() if buffer.role is BufferRole.INPUT}
        assert not batch & {name for op in shared.step(phase).ops for name in op.writes}


def test_places_are_shared_at_all() -> None:
    program = bp.program([8, 5], Task("classification", (20,), 3))
    assert {*program.train.buffers} == {"x", "y", "H1", "H2", "H3", "S(H1)", "S(H2)", "G_b1", "G_b2", "G_b3"}
    autograd = bp.autograd([8, 5], Task("classification", (20,), 3))
    assert {"D1", "D2", "E", "G_W1", "G_W2", "G_W3"} <= {*autograd.train.buffers}


def test_the_order_of_a_step() -> None:
    """Backpropagation on one hidden layer, equation by equation."""
    ops = bp.program([8], Task("classification", (20,), 3)).train.ops
    assert [op.name for op in ops if "b" not in op.name.split()[0]] == [
        "A1 = x W1^T + b1", "H1 = f(H1)", "A2 = H1 W2^T + b2", "H2 = softmax(H2)", "E = H2 - T", "S(H1) = E W2",
        "G2 = E^T H1 / N", "D1 = S(H1) o f'(H1)", "G1 = D1^T x / N",
    ]  # fmt: skip
    assert [op.role for op in ops if op.macs] == [
        Role.FORWARD, Role.FORWARD, Role.INPUT_GRADIENT, Role.WEIGHT_UPDATE, Role.WEIGHT_UPDATE,
    ]  # fmt: skip
