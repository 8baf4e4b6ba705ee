from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toys import toy_cell

from fobench.contracts import Cell, Part, Suite
from fobench.harness.job import Job
from fobench.harness.runner import Order

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tests measure nothing that matters: they need not wait for a real measurement on this host, nor disturb it."""
    path = tmp_path / "lock"
    monkeypatch.setenv("FOBENCH_LOCK", str(path))
    return path


@pytest.fixture
def make_job(tmp_path: Path):
    def make(cell: Cell | None = None, part: Part = Part.MEASURE, **changes) -> Job:
        job = Job(part, cell or toy_cell(), "test", "here", str(HERE), str(tmp_path / "data"))
        return replace(job, **changes)

    return make


@pytest.fixture
def make_order(tmp_path: Path):
    def make(*cells: Cell, **changes) -> Order:
        suite = Suite("test", cells, str(HERE))
        return replace(Order(suite, tmp_path / "results", "here", tmp_path / "data"), **changes)

    return make
