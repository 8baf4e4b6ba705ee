"""The machine folders of a suite read as one: homes of blocks, where cells stand, traces, types of machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from measured import BOARD, STATION, SUITE, a_cell, an_order, contents, describe, leave

from fobench import plugins
from fobench.cluster.placement import Block, Machine
from fobench.cluster.shelves import Shelves
from fobench.contracts import Origin, Part, Status, kind_of
from fobench.harness.states import State
from fobench.store import StoreError

CELLS = [a_cell(label, seed) for seed in (0, 1) for label in ("BP", "other", "third")]
FIRST, SECOND = CELLS[:3], CELLS[3:]
A, B = (Machine(name, kind_of(BOARD)) for name in "ab")
C = Machine("c", kind_of(STATION))


def shelves(results: Path, *connected: Machine, machines: str = "any", **changes) -> Shelves:
    return Shelves(an_order(results, *CELLS, machines=machines, **changes), connected)


def left(made: list[Block]) -> dict[tuple[int, str | None], tuple[int, str | None]]:
    """Number of cells and home of blocks by seed and kind."""
    return {(block.seed, block.kind): (len(block.cells), block.home) for block in made}


def finish(results: Path, machine: str, *cells, facts=BOARD) -> None:
    describe(results, machine, facts)
    for cell in cells:
        leave(results, machine, cell)
        leave(results, machine, cell, Part.TRACE)


def test_without_results_every_block_is_whole_and_has_no_home(tmp_path: Path) -> None:
    made = shelves(tmp_path, A, B).blocks()
    assert left(made) == {(0, None): (3, None), (1, None): (3, None)}
    assert [cell for block in made for cell in block.cells] == CELLS, "in running order"


def test_a_begun_block_is_at_home_where_it_was_begun(tmp_path: Path) -> None:
    finish(tmp_path, "b", FIRST[1])
    (begun, fresh) = shelves(tmp_path, A, B).blocks()
    assert begun == Block(0, (FIRST[0], FIRST[2]), "b", None)
    assert fresh.home is None


def test_a_failed_cell_has_a_home_too_and_is_not_wanted_again_unasked(tmp_path: Path) -> None:
    describe(tmp_path, "b")
    leave(tmp_path, "b", FIRST[0], status=Status.KILLED)
    assert left(shelves(tmp_path, A, B).blocks())[0, None] == (2, "b")
    assert left(shelves(tmp_path, A, B, retry_failed=True).blocks())[0, None] == (3, "b")


def test_a_trace_makes_no_home(tmp_path: Path) -> None:
    describe(tmp_path, "b")
    leave(tmp_path, "b", FIRST[0], Part.TRACE)
    assert left(shelves(tmp_path, A, B).blocks())[0, None] == (3, None)


def test_the_home_is_where_most_of_a_block_is(tmp_path: Path) -> None:
    """Two local runs may have split a block before there was a cluster."""
    finish(tmp_path, "a", FIRST[0])
    finish(tmp_path, "b", FIRST[1])
    assert shelves(tmp_path, A, B).shelf(None).home(FIRST) == "a", "the first of equals, on every run"
    finish(tmp_path, "b", FIRST[2])
    assert shelves(tmp_path, A, B).shelf(None).home(FIRST) == "b"


def test_a_cell_is_done_wherever_it_was_measured(tmp_path: Path) -> None:
    finish(tmp_path, "a", *FIRST)
    finish(tmp_path, "gone", *SECOND)
    found = shelves(tmp_path, B)
    assert [item.state for item in found.standings()] == [State.DONE] * 6
    assert left(found.blocks()) == {(0, None): (0, "a"), (1, None): (0, "gone")}


def test_results_without_facts_of_their_machine_count_all_the_same(tmp_path: Path) -> None:
    """As in the report, where such a machine is a kind of its own."""
    for cell in FIRST:
        leave(tmp_path, "bare", cell)
        leave(tmp_path, "bare", cell, Part.TRACE)
    assert left(shelves(tmp_path, A).blocks())[0, None] == (0, "bare")


def test_done_cells_may_be_wanted_again(tmp_path: Path) -> None:
    finish(tmp_path, "a", *CELLS)
    again = shelves(tmp_path, A, B).blocks(again=[SECOND[2].id])
    assert left(again) == {(0, None): (0, "a"), (1, None): (1, "a")}
    assert again[1].cells == (SECOND[2],)


def test_a_surrogate_is_stale_once_the_files_are_at_hand(tmp_path: Path) -> None:
    finish(tmp_path, "a", *CELLS)
    leave(tmp_path, "a", FIRST[0], origin=Origin.SURROGATE)
    assert shelves(tmp_path, A).standings()[0].state == State.DONE
    found = shelves(tmp_path, A, real=("digits",), rerun_stale=True)
    assert [item.state for item in found.standings()] == [State.STALE] + [State.DONE] * 5
    assert left(found.blocks())[0, None] == (1, "a")


def test_a_broken_result_is_measured_again_at_home(tmp_path: Path) -> None:
    finish(tmp_path, "a", *FIRST)
    leave(tmp_path, "a", FIRST[0]).write_text("half a li")
    assert left(shelves(tmp_path, A, B).blocks())[0, None] == (1, "a")


# --- traces -----------------------------------------------------------------------------------------------------------


def test_a_trace_serves_all_machines_of_its_kind_and_no_other(tmp_path: Path) -> None:
    describe(tmp_path, "a")
    leave(tmp_path, "a", FIRST[0], Part.TRACE)
    found = shelves(tmp_path, A, B, C)
    for cell in (FIRST[0], SECOND[0]):
        trace = found.shelf(A.kind).traced(cell)
        assert trace is not None
        assert trace.header.id == cell.trace_id
    assert found.shelf(C.kind).traced(FIRST[0]) is None
    assert found.shelf(A.kind).traced(FIRST[1]) is None


@pytest.mark.parametrize(
    "changes",
    [{"status": Status.FAILED}, {"sources": {"learner": "old", "dataset": "old"}}],
    ids=["failed", "other source"],
)
def test_a_trace_that_does_not_count_is_owed_again(tmp_path: Path, changes) -> None:
    describe(tmp_path, "a")
    leave(tmp_path, "a", FIRST[0], Part.TRACE, **changes)
    assert shelves(tmp_path, A).shelf(A.kind).traced(FIRST[0]) is None


def test_a_broken_trace_is_owed_again(tmp_path: Path) -> None:
    describe(tmp_path, "a")
    leave(tmp_path, "a", FIRST[0], Part.TRACE).write_text("{}\n{}\n")
    assert shelves(tmp_path, A).shelf(A.kind).traced(FIRST[0]) is None


def test_a_trace_of_a_surrogate_is_owed_again_once_the_files_are_at_hand(tmp_path: Path) -> None:
    """Or the cell would be stale however often it is measured."""
    describe(tmp_path, "a")
    leave(tmp_path, "a", FIRST[0], Part.TRACE, origin=Origin.SURROGATE)
    assert shelves(tmp_path, A).shelf(A.kind).traced(FIRST[0]) is not None
    assert shelves(tmp_path, A, real=("digits",)).shelf(A.kind).traced(FIRST[0]) is None


@pytest.mark.parametrize(
    "changes",
    [{"status": Status.FAILED}, {"sources": {"learner": "old", "dataset": "old"}}, {"origin": Origin.SURROGATE}],
    ids=["failed", "other source", "surrogate"],
)
def test_a_trace_that_was_taken_again_elsewhere_is_the_one_that_counts(tmp_path: Path, changes) -> None:
    """A trace goes to whichever machine is free: not always to the one that has the old one."""
    describe(tmp_path, "a")
    leave(tmp_path, "a", FIRST[0], Part.TRACE, **changes)
    finish(tmp_path, "b", FIRST[0])
    found = shelves(tmp_path, A, B, real=("digits",))
    trace = found.shelf(A.kind).traced(FIRST[0])
    assert trace is not None
    assert trace.path.parent.name == "b"
    assert found.standings()[0].state == State.DONE


# --- types of machine -------------------------------------------------------------------------------------------------


def test_any_machine_may_take_a_block(tmp_path: Path) -> None:
    assert {block.kind for block in shelves(tmp_path, A, B, C).blocks()} == {None}


def test_same_takes_the_kind_with_most_machines(tmp_path: Path) -> None:
    assert {block.kind for block in shelves(tmp_path, A, B, C, machines="same").blocks()} == {A.kind}
    more = [C, Machine("d", C.kind), Machine("e", C.kind)]
    assert {block.kind for block in shelves(tmp_path, A, B, *more, machines="same").blocks()} == {C.kind}


def test_same_stays_with_the_kind_that_was_begun(tmp_path: Path) -> None:
    finish(tmp_path, "c", FIRST[0], facts=STATION)
    made = shelves(tmp_path, A, B, C, machines="same").blocks()
    assert left(made) == {(0, C.kind): (2, "c"), (1, C.kind): (3, None)}


def test_same_goes_by_measurements_not_by_traces(tmp_path: Path) -> None:
    finish(tmp_path, "c", FIRST[0], facts=STATION)
    describe(tmp_path, "a")
    for cell in FIRST:
        leave(tmp_path, "a", cell, Part.TRACE)
    assert {block.kind for block in shelves(tmp_path, A, C, machines="same").blocks()} == {C.kind}


def test_same_begins_anew_what_another_kind_has_measured(tmp_path: Path) -> None:
    """The station is not connected: its cells do not count among the boards."""
    finish(tmp_path, "c", *FIRST, facts=STATION)
    found = shelves(tmp_path, A, B, machines="same")
    assert left(found.blocks()) == {(0, A.kind): (3, None), (1, A.kind): (3, None)}
    assert [item.state for item in found.standings()] == [State.PENDING] * 6


def test_each_kind_measures_the_whole_suite(tmp_path: Path) -> None:
    finish(tmp_path, "a", *FIRST)
    found = shelves(tmp_path, A, B, C, machines="each")
    assert left(found.blocks()) == {
        (0, A.kind): (0, "a"), (1, A.kind): (3, None), (0, C.kind): (3, None), (1, C.kind): (3, None),
    }  # fmt: skip
    assert len(found.standings()) == 12
    assert [item.state for item in found.standings()].count(State.DONE) == 3


@pytest.mark.parametrize("machines", ["any", "same", "each"])
def test_a_plan_without_machines_binds_nothing(tmp_path: Path, machines: str) -> None:
    assert left(shelves(tmp_path, machines=machines).blocks()) == {(0, None): (3, None), (1, None): (3, None)}


def test_facts_that_describe_no_machine_are_refused_by_name(tmp_path: Path) -> None:
    describe(tmp_path, "a")
    (tmp_path / SUITE / "a" / "machine.json").write_text("[")
    with pytest.raises(StoreError, match=r"a/machine\.json does not describe a machine .*; delete it"):
        shelves(tmp_path, B).blocks()


# --- blocks that are moved --------------------------------------------------------------------------------------------


def test_a_block_that_is_set_aside_begins_again_and_nothing_is_deleted(tmp_path: Path) -> None:
    finish(tmp_path, "a", *FIRST[:2], SECOND[0])
    before = contents(tmp_path)
    found = shelves(tmp_path, B)
    assert found.set_aside(found.blocks()[0]) == 2
    assert left(found.blocks()) == {(0, None): (3, None), (1, None): (2, "a")}
    after = contents(tmp_path)
    moved = {f"{SUITE}/a/{cell.stem}.jsonl" for cell in FIRST[:2]}
    assert after == {(f"{name}.abandoned" if name in moved else name): text for name, text in before.items()}
    assert found.shelf(A.kind).traced(FIRST[0]) is not None, "a trace is exact: it need not be taken again"


def test_doubts_name_the_cell(tmp_path: Path) -> None:
    """A window of the training that a guard has refused."""
    finish(tmp_path, "a", *FIRST)
    path = leave(tmp_path, "a", FIRST[1])
    head, row, foot = path.read_text().splitlines()
    path.write_text("\n".join([head, json.dumps({**json.loads(row), "invalid": "swap"}), foot]) + "\n")
    ((cell, reason),) = shelves(tmp_path, A, B).unstable()
    assert cell == FIRST[1]
    assert reason == "1 windows of the training are invalid, first: swap"


def test_sources_are_hashed_once_however_many_cells_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash takes some 70 ms, and a suite has thousands of cells."""
    finish(tmp_path, "a", *FIRST)
    finish(tmp_path, "b", *SECOND)
    hashed: list[str] = []
    real = plugins.source_hash
    monkeypatch.setattr(
        plugins, "source_hash", lambda target, *rest, **at: hashed.append(target) or real(target, *rest, **at)
    )
    found = shelves(tmp_path, A, B)
    found.blocks()
    assert [item.state for item in found.standings()] == [State.DONE] * 6
    assert sorted(hashed) == ["bp", "digits"]
    shelves(tmp_path, A, B).standings()
    assert sorted(hashed) == ["bp", "bp", "digits", "digits"], "anew for every look: the source may have changed"
