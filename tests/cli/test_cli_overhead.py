"""`fobench overhead` as a user sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOYS = Path(__file__).parents[1] / "harness" / "toys.py"
SUITE = """\
suite: toys
blocks: 1
recipe: {epochs: 6, batch_size: 10}
plan: {meters: [clock, {target: 'toys.py:Joules', label: joules}], tracers: [macs], guards: [], window_s: 0.05}
datasets: [{target: 'toys.py:Blobs', label: blobs}]
learners:
  - {target: 'toys.py:Toy', label: toy, network: [], step_s: 0.01}
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toys.py").write_bytes(TOYS.read_bytes())
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path


def overhead(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", "overhead", "suite.yaml"]
    return subprocess.run([*command, "--data", "data", *arguments], capture_output=True, text=True, check=False)


def test_it_prints_every_pair_the_difference_and_a_verdict_and_leaves_nothing(suite: Path) -> None:
    shown = overhead("--pairs", "2", "--label", "toy")
    assert shown.returncode == 0, shown.stderr
    assert "toy on blobs, 2 pairs:" in shown.stdout
    assert len(re.findall(r"all meters [\d.e+]+ µs, clock alone [\d.e+]+ µs a sample", shown.stdout)) == 2
    assert re.search(r"the instruments cost [+-][\d.]+% of the time per sample, ±[\d.]+% \(95 %\): \w+", shown.stdout)
    left = {path.name for path in suite.iterdir()} - {"__pycache__"}
    assert left == {"lock", "suite.yaml", "toys.py"}


def test_an_unknown_label_is_one_sentence(suite: Path) -> None:
    shown = overhead("--label", "toi")
    assert shown.returncode == 2
    assert "toys has no learner 'toi'; did you mean 'toy'?" in shown.stderr
    assert "Traceback" not in shown.stderr
