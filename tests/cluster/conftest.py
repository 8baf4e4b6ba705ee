from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from slurm_node import SlurmError, SlurmNode, unavailable


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmNode]:
    """A SLURM of one node."""
    if reason := unavailable():
        pytest.skip(reason)
    with ExitStack() as closing:
        try:
            node = closing.enter_context(SlurmNode(tmp_path_factory.mktemp("slurm")))
        except SlurmError as error:
            pytest.skip(f"SLURM cannot start: {error}")
        yield node
