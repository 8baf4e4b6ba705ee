"""Products by pass and role, against the counts that the synthetic results are made of."""

from __future__ import annotations

import pytest
from synthetic_results import Synthetic

from fobench.report.document import Figure, Note, Table
from fobench.report.inputs import read
from fobench.report.sections.passes import passes


def test_roles_are_means_over_stages_per_sample(tmp_path) -> None:
    synthetic = Synthetic(labels=("bp", "ff"), datasets=("digits",), stages=2)
    roles, methods = (block for block in passes(read(synthetic.write(tmp_path))) if isinstance(block, Table))
    assert [column.header for column in roles.columns[2:]] == ["Forward [k MAC]", "Weight update [k MAC]"]
    for label, row in zip(("bp", "ff"), roles.rows, strict=True):
        total = sum(synthetic.macs(label, "digits", stage) for stage in (0, 1)) / 2
        assert row[2].number + row[3].number == pytest.approx(total / 1000)
        assert row[2].number == pytest.approx(row[3].number)
    assert methods.rows == (("bp", "train_step: forward, weight update"), ("ff", "train_step: forward, weight update"))


def test_a_role_that_a_learner_lacks_is_absent_not_zero(tmp_path) -> None:
    folder = Synthetic(labels=("bp", "ff"), datasets=("digits",)).write(tmp_path)
    for path in folder.rglob("bp--*trace*"):
        path.write_text(path.read_text().replace("train_step/weight_update", "train_step/projection"))
    roles = next(block for block in passes(read(folder)) if isinstance(block, Table))
    assert [column.header.partition(" [")[0] for column in roles.columns[2:]] == [
        "Forward",
        "Weight update",
        "Projection",
    ]
    assert [row[1:2] + tuple(cell == "–" for cell in row[2:]) for row in roles.rows] == [
        ("bp", False, True, False), ("ff", False, False, True),
    ]  # fmt: skip


def test_many_learners_and_data_sets_stay_figures_of_a_page(tmp_path) -> None:
    synthetic = Synthetic(
        labels=tuple(f"l{n}" for n in range(40)), datasets=("a", "b", "c", "d"), seeds=(0,), windows=1
    )
    figures = [block for block in passes(read(synthetic.write(tmp_path))) if isinstance(block, Figure)]
    assert [figure.name for figure in figures] == ["macs-passes", "macs-passes-1"]


def test_without_the_tracer_there_are_none(tmp_path) -> None:
    folder = Synthetic(labels=("bp",), datasets=("digits",)).write(tmp_path)
    for path in folder.rglob("*trace*"):
        path.unlink()
    assert [type(block) for block in passes(read(folder))[1:]] == [Note]
