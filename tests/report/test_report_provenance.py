from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fobench.contracts import Provenance
from fobench.report.provenance import combine

A, M, E = Provenance.ANALYTICAL, Provenance.MEASURED, Provenance.ESTIMATED
some = st.sampled_from([A, M, E])


def test_the_table_of_the_architecture():
    assert combine(M, A) == M
    assert combine(E, A) == E
    assert combine(M, E) == E
    assert combine(A, A) == A


@given(some, some, some)
def test_order_and_grouping_do_not_matter(a, b, c):
    assert combine(a, b) == combine(b, a)
    assert combine(combine(a, b), c) == combine(a, combine(b, c)) == combine(a, b, c)
    assert combine(a, a) == a


@given(st.lists(some))
def test_analytical_is_neutral_and_estimated_absorbs(parts):
    assert combine(*parts, A) == combine(*parts)
    assert combine(*parts, E) == E
