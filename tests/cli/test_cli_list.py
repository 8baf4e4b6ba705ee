"""`fobench list`: names with their first sentences, suites, cells; nothing heavy is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fobench.plugins import installed

SUITE = """\
suite: small
description: two [cells]
blocks: 1
datasets: [digits]
learners:
  - {target: bp, label: "A [bold]", network: [7, 7, 3]}
  - {target: drtp, network: pepita-conv, recipe: {epochs: 4, train_samples: 50}}
"""


def fobench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", *arguments]
    wide = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=wide, check=False)


def test_everything_that_is_installed_is_listed_with_a_sentence(tmp_path: Path) -> None:
    answer = fobench("list", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    for group in ("learners", "datasets", "meters", "tracers"):
        for name in installed(group):
            assert any(line.split()[:1] == [name] for line in answer.stdout.splitlines()), name
    assert "pepita-conv" in answer.stdout
    words = " ".join(answer.stdout.split())
    assert "bp Backpropagation by hand" in words
    assert "STM32U575 Arm Cortex-M33" in words
    assert "suites in suites/ none" in words


def test_suites_of_the_folder_are_listed_valid_or_not(tmp_path: Path) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/good.yaml").write_text(SUITE)
    (tmp_path / "suites/bad.yaml").write_text(SUITE.replace("blocks: 1", "blocks: 0\nblock: 1"))
    words = " ".join(fobench("list", cwd=tmp_path).stdout.split())
    assert "suites/good.yaml 2 cells. two [cells]" in words
    assert "suites/bad.yaml suites/bad.yaml has 2 problems" in words


def test_cells_of_one_suite(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE)
    answer = fobench("list", "s.yaml", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "small: 2 cells. two [cells]" in answer.stdout
    rows = {tuple(line.split()[:-1]) for line in answer.stdout.splitlines() if "digits" in line}
    assert rows == {
        ("A", "[bold]", "bp", "7x2-3", "digits", "1", "all", "0"),
        ("drtp", "drtp", "conv-pool-flatten", "digits", "4", "50", "0"),
    }


def test_a_broken_suite_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE.replace("target: bp", "target: bpp"))
    answer = fobench("list", "s.yaml", cwd=tmp_path)
    assert answer.returncode == 2
    assert "s.yaml:6:14: unknown learner 'bpp'; did you mean 'bp'?" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("heavy", ["torch", "pandas", "numpy", "matplotlib", "codecarbon"])
def test_nothing_heavy_is_imported(tmp_path: Path, heavy: str) -> None:
    code = f"import sys\nfrom fobench.cli.list_verb import verb\nverb()\nsys.exit(int({heavy!r} in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False).returncode == 0
