"""The time of a report, Markdown and PDF, from 10,000 cells of 66 rows or 1,000 of 330: `python report_speed.py`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from synthetic_results import Synthetic

from fobench.report.build import build


def results(learners: int, datasets: int, seeds: int, windows: int) -> Synthetic:
    """Return so many cells of synthetic results."""
    labels = tuple(f"learner-{number}" for number in range(learners))
    return Synthetic(labels, tuple(f"data-{number}" for number in range(datasets)), range(seeds), windows=windows)


THOUSAND = results(learners=20, datasets=5, seeds=10, windows=20)
TEN_THOUSAND = results(learners=40, datasets=5, seeds=50, windows=2)


if __name__ == "__main__":
    for name, synthetic in (("1,000 cells", THOUSAND), ("10,000 cells", TEN_THOUSAND)):
        with tempfile.TemporaryDirectory() as folder:
            made = synthetic.write(Path(folder) / "results")
            start, spent = time.perf_counter(), time.process_time()
            build(made, Path(folder) / "reports")
            wall, processor = time.perf_counter() - start, time.process_time() - spent
            sys.stdout.write(f"{name}: {wall:.1f} s, of which {processor:.1f} s of this process\n")
