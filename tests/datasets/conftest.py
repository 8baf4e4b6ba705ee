import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The folder of the real data sets."""
    if "FOBENCH_DATA" not in os.environ:
        pytest.skip("FOBENCH_DATA is not set")
    return Path(os.environ["FOBENCH_DATA"])
