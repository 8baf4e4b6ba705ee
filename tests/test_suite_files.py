"""The suites that come with fobench: they load, and hold what they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fobench.contracts import Cell, Suite
from fobench.suite import load_suite

SUITES = Path(__file__).parent.parent / "suites"
FILES = sorted(SUITES.rglob("*.yaml"))
RULES = {"bp", "bp-autograd", "drtp", "pepita", "ff", "biofo"}


def widths(cell: Cell) -> list[int]:
    return [record["units"] for record in cell.learner.arguments["network"]]


def of(suite: Suite, learner: str, dataset: str) -> Cell:
    return next(cell for cell in suite.cells if (cell.learner.target, cell.dataset.target) == (learner, dataset))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SUITES)))
def test_every_suite_loads_and_says_what_it_is_for(file: Path) -> None:
    suite = load_suite(file)
    assert suite.name == "-".join(file.relative_to(SUITES).with_suffix("").parts)
    assert suite.description
    assert file.read_text().startswith("#")
    assert len({cell.id for cell in suite.cells}) == len(suite.cells)


def test_the_suites_of_the_readme_are_there() -> None:
    names = {str(file.relative_to(SUITES)) for file in FILES}
    assert names >= {"quickstart.yaml", "wearables.yaml", "wearables-equal.yaml", "paper/wearables.yaml"}


def test_quickstart_runs_every_rule_on_digits_in_two_blocks() -> None:
    suite = load_suite(SUITES / "quickstart.yaml")
    assert len(suite.cells) == 12
    assert {cell.learner.target for cell in suite.cells} == RULES
    assert {cell.dataset.target for cell in suite.cells} == {"digits"}


def test_the_energy_table_is_sampled_from_the_published_budgets_with_an_a_a_arm() -> None:
    suite = load_suite(SUITES / "paper/biofo-energy.yaml")
    assert {cell.plan.training for cell in suite.cells} == {"sampled"}
    assert {(cell.recipe.epochs, cell.recipe.batch_size, cell.recipe.train_samples) for cell in suite.cells} == {
        (100, 100, None)
    }
    published = load_suite(SUITES / "paper/wearables.yaml")
    for dataset in ("mit-bih", "chb-mit"):
        for learner in ("bp", "drtp", "pepita", "ff", "biofo"):
            assert widths(of(suite, learner, dataset)) == widths(of(published, learner, dataset))
    assert widths(of(suite, "pepita", "mnist")) == [1024, 1024]
    assert {cell.label for cell in suite.cells if cell.learner.target == "bp"} == {"BP", "BP again"}


@pytest.mark.parametrize("name", ["wearables.yaml", "paper/wearables.yaml"])
def test_published_networks_and_settings(name: str) -> None:
    """Expected: learning_rules 1, 6, 7, 13, 17 and the matrix of 20c."""
    suite = load_suite(SUITES / name)
    assert len(suite.cells) == 3 * 2 * 6
    for learner in ("bp", "bp-autograd", "ff", "biofo"):
        assert widths(of(suite, learner, "mit-bih")) == [2000] * 4
    assert widths(of(suite, "drtp", "chb-mit")) == [1000] * 4
    assert widths(of(suite, "pepita", "chb-mit")) == [1024] * 3
    rates = {
        dataset: [
            of(suite, rule, dataset).learner.arguments["optimizer"]["eta"]
            for rule in ("bp", "drtp", "pepita", "ff", "biofo")
        ]
        for dataset in ("mit-bih", "chb-mit")
    }
    assert rates == {"mit-bih": [1e-4, 1e-4, 1e-4, 1e-3, 1e-4], "chb-mit": [1e-4, 1e-4, 1e-2, 1e-3, 1e-4]}
    assert [of(suite, "biofo", dataset).learner.arguments["feedback"] for dataset in ("mit-bih", "chb-mit")] == [
        "gaussian",
        "ternary",
    ]
    assert "max" in of(suite, "ff", "chb-mit").learner.arguments.values()
    assert "max" not in of(suite, "ff", "mit-bih").learner.arguments.values()
    assert of(suite, "bp", "mit-bih").dataset.arguments["crop"] == 169
    assert {cell.recipe.batch_size for cell in suite.cells} == {100}


def test_budgets() -> None:
    short, long = load_suite(SUITES / "wearables.yaml"), load_suite(SUITES / "paper/wearables.yaml")
    assert {
        (c.recipe.epochs, c.recipe.train_samples, c.recipe.score_samples, c.recipe.threads) for c in short.cells
    } == {(1, 20_000, 5_000, 2)}
    assert {(c.recipe.epochs, c.recipe.train_samples) for c in long.cells} == {(100, None)}


def test_equal_means_one_network_and_the_same_budget() -> None:
    equal, recipes = load_suite(SUITES / "wearables-equal.yaml"), load_suite(SUITES / "wearables.yaml")
    assert {tuple(widths(cell)) for cell in equal.cells} == {(2000,) * 4}
    assert {cell.learner.target for cell in equal.cells} == RULES
    assert {str(cell.recipe) for cell in equal.cells} == {str(cell.recipe) for cell in recipes.cells}


def test_the_example_of_the_documentation_is_valid(tmp_path: Path) -> None:
    text = (SUITES.parent / "docs" / "suites.md").read_text()
    (tmp_path / "s.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    (tmp_path / "my_rules").mkdir()
    (tmp_path / "my_rules/shy.py").write_text("class Shy: ...\n")
    suite = load_suite(tmp_path / "s.yaml")
    assert len(suite.cells) == 3 * 2 * 2
    defaults = {(cell.label, cell.dataset.name): cell for cell in suite.cells}
    assert defaults["Shy", "mit-bih-inter"].recipe.batch_size == 50
    assert widths(defaults["Shy", "mit-bih-inter"]) == [32]
