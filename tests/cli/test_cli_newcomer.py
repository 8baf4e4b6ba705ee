"""A new learner as its author meets it: scaffold, check, run beside a baseline, verdict."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOYS = ROOT / "tests" / "harness" / "toys.py"
SUITE = """\
suite: toys
blocks: 2
recipe: {epochs: 1, batch_size: 10, score_samples: 50}
plan: {meters: [clock], tracers: [macs], guards: [], window_s: 0.05, idle_s: 0.05, timeout_s: 60}
datasets: [{target: 'toys.py:Blobs', label: blobs}]
learners:
  - {target: 'toys.py:Toy', label: toy, network: []}
  - {target: bp, label: BP, network: [8]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fobench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_scaffold_keeps_the_contract_passes_its_own_tests_and_its_suite_is_valid(folder: Path) -> None:
    made = fobench("new", "learner", "my-rule", "--into", "plugins")
    assert made.returncode == 0, made.stderr
    package = folder / "plugins" / "my-rule"
    for path in package.iterdir():
        assert f"wrote plugins/my-rule/{path.name}" in made.stdout
        assert "$" not in path.read_text(), f"a place of {path.name} was not filled"
    checked = fobench("check", "--learner", "plugins/my-rule/my_rule.py:MyRule")
    assert checked.returncode == 0, checked.stdout
    assert "my_rule.py:MyRule keeps the contract of a learner" in checked.stdout
    assert "dense: 13 of 14 checks passed" in checked.stdout
    assert fobench("check", "plugins/my-rule/my-rule.yaml").returncode == 0
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=package,
        capture_output=True,
        text=True,
    )
    assert "2 passed" in tests.stdout, tests.stdout
    ruff = shutil.which("ruff")
    for command in (["check", "--line-length", "120"], ["format", "--check", "--line-length", "120"]):
        if ruff:
            styled = subprocess.run([ruff, *command, "--isolated", "."], cwd=package, capture_output=True, text=True)
            assert styled.returncode == 0, styled.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My_Rule", "'My_Rule' cannot name a learner; expected small letters, digits and dashes, as in my-rule"),
        ("bp", "a learner 'bp' is installed already"),
        ("json", "a Python module 'json' is there already"),
        ("class", "'class' cannot name a learner"),
        ("taken", "taken exists already; choose another name, or another folder with --into"),
    ],
)
def test_a_bad_name_is_refused_in_one_sentence(folder: Path, name: str, said: str) -> None:
    (folder / "taken").mkdir()
    refused = fobench("new", "learner", name)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert not any(folder.rglob("*.py"))


def test_a_broken_learner_is_told_what_it_breaks(folder: Path) -> None:
    (folder / "toys.py").write_bytes(TOYS.read_bytes())
    (folder / "bad.py").write_text(
        "from dataclasses import dataclass\nfrom toys import Toy\n\n\n@dataclass\nclass Bad(Toy):\n"
        "    def train_step(self, x, y):\n        x.zero_()\n"
    )
    checked = fobench("check", "--learner", "bad.py:Bad")
    assert checked.returncode in (1, 2)
    assert "Traceback" not in checked.stderr
    assert "train_step writes into its inputs; copy what is to be changed" in checked.stdout + checked.stderr


def test_a_newcomer_is_measured_beside_the_baseline_and_the_others_stand_apart(folder: Path) -> None:
    (folder / "toys.py").write_bytes(TOYS.read_bytes())
    (folder / "suite.yaml").write_text(SUITE)
    here = ("--machine", "here", "--data", "data")
    assert fobench("run", "suite.yaml", *here).returncode == 0
    assert fobench("new", "learner", "my-rule").returncode == 0
    arguments = ("run", "suite.yaml", *here, "--learner", "my-rule/my_rule.py:MyRule", "--against", "BP", "--report")
    run = fobench(*arguments, "--set", "eta=0.5")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "toys-MyRule on here: 0 done, 4 pending" in run.stdout
    report = (folder / "reports/toys-MyRule/report.md").read_text()
    assert "**MyRule (new)**" in report
    assert "| BP (other run) |" in report
    assert "| toy (other run) |" in report
    verdict = report[report.index("## The newcomer: MyRule") :]
    assert "MyRule against BP on blobs°: time " in verdict
    assert "MACs " in verdict
    assert "against toy" not in verdict
    times = report[report.index("**Time per training") :].partition("**Time per predicted")[0]
    assert "toy (other run)" in times
    assert "other run = measured at another time" in times

    again = fobench(*arguments, "--set", "eta=0.5")
    assert "4 done, 0 pending" in again.stdout, "a newcomer's run resumes like any other"


def test_options_of_a_newcomer_without_one_and_a_missing_file_are_refused(folder: Path) -> None:
    (folder / "toys.py").write_bytes(TOYS.read_bytes())
    (folder / "suite.yaml").write_text(SUITE)
    assert "name it with --learner FILE.py:CLASS" in fobench("run", "suite.yaml", "--against", "BP").stderr
    assert "no file 'none.py'" in fobench("run", "suite.yaml", "--learner", "none.py:X").stderr
    assert (
        "--set is 'eta'; expected NAME=VALUE" in fobench("run", "suite.yaml", "--learner", "bp", "--set", "eta").stderr
    )
    assert "nothing to check" in fobench("check").stderr
