from __future__ import annotations

import json
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


def test_two_machines_have_a_part_each_unless_one_is_chosen(folder):
    Synthetic(labels=("bp",), datasets=("digits",), machine="beta").write(folder / "results")
    page = folder / "reports/synthetic/report.md"
    parts = ["## Part 1: alpha", "## Part 2: beta"]
    assert fobench("report", "synthetic", "--format", "md", folder=folder).returncode == 0
    assert [line for line in page.read_text().splitlines() if line.startswith("## Part")] == parts
    assert fobench("report", "synthetic", "--format", "md", "--machine", "beta", folder=folder).returncode == 0
    assert "## Part" not in page.read_text()


def test_a_diff_is_a_report_of_its_own_and_open_says_where_it_cannot(folder, monkeypatch):
    Synthetic(labels=("bp", "ff"), datasets=("digits",), windows=4).write(folder / "older")
    monkeypatch.setenv("BROWSER", "/bin/false")
    monkeypatch.delenv("DISPLAY", raising=False)
    done = fobench("report", "synthetic", "--diff", "older/synthetic", "--format", "md,pdf", "--open", folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        "reports/synthetic-changes/report.md",
        "reports/synthetic-changes/report.pdf",
    ]
    assert "nothing here can show reports/synthetic-changes/report.pdf" in done.stdout
    text = (folder / "reports/synthetic-changes/report.md").read_text()
    assert "| Row | Column | Before | After | Change [%] |" in text


def test_open_shows_the_pdf(folder, monkeypatch):
    viewer = folder / "viewer"
    viewer.write_text('#!/bin/sh\necho "$1" > shown\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{viewer} %s")
    done = fobench("report", "synthetic", "--open", folder=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "shown").read_text().strip() == (folder / "reports/synthetic/report.pdf").as_uri()


@pytest.mark.parametrize(
    "name", ["samples", "notes", "instruments", "versions", "machine", "network", "parameters", "cell"]
)
@pytest.mark.parametrize("value", ["7", "[1]", "null", "{}", '"text"'])
def test_a_header_of_the_wrong_type_is_left_out_and_named(name, value, folder):
    from fobench.report.build import document
    from fobench.report.inputs import read

    path = sorted((folder / "results").rglob("bp*--s0--*.jsonl"))[0]
    first, rest = path.read_text().split("\n", 1)
    header = {**json.loads(first), name: json.loads(value)}
    path.write_text(json.dumps(header) + "\n" + rest)
    report = read(folder / "results" / "synthetic", "alpha")
    if report.problems:
        assert path.name in report.problems[0]
    else:
        document(report)  # what is taken must do in every section
