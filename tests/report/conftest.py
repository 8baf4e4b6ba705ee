from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_results import Synthetic

from fobench.report.inputs import ReportInput, read


@pytest.fixture
def synthetic() -> Synthetic:
    return Synthetic()


@pytest.fixture
def report(synthetic: Synthetic, tmp_path: Path) -> ReportInput:
    return read(synthetic.write(tmp_path))
