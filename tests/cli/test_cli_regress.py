"""`fobench regress` in a repository of its own: a slow-down is found, documentation passes, nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RULE = """\
import time
from dataclasses import dataclass
from typing import Any

import torch
from fobench.contracts import Prediction


@dataclass
class Spin:
    network: Any = ()

    def setup(self, task, generator, device):
        self.W1 = torch.zeros(2)

    def train_step(self, x, y):
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            pass

    def predict(self, x):
        return Prediction(x[:, :3])

    def state(self):
        return {"W1": self.W1}
"""
SUITE = """\
suite: spin
datasets: [digits]
learners: [{target: 'rules/spin.py:Spin', network: []}]
"""
COMMAND = ("regress", "suite.yaml", "--base", "main", "--burst", "0.02")


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def fobench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write_rule(seconds: float) -> None:
    Path("rules/spin.py").write_text(RULE.replace("SECONDS", str(seconds)))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "suite.yaml").write_text(SUITE)
    write_rule(1e-3)
    git("init", "--quiet", "--initial-branch", "main")
    git("add", "-A")
    git("commit", "--quiet", "-m", "before")
    git("checkout", "--quiet", "-b", "change")
    return tmp_path


def test_a_slower_step_fails_and_the_folder_of_the_base_is_gone(repository: Path) -> None:
    write_rule(4e-3)
    git("commit", "--quiet", "-am", "slower")
    done = fobench(*COMMAND, "--rounds", "3")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "SLOWER" in done.stdout
    assert "slower by more than 1%: Spin on digits, time" in done.stdout
    listed = subprocess.run(["git", "worktree", "list"], capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) == 1


def test_a_faster_step_and_a_change_that_no_step_runs_pass(repository: Path) -> None:
    write_rule(2e-4)
    faster = fobench(*COMMAND, "--rounds", "2")
    assert faster.returncode == 0, faster.stdout + faster.stderr
    assert "round 2 of 2" in faster.stdout
    assert "Spin on digits, time: 0." in faster.stdout

    git("checkout", "--quiet", "rules/spin.py")
    (repository / "README.md").write_text("words")
    git("add", "README.md")
    git("commit", "--quiet", "-m", "words")
    passed = fobench(*COMMAND)
    assert passed.returncode == 0
    assert "Spin on digits: not timed, nothing that its step runs has changed" in passed.stdout
    assert "there is nothing to time" in passed.stdout


def test_a_new_learner_is_not_timed_and_a_broken_one_is_an_error(repository: Path) -> None:
    Path("rules/new.py").write_text(RULE.replace("SECONDS", "1e-3"))
    (repository / "suite.yaml").write_text(SUITE.replace("spin.py", "new.py"))
    new = fobench(*COMMAND)
    assert new.returncode == 0, new.stderr
    assert "Spin on digits: not timed, not to be built before" in new.stdout
    Path("rules/new.py").write_text(RULE.replace("torch.zeros(2)", "torch.zeros(-2)"))
    broken = fobench(*COMMAND)
    assert broken.returncode == 2
    assert "Spin on digits cannot be built in the tree under test: RuntimeError" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_what_git_cannot_do_is_said(repository: Path) -> None:
    unknown = fobench("regress", "suite.yaml", "--base", "nowhere")
    assert unknown.returncode == 2
    assert "give --base a revision it knows" in unknown.stderr
