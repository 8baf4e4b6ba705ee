"""What the documentation shows works, and what it links to exists."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import torch
import typer

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


def test_every_learner_has_a_page_of_its_own_with_all_its_hyperparameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    page = importlib.import_module("learner_pages").page
    for name, point in plugins.installed("learners").items():
        text = page(name, *point.value.split(":"))
        assert text.startswith(f"# {name}\n")
        assert "**Departures**" in text, name
        assert "()` |" not in text, f"{name}: a default that the page cannot tell"
        own = [field.name for field in dataclasses.fields(point.load())] if "Those of" not in text else []
        assert [field for field in own if f"| `{field}` |" not in text] == [], name


def test_every_page_stands_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert [page.stem for page in PAGES[1:] if page.stem != "index" and f"\n{page.stem}\n" not in index] == []


def test_every_command_shown_exists() -> None:
    """Each `fobench VERB --option` of README and pages is one that the command line takes."""
    app = typer.main.get_command(importlib.import_module("fobench.cli.main").app)
    unknown = []
    for page in PAGES:
        text = page.read_text()
        blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
        shown = re.findall(r"^ {4}(fobench [^\n]*)", text, re.MULTILINE) + re.findall(r"`(fobench [^`]*)`", text)
        shown += re.findall(r"(fobench [^\n&]*)", blocks)
        unknown += [f"{page.name}: {line}" for line in shown if not _is_command(app, line)]
    assert unknown == []


def _is_command(app: click.Group, line: str) -> bool:
    words = re.sub(r"#.*|\|.*|&&.*|\[[^]]*\]", "", line).split()[1:]
    if not words or words[0].startswith("-"):
        return True
    command = app.commands.get(words[0].rstrip(",."))
    if command is None:
        return False
    groups = [command, *getattr(command, "commands", {}).values()]
    options = {
        name for found in groups for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    asked = {word.partition("=")[0].rstrip(",.;:)") for word in words[1:] if word.startswith("-") and len(word) > 1}
    return asked <= options | {"--help"}
