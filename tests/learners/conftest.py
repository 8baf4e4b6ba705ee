import sys
from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "reference"), str(TESTS / "regressions"), str(TESTS / "learners")]


@pytest.fixture(autouse=True)
def float64():
    """Exact comparisons need double precision; learners allocate in torch's default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
