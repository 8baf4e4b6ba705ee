"""No change moves a count unseen: every learner's MACs, bytes and parameters are those of the baseline, to the unit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from exact_counts import BASELINE, counted

from fobench import plugins
from fobench.testing.nets import NETS

EXPECTED = json.loads(BASELINE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("rule", sorted(plugins.installed("learners")))
def test_counts_are_the_baselines(rule: str) -> None:
    found = {f"{rule} on {net}": counted(rule, net) for net in NETS}
    found = {name: counts for name, counts in found.items() if counts is not None}
    expected = {name: counts for name, counts in EXPECTED.items() if name.partition(" on ")[0] == rule}
    assert found == expected, (
        "counts have moved: if they were meant to, run python tests/regressions/exact_counts.py and name the change under "
        "Measured in CHANGELOG.md"
    )


def test_the_baseline_has_no_rule_that_is_gone() -> None:
    assert {name.partition(" on ")[0] for name in EXPECTED} == set(plugins.installed("learners"))
