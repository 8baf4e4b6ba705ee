"""What needs no cluster needs no dask.distributed: planning and collecting work where it is not installed."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = ("dask", "distributed", "dask_jobqueue", "tornado", "asyncssh", "cryptography", "torch")


def imported(*modules: str) -> subprocess.CompletedProcess[str]:
    """Import modules in a process that lacks the blocked ones."""
    code = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED})); import {', '.join(modules)}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_planning_and_collecting_import_no_engine() -> None:
    files = ("collect", "delivery", "estimate", "placement", "shelves", "submitter")
    answer = imported(*(f"fobench.cluster.{name}" for name in files), "fobench.cli.main")
    assert answer.returncode == 0, answer.stderr


def test_the_engine_itself_does() -> None:
    """Or the test above would block nothing."""
    assert "import of dask halted" in imported("fobench.cluster.engine").stderr
