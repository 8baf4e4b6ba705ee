"""Done, pending, failed, stale: read off files and source code."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from toys import toy_cell

from fobench import plugins
from fobench.contracts import Cell, Header, Origin, Part, Status
from fobench.harness.runner import Order
from fobench.harness.states import State, standings

HERE = Path(__file__).parent
WHY = "line one\nValueError: last line"


def finish(
    order: Order, cell: Cell, status: Status = Status.DONE, origin: Origin = Origin.REAL, reason: str = WHY
) -> None:
    base = Path(order.suite.base)
    sources = {
        "learner": plugins.source_hash(cell.learner.target, "learners", base),
        "dataset": plugins.source_hash(cell.dataset.target, "datasets", base),
    }
    for part in Part:
        with order.store.writer(cell, part) as writer:
            writer.header(Header(part, cell, "test", "here", sources=sources, origin=origin))
            writer.footer(status if part == Part.MEASURE else Status.DONE, reason)


def states(order: Order, real: tuple[str, ...] = ()) -> list[State]:
    return [standing.state for standing in standings(order.suite, order.store, real)]


def test_pending_then_done_then_pending_again_when_one_file_is_deleted(make_order) -> None:
    cells = [toy_cell(seed=seed) for seed in range(3)]
    order = make_order(*cells)
    assert states(order) == [State.PENDING] * 3
    for cell in cells:
        finish(order, cell)
    assert states(order) == [State.DONE] * 3
    order.store.path(cells[1]).unlink()
    assert states(order) == [State.DONE, State.PENDING, State.DONE]


def test_failed_cells_say_why_in_one_line(make_order) -> None:
    order = make_order(toy_cell())
    finish(order, toy_cell(), Status.FAILED)
    (standing,) = standings(order.suite, order.store)
    assert (standing.state, standing.reason) == (State.FAILED, "failed: ValueError: last line")


def test_a_failed_cell_without_a_reason_is_still_failed(make_order) -> None:
    order = make_order(toy_cell())
    finish(order, toy_cell(), Status.FAILED, reason=" \n")
    assert states(order) == [State.FAILED]


def test_an_edited_learner_or_anything_it_imports_is_stale(make_order, tmp_path: Path) -> None:
    shutil.copy(HERE / "toys.py", tmp_path / "toys.py")
    order = make_order(toy_cell())
    order = replace(order, suite=replace(order.suite, base=str(tmp_path)))
    finish(order, toy_cell())
    assert states(order) == [State.DONE]
    with (tmp_path / "toys.py").open("a") as file:
        file.write("# edited\n")
    (standing,) = standings(order.suite, order.store)
    assert (standing.state, standing.reason) == (State.STALE, "the source of learner toy has changed")


def test_a_surrogate_result_is_stale_once_the_real_files_are_there(make_order) -> None:
    order = make_order(toy_cell())
    finish(order, toy_cell(), origin=Origin.SURROGATE)
    assert states(order) == [State.DONE]
    assert states(order, real=("blobs",)) == [State.STALE]


def test_a_broken_result_file_is_pending_not_fatal(make_order) -> None:
    order = make_order(toy_cell())
    finish(order, toy_cell())
    order.store.path(toy_cell()).write_text("{half a line")
    (standing,) = standings(order.suite, order.store)
    assert standing.state == State.PENDING
    assert "not a whole result file" in standing.reason
