"""What the documentation shows works, and what it links to exists."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fobench import plugins
from fobench.contracts import Origin, Reference, Task
from fobench.harness.data import batches
from fobench.harness.scores import score

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def code_of(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def test_the_learner_of_extending_md_learns(tmp_path: Path) -> None:
    (tmp_path / "delta.py").write_text(code_of("extending.md")[0])
    learner = plugins.create(Reference("delta.py:Delta", {"network": [], "eta": 0.5}), "learners", tmp_path)
    splits = plugins.create(Reference("digits"), "datasets").load(tmp_path)
    task = Task("classification", (1, 8, 8), 10)
    learner.setup(task, torch.Generator().manual_seed(0), "cpu")
    steps = batches(splits.train, 50, seed=0)
    for _ in range(300):
        learner.train_step(*next(steps))
    assert score(learner, task, splits.test, 100).value < 0.1
    assert splits.origin == Origin.REAL


def test_the_check_of_extending_md_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, check = code_of("extending.md")
    (tmp_path / "delta.py").write_text(learner)
    monkeypatch.syspath_prepend(tmp_path)
    found: dict[str, Callable[[], None]] = {}
    exec(check, found)
    found["test_delta_keeps_the_contract"]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_the_readme_names_every_verb() -> None:
    from fobench.cli.main import VERBS

    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in VERBS if f"fobench {verb}" not in readme] == []
