"""A newcomer takes a suite's data, recipes and seeds, beside the learners that are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fobench.contracts import Cell, Suite
from fobench.suite import load_suite
from fobench.suite.newcomer import NewcomerError, beside

SUITE = """\
suite: pair
blocks: 3
seed: 7
recipe: {epochs: 2}
datasets: [digits, {target: digits, label: again}]
learners:
  - {target: bp, label: BP, network: [9]}
  - {target: bp, label: wide BP, network: [99], recipe: {epochs: 5}}
  - {target: fa, label: FA, network: [9], only: [again]}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = tmp_path / "pair.yaml"
    path.write_text(SUITE)
    return load_suite(path)


def of(made: Suite, label: str) -> list[Cell]:
    return [cell for cell in made.cells if cell.label == label]


def test_every_block_has_the_newcomer_once_and_the_learners_against_it(suite: Suite) -> None:
    made = beside(suite, "new.py:New", {"eta": 2}, ["BP"])
    assert made.name == "pair-New"
    assert made.newcomer is not None
    assert (made.newcomer.label, made.newcomer.against, made.newcomer.suite) == ("New", ("BP",), "pair")
    places = [(cell.seed, cell.dataset.name) for cell in of(made, "New")]
    assert sorted(places) == [(seed, name) for seed in (7, 8, 9) for name in ("again", "digits")]
    assert {cell.id for cell in of(made, "BP")} == {cell.id for cell in of(suite, "BP")}, (
        "the baseline's cells are the suite's own"
    )
    assert len(made.cells) == 12


def test_network_recipe_and_plan_are_the_baselines(suite: Suite) -> None:
    narrow, wide = (of(beside(suite, "new.py:New", {}, [label]), "New")[0] for label in ("BP", "wide BP"))
    assert [record["units"] for record in narrow.learner.arguments["network"]] == [9]
    assert [record["units"] for record in wide.learner.arguments["network"]] == [99]
    assert (narrow.recipe.epochs, wide.recipe.epochs) == (2, 5)
    assert narrow.plan == suite.cells[0].plan
    given = of(beside(suite, "new.py:New", {"network": [5], "eta": 2}, []), "New")[0].learner.arguments
    assert [record["units"] for record in given["network"]] == [5]
    assert given["eta"] == 2


def test_against_takes_labels_before_plug_ins_and_stays_where_they_run(suite: Suite) -> None:
    both = beside(suite, "new.py:New", {}, ["bp"])
    assert both.newcomer is not None
    assert both.newcomer.against == ("BP", "wide BP")
    assert {cell.dataset.name for cell in beside(suite, "new.py:New", {}, ["FA"]).cells} == {"again"}


def test_the_order_within_a_block_is_drawn_by_its_seed(suite: Suite) -> None:
    first, second = (beside(suite, "new.py:New", {}, ["bp"]).cells for _ in range(2))
    assert first == second
    orders = {tuple(cell.label for cell in first[start : start + 3]) for start in range(0, len(first), 3)}
    assert len(orders) > 1


@pytest.mark.parametrize(
    ("target", "against", "said"),
    [
        ("new.py:New", ["bpp"], "pair has no learner 'bpp' to stand against; did you mean 'bp'?"),
        ("new.py:BP", ["BP"], "rename its class"),
    ],
)
def test_what_cannot_stand_beside_is_refused(suite: Suite, target: str, against: list[str], said: str) -> None:
    with pytest.raises(NewcomerError, match=said.replace("?", r"\?")):
        beside(suite, target, {}, against)
