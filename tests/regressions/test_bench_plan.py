"""The time of a dry run of 10,000 cells on 100 machines that are only imagined, from the suite file; no assertion on it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from fobench.cli.main import app

SUITE = "suite: many\nblocks: 1000\ndatasets: [digits]\nlearners:\n" + "".join(
    f"  - {{target: bp, label: bp-{number}, network: [{10 + number}]}}\n" for number in range(10)
)


def test_a_plan_of_ten_thousand_cells_on_a_hundred_machines(benchmark, tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(SUITE)
    arguments = ["run", str(file), "--results", str(tmp_path), "--dry-run", "--workers", "100", "--cell-seconds", "60"]
    answer = benchmark.pedantic(CliRunner().invoke, args=(app, arguments), rounds=1)
    *machines, last = answer.stdout.splitlines()
    assert {line.partition(": ")[2] for line in machines} == {"100 cells, 1.7 h"}
    assert len(machines) == 100
    assert last.startswith("10000 cells in 1.7 h, finished ")
