"""One submitter per suite and results folder, as long as it lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fobench.cluster.submitter import submitting
from fobench.contracts import FobenchError

HOLD = """\
import sys, time
from pathlib import Path
from fobench.cluster.submitter import submitting
with submitting(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_submitter_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "rack"
    with submitting(folder), pytest.raises(FobenchError) as refused, submitting(folder):
        pass
    assert str(refused.value) == (
        f"another `fobench run --cluster` collects results in {folder}; wait for it, or stop it"
    )
    with submitting(folder):
        pass


def test_other_suites_go_on(tmp_path: Path) -> None:
    with submitting(tmp_path / "one"), submitting(tmp_path / "two"):
        pass


def test_an_error_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trouble"), submitting(tmp_path):
        raise ValueError("trouble")
    with submitting(tmp_path):
        pass


def test_a_submitter_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(FobenchError, match="collects results"), submitting(tmp_path):
        pass
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    with submitting(tmp_path):
        pass
