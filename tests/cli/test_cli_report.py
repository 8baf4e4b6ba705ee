from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from synthetic_results import Synthetic


def fobench(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Synthetic(labels=("bp", "ff"), datasets=("digits",)).write(tmp_path / "results")
    (tmp_path / "any.yaml").write_text("# a suite\nsuite: synthetic\nlearners: []\n")
    return tmp_path


@pytest.mark.parametrize("target", ["synthetic", "any.yaml", "results/synthetic", "results/synthetic/alpha"])
def test_a_report_is_found_by_name_file_or_folder(target, folder):
    done = fobench("report", target, "--format", "md", folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "reports/synthetic/report.md"
    assert (folder / "reports/synthetic/figures/energy.png").is_file()


def test_both_formats_are_written_by_default(folder):
    done = fobench("report", "synthetic", "--output", "out", folder=folder)
    assert done.stdout.split() == ["out/synthetic/report.md", "out/synthetic/report.pdf"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no results for 'nowhere' in results; there are results of: synthetic"),
        (["none.yaml"], "no suite file 'none.yaml'"),
        (["synthetic", "--format", "docx"], "unknown format docx; expected some of md, pdf, html, latex, csv"),
        (["synthetic", "--machine", "beta"], "no results of machine 'beta'"),
    ],
)
def test_bad_input_is_one_sentence(arguments, said, folder):
    done = fobench("report", *arguments, folder=folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_results_of_two_machines_need_a_choice(folder):
    Synthetic(labels=("bp",), datasets=("digits",), machine="beta").write(folder / "results")
    refused = fobench("report", "synthetic", "--format", "md", folder=folder)
    assert "2 machines: alpha, beta" in refused.stderr
    assert fobench("report", "synthetic", "--format", "md", "--machine", "beta", folder=folder).returncode == 0
