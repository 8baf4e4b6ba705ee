"""State tracers in a whole cell: when they look, what it costs the rest, and who is absent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from toys import FAST, toy_cell

from fobench.contracts import Cell, Part, Recipe, Reference, Status
from fobench.harness.launcher import launch

STATE = ("alignment", "weights", "goodness")


def life(make_job, tmp_path: Path, tracers: tuple[str, ...], part: Part = Part.MEASURE):
    learner = Reference("dfa", {"network": [6]})
    dataset = toy_cell().dataset
    cell = Cell(learner, dataset, Recipe(epochs=2, batch_size=10), replace(FAST, tracers=tracers), 0)
    entry = launch(make_job(cell, part), tmp_path / "-".join(tracers))
    assert entry.status == Status.DONE, entry.reason
    return entry


def test_angles_follow_the_training_and_weights_stand_at_both_ends(make_job, tmp_path: Path) -> None:
    entry = life(make_job, tmp_path, STATE)
    angles = [row for row in entry.rows() if row["meter"] == "alignment"]
    scored = [row["epoch"] for row in entry.rows() if row["meter"] == "score" and row["phase"] == "train"]
    assert [row["epoch"] for row in angles] == [0.0, *scored]
    assert {(row["phase"], row["channel"], row["unit"]) for row in angles} == {("train", "B1", "deg")}
    assert all(row["window"] is None and row["samples"] == 0 for row in angles), "they are in no window"
    weights = [row for row in entry.rows() if row["meter"] == "weights"]
    assert {(row["phase"], row["epoch"]) for row in weights} == {("train", 0.0), ("infer", None)}
    assert entry.header.instruments["alignment"] == {"channels": ["B1"]}
    assert "layer_goodness" in entry.header.instruments["goodness"]["absent"]
    assert not [row for row in entry.rows() if row["meter"] == "goodness"]


def test_looking_changes_nothing_in_the_training(make_job, tmp_path: Path) -> None:
    def errors(tracers):
        rows = life(make_job, tmp_path, tracers).rows()
        return [row["value"] for row in rows if row["quantity"] == "error"]

    assert errors(STATE) == errors(())


def test_the_tracing_process_leaves_state_tracers_to_the_life(make_job, tmp_path: Path) -> None:
    entry = life(make_job, tmp_path, ("macs", *STATE), Part.TRACE)
    assert set(entry.header.instruments) == {"macs"}
    assert {row["meter"] for row in entry.rows()} == {"macs"}
