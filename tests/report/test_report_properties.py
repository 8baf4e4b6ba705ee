"""The properties of the rules: every built-in learner states them, and nothing is guessed for a stranger's."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_results import Synthetic

from fobench import plugins
from fobench.report.document import Table
from fobench.report.inputs import read
from fobench.report.sections.properties import NAMES, PropertiesError, properties, stated

BUILT_IN = sorted(name for name, point in plugins.installed("learners").items() if point.value.startswith("fobench."))


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_learner_states_the_four_properties(name: str) -> None:
    found, _ = stated(name)
    assert tuple(found) == NAMES
    assert all(found.values())


def test_what_some_rules_are_known_for() -> None:
    assert stated("bp")[0]["weight transport"] == "yes"
    assert stated("pepita")[0]["weight transport"] == "none"
    assert stated("drtp")[0]["update locking"].startswith("none")
    found, remark = stated("lightbp")
    assert found == stated("bp")[0]
    assert remark.startswith("those of `bp`, which trains the net")


def file_with(folder: Path, text: str) -> str:
    path = folder / "rule.py"
    path.write_text(f'"""A rule.\n\n{text}\n\nMore; words.\n"""\n')
    return f"{path}:Rule"


@pytest.mark.parametrize(
    "text",
    [
        "No such paragraph.",
        "Properties: weight transport none; locality none; update locking none",
        "Properties: locality none; weight transport none; update locking none; frozen activity: all",
    ],
)
def test_other_paragraphs_are_refused_with_what_is_expected(text: str, tmp_path: Path) -> None:
    with pytest.raises(
        PropertiesError, match=r"four clauses .* weight transport, locality, update locking, frozen activity"
    ):
        stated(file_with(tmp_path, text))


def test_clauses_may_run_over_lines(tmp_path: Path) -> None:
    text = "Properties: weight transport: of\nsigns; locality none; update locking none (at\nall); frozen activity: all H_l."
    assert stated(file_with(tmp_path, text))[0] == {
        "weight transport": "of signs", "locality": "none", "update locking": "none (at all)", "frozen activity": "all H_l",
    }  # fmt: skip


def test_the_table_has_a_row_for_a_learner_that_is_not_here(tmp_path: Path) -> None:
    (_, _, table) = properties(read(Synthetic(labels=("bp", "strangers-rule"), datasets=("digits",)).write(tmp_path)))
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["bp", "strangers-rule"]
    assert table.rows[0][1] == "yes"
    assert table.rows[1][1:] == ("not stated",) * 4
