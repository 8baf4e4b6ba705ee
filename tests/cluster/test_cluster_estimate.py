"""How long cells will last, from those that are done."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured import SUITE, a_cell, leave

from fobench.cluster.estimate import seconds_of_cells
from fobench.contracts import Part, Status
from fobench.store import Entry, ResultStore, StoreError


def entries(results: Path) -> list[Entry]:
    return ResultStore(results, SUITE).entries()


def test_nothing_is_known_before_anything_was_measured(tmp_path: Path) -> None:
    assert seconds_of_cells([]) is None
    leave(tmp_path, "a", a_cell(), Part.TRACE)
    leave(tmp_path, "a", a_cell(), status=Status.FAILED, seconds=9.0)
    assert seconds_of_cells(entries(tmp_path)) is None, "traces and failed cells tell nothing"


def test_a_cell_lasts_as_long_as_its_other_seeds_did(tmp_path: Path) -> None:
    for seed, seconds in enumerate((2.0, 4.0, 6.0)):
        leave(tmp_path, "a", a_cell("quick", seed), seconds=seconds)
    leave(tmp_path, "b", a_cell("slow"), seconds=50.0)
    seconds = seconds_of_cells(entries(tmp_path))
    assert seconds is not None
    assert seconds(a_cell("quick", 7)) == (2 + 4 + 6) / 3
    assert seconds(a_cell("slow", 7)) == 50.0


def test_an_unknown_learner_lasts_as_long_as_the_known_ones_on_average(tmp_path: Path) -> None:
    """Each learner counts once, however many of its seeds are done."""
    for seed in range(3):
        leave(tmp_path, "a", a_cell("quick", seed), seconds=2.0)
    leave(tmp_path, "a", a_cell("slow"), seconds=6.0)
    seconds = seconds_of_cells(entries(tmp_path))
    assert seconds is not None
    assert seconds(a_cell("new")) == (2 + 6) / 2


def test_a_broken_row_is_an_error_with_the_name_of_its_file(tmp_path: Path) -> None:
    path = leave(tmp_path, "a", a_cell())
    head, _, foot = path.read_text().splitlines()
    path.write_text(f"{head}\nhalf a row\n{foot}\n")
    with pytest.raises(StoreError, match=f"{path.name} is not a whole result file"):
        seconds_of_cells(entries(tmp_path))
