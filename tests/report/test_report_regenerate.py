"""The last page: every figure of a report has its file there, and the command that writes it works."""

from __future__ import annotations

import shlex

import pytest
from living_results import Living
from synthetic_results import Synthetic
from typer.testing import CliRunner

from fobench.cli.main import app
from fobench.report.build import document
from fobench.report.document import Figure, Heading, Note, Table
from fobench.report.inputs import read


def test_every_figure_of_the_report_is_listed_in_order(tmp_path) -> None:
    made = document(read(Living(datasets=("digits",), seeds=(0,), epochs=2).write(tmp_path)))
    *_, heading, _, command, table = made.blocks
    assert isinstance(heading, Heading)
    assert command == Note("fobench report synthetic --format md")
    assert isinstance(table, Table)
    names = [block.name for block in made.blocks if isinstance(block, Figure)]
    assert [row[1] for row in table.rows] == [f"figures/{name}.png" for name in names]
    assert len(set(names)) == len(names), "no figure overwrites another"


@pytest.mark.parametrize("options", [[], ["--baseline", "ff", "--country", "FRA"], ["--margin", "0.1", "--mixed"]])
def test_the_command_of_a_report_writes_the_same_figures(options, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Synthetic(labels=("bp", "ff"), datasets=("digits",), seeds=(0, 1)).write(tmp_path / "results")
    first = CliRunner().invoke(app, ["report", "synthetic", "--output", "a", "--format", "md", *options])
    assert first.exit_code == 0, first.output
    text = (tmp_path / "a/synthetic/report.md").read_text()
    (line,) = (line for line in text.splitlines() if "fobench report" in line)
    words = shlex.split(line.strip("> ").replace("\\", ""))
    assert words == ["fobench", "report", "synthetic", *options, "--format", "md"]
    again = CliRunner().invoke(app, [*words[1:], "--output", "b"])
    assert again.exit_code == 0, again.output
    for figure in (tmp_path / "a/synthetic/figures").iterdir():
        assert (tmp_path / "b/synthetic/figures" / figure.name).read_bytes() == figure.read_bytes()
