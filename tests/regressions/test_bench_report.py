"""The time of a report from 1,000 cells of 330 rows, without an assertion on it; `report_speed.py` has 10,000."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from report_speed import THOUSAND

from fobench.report.build import build


def test_report_of_a_thousand_cells(benchmark, tmp_path: Path) -> None:
    folder = THOUSAND.write(tmp_path / "results")
    paths = benchmark.pedantic(build, args=(folder, tmp_path / "reports"), rounds=1)
    assert len(paths) == 2
