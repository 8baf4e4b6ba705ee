from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from synthetic_results import Synthetic

from fobench.cli.main import app
from fobench.contracts import CELL_COLUMNS, ROW_COLUMNS, FobenchError
from fobench.store import ResultStore


@pytest.fixture
def results(tmp_path: Path) -> Path:
    Synthetic(labels=("bp",), datasets=("digits",)).write(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("kind", "reader"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_an_export_holds_every_row_and_column(kind, reader, results):
    target = results / "out" / f"rows.{kind}"
    done = CliRunner().invoke(app, ["export", "synthetic", "--results", str(results), "--output", str(target)])
    assert done.exit_code == 0, done.output
    rows = reader(target)
    frame = ResultStore(results / "synthetic").frame()
    assert list(rows.columns) == [*CELL_COLUMNS, *ROW_COLUMNS]
    assert len(rows) == len(frame) > 100
    assert rows.value.sum() == pytest.approx(frame.value.sum())
    assert f"{len(frame):,} rows" in done.output


def test_an_unknown_ending_is_refused_with_the_known_ones(results):
    arguments = ["export", "synthetic", "--results", str(results), "--output", str(results / "rows.xlsx")]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, FobenchError)
    assert "unknown export format 'xlsx'; expected one of csv, parquet" in str(done.exception)


def test_a_folder_without_results_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["export", "empty", "--results", str(tmp_path), "--output", str(tmp_path / "x.csv")])
    assert "no finished results" in str(done.exception)
