"""The time of a report from 1,000 cells of 300 rows and more, without an assertion on it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from synthetic_results import Synthetic

from fobench.report.build import build

LEARNERS = tuple(f"learner-{number}" for number in range(20))
DATASETS = tuple(f"data-{number}" for number in range(5))


def test_report_of_a_thousand_cells(benchmark, tmp_path: Path) -> None:
    synthetic = Synthetic(labels=LEARNERS, datasets=DATASETS, seeds=range(10), windows=20)
    folder = synthetic.write(tmp_path / "results")
    paths = benchmark.pedantic(build, args=(folder, tmp_path / "reports"), rounds=1)
    assert len(paths) == 2
