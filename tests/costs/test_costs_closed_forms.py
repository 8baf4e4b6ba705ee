"""MACs of every rule on dense nets against the closed forms and the worked numbers of `learning_rules` 0.2."""

from itertools import pairwise
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import Phase, Role, Task
from fobench.costs import Program
from fobench.costs.rules import alignment, bp, cafo, early, ff, local, mempepita, pepita, propagated
from fobench.costs.rules.direct import dfa, drtp, sdfa

F, S, A, U, P, H = (
    Role.FORWARD, Role.SECOND_PASS, Role.INPUT_GRADIENT, Role.WEIGHT_UPDATE, Role.PROJECTION, Role.HEAD,
)  # fmt: skip


class Sizes:
    """The symbols of the table for n_0, the hidden widths and C."""

    def __init__(self, inputs: int, hidden: list[int], classes: int) -> None:
        self.n0, self.hidden, self.C = inputs, hidden, classes
        self.m = [prod(pair) for pair in pairwise([inputs, *hidden, classes])]
        self.M, self.M_h, self.N_h = sum(self.m), sum(self.m[:-1]), sum(hidden)
        self.task = Task("classification", (inputs,), classes)


sizes = st.builds(Sizes, st.integers(2, 40), st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(2, 12))


def train(program: Program) -> dict[Role, float]:
    return program.macs()


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_rules_with_an_output_layer(n: Sizes) -> None:
    net, task, m_1 = n.hidden, n.task, n.m[0]
    backward = {F: n.M, A: n.M - m_1, U: n.M}
    for function in (bp.program, bp.autograd, alignment.fa, alignment.usf, alignment.brsf, alignment.frsf):
        assert train(function(net, task)) == backward
    for function in (dfa, sdfa):
        assert train(function(net, task)) == {F: n.M, P: n.C * n.N_h, U: n.M}
    assert train(drtp(net, task)) == {F: n.M, U: n.M}
    middle = {S: n.M_h - m_1} if n.M_h > m_1 else {}
    assert train(propagated.ifa(net, task)) == {F: n.M, P: n.C * net[0], U: n.M, **middle}
    assert train(propagated.afa(net, task)) == {F: n.M, P: n.n0 * n.C, S: n.M_h, U: n.M}


@settings(max_examples=40, deadline=None)
@given(sizes, st.sampled_from([1, 0.9]))
def test_two_passes(n: Sizes, keep: float) -> None:
    net, task, projection = n.hidden, n.task, n.n0 * n.C
    for error in pepita.OUTPUT_ERRORS:
        found = train(pepita.program(net, task, keep=keep, output_error=error))
        assert found == {F: n.M, S: n.M, U: n.M, P: projection}
        assert train(mempepita.program(net, task, keep=keep, output_error=error)) == {
            F: 2 * n.M, S: n.M, U: n.M, P: projection,
        }  # fmt: skip
    for function in (pepita.hebbian, pepita.time_local):
        assert train(function(net, task, keep=keep)) == {F: n.M, S: n.M, U: 2 * n.M, P: projection}


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_weight_mirroring_adds_its_own_step(n: Sizes) -> None:
    plain, mirrored = pepita.program(n.hidden, n.task), pepita.program(n.hidden, n.task, mirror=True)
    assert sum(train(mirrored).values()) - sum(train(plain).values()) == 2 * n.M
    widths = [*n.hidden, n.C]
    product = n.n0 * sum(one * other for one, other in pairwise(widths))
    assert sum(mirrored.train.macs(7).values()) == 7 * sum(train(mirrored).values()) + product
    factors = sum(buffer.elements for name, buffer in mirrored.persistent.items() if name.startswith("F"))
    assert factors == n.M


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_forward_forward(n: Sizes) -> None:
    net, task = n.hidden, n.task
    layers = {F: 2 * n.M_h, U: 2 * n.M_h}
    many, one = ff.program(net, task), ff.program(net, task, inference="one-pass")
    assert train(many) == layers and train(one) == {**layers, H: n.M_h + 2 * n.C * n.N_h}
    assert many.macs(Phase.INFER) == {F: n.C * n.M_h}
    assert one.macs(Phase.INFER) == {F: n.M_h, H: n.C * n.N_h}


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_local_rules(n: Sizes) -> None:
    net, task, total = n.hidden, n.task, 0.0
    assert train(local.biofo(net, task, order="sweep")) == {F: n.M_h, P: 2 * n.C * n.N_h, U: n.M_h}
    for stage in range(len(net)):
        found = train(local.biofo(net, task, stage=stage))
        assert found == {F: sum(n.m[: stage + 1]), P: 2 * n.C * net[stage], U: n.m[stage]}
        assert train(local.tinyfoa(net, task, stage=stage, split="none")) == found
        total += sum(found.values())
    L = len(net) + 1
    assert total == sum((L - k) * n.m[k - 1] for k in range(1, L)) + n.M_h + 2 * n.C * n.N_h
    mono = train(local.mono_forward(net, task))
    assert mono == {F: n.M_h, P: 2 * n.C * n.N_h, U: n.M_h + n.C * n.N_h}
    assert sum(mono.values()) == 2 * n.M_h + 3 * n.C * n.N_h
    assert train(cafo.program(net, task, cached=True)) == {H: 2 * n.C * n.N_h}
    assert train(cafo.program(net, task)) == {F: n.M_h, H: 2 * n.C * n.N_h}
    for function in (local.biofo, local.mono_forward):
        assert sum(function(net, task).macs(Phase.INFER).values()) == n.M_h + n.C * net[-1]


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_inference_is_one_pass(n: Sizes) -> None:
    functions = (bp.program, bp.autograd, alignment.fa, dfa, drtp, propagated.ifa, pepita.program, mempepita.program)
    for function in functions:
        assert function(n.hidden, n.task).macs(Phase.INFER) == {F: n.M}


