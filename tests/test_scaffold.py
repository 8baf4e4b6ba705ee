"""The tutorial shows the learner that `fobench new learner` writes, to the letter."""

from __future__ import annotations

import re
from pathlib import Path

from fobench.scaffold import new_learner

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial-new-rule.md"


def test_the_tutorials_code_is_the_scaffolds(tmp_path: Path) -> None:
    shown = re.search(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    made = {path.name: path.read_text() for path in new_learner("pattern", tmp_path)}
    assert shown is not None
    assert made["pattern.py"] == shown[1]
    assert set(made) == {"pattern.py", "test_pattern.py", "pattern.yaml", "pyproject.toml", "README.md"}


def test_the_rule_takes_less_than_sixty_lines(tmp_path: Path) -> None:
    code = new_learner("pattern", tmp_path)[0].read_text().split('"""\n', 2)[2]
    assert sum(bool(line.strip()) for line in code.splitlines()) < 60