TABLE = """
784-1024-10 0.813 1.636 1.636 1.636 1.626 2.447 3.260 3.215 1.626 1.626
3072-1024-10 3.156 6.322 6.322 6.322 6.312 9.499 12.655 12.587 6.312 6.312
3072-1024-100 3.248 6.599 6.599 6.599 6.496 10.052 13.300 12.587 6.496 6.496
784-1024x2-10 1.862 4.782 3.744 4.782 3.723 5.593 7.454 7.414 3.744 4.547
3072-1024x3-10 5.253 12.614 10.537 12.614 10.506 15.790 21.043 20.984 10.547 17.887
169-1024x3-5 2.275 6.653 4.566 6.653 4.551 6.827 9.102 9.093 4.571 5.966
1024-1024x3-2 3.148 8.395 6.302 8.395 6.296 9.445 12.593 12.595 6.304 9.449
784-2000x4-10 13.588 39.196 27.256 39.196 27.176 40.772 54.360 54.304 27.296 44.000
3072-2000x4-10 18.164 48.348 36.408 48.348 36.328 54.523 72.687 72.608 36.448 66.880
1024-2000x4-2 14.052 40.108 28.120 40.108 28.104 42.158 56.210 56.224 28.128 46.272
169-2000x4-5 12.348 36.706 24.736 36.706 24.696 37.045 49.393 49.384 24.756 37.770
"""


@pytest.mark.parametrize("row", TABLE.split("\n")[1:-1], ids=lambda row: row.split()[0])
def test_worked_numbers(row: str) -> None:
    name, *printed = row.split()
    inputs, hidden, classes = name.split("-")
    width, _, depth = hidden.partition("x")
    net, task = [int(width)] * int(depth or 1), Task("classification", (int(inputs),), int(classes))
    functions = (bp.program, dfa, propagated.ifa, drtp, pepita.program, mempepita.program, ff.program)
    counts = [sum(function(net, task).macs().values()) for function in functions]
    # the table adds 4 N_h elementwise operations to the products of FF; its greedy Bio-FO is the sum over stages
    counts[-1] += 4 * sum(net)
    counts.append(sum(local.biofo(net, task, order="sweep").macs().values()))
    counts.append(sum(sum(local.biofo(net, task, stage=stage).macs().values()) for stage in range(len(net))))
    counts.insert(0, sum(bp.program(net, task).macs(Phase.INFER).values()))
    assert [f"{count / 1e6:.3f}" for count in counts] == printed


@settings(max_examples=40, deadline=None)
@given(sizes, st.data())
def test_early_exits(n: Sizes, data: st.DataObject) -> None:
    net, task, C = n.hidden, n.task, n.C
    shares = data.draw(st.lists(st.floats(0, 1), min_size=len(net) - 1, max_size=len(net) - 1))
    p = [1.0, *sorted(shares, reverse=True)]
    seen = [sum(net[: k + 1]) for k in range(len(net))]
    many = early.lightff(net, task, exits=p).macs(Phase.INFER)
    assert sum(many.values()) == pytest.approx(C * sum(a * b for a, b in zip(p, n.m, strict=False)))
    one = early.lightff(net, task, inference="one-pass", exits=p).macs(Phase.INFER)
    assert one[F] == pytest.approx(sum(a * b for a, b in zip(p, n.m, strict=False)))
    assert one[H] == pytest.approx(C * sum(a * b for a, b in zip(p, seen, strict=True)))
    biofo = early.light_biofo(net, task, exits=p).macs(Phase.INFER)
    assert biofo[P] == pytest.approx(C * sum(a * b for a, b in zip(p, net, strict=True)))
    bp_heads = early.lightbp(net, task, exits=p).macs(Phase.INFER)
    pepita_heads = early.light_pepita(net, task, exits=p).macs(Phase.INFER)
    forward = sum(a * b for a, b in zip([*p, p[-1]], n.m, strict=True))
    assert bp_heads[F] == pepita_heads[F] == pytest.approx(forward)
    assert bp_heads.get(H, 0) == pytest.approx(C * sum(a * b for a, b in zip(p[:-1], seen, strict=False)))
    assert pepita_heads.get(H, 0) == pytest.approx(C * sum(a * b for a, b in zip(p[:-1], net, strict=False)))


def test_published_lightff_figure() -> None:
    """12.94 and 2.95 "M" MACs (units of 2^20, one label) of `learning_rules` 22.2: mean depth 1.38 on MNIST."""
    task = Task("classification", (784,), 10)
    full = early.lightff([2000] * 4, task).macs(Phase.INFER)[F] / 10 / 2**20
    assert f"{full:.2f}" == "12.94"
    early_ = early.lightff([2000] * 4, task, exits=[1, 0.38, 0, 0]).macs(Phase.INFER)[F] / 10 / 2**20
    assert early_ == pytest.approx(2.95, abs=0.01)
