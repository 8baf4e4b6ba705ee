"""`fobench run --cluster` with a `slurm` section, on a real SLURM of one node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_node import SlurmNode

from fobench.cluster import security

pytestmark = pytest.mark.slurm

SUITE = """\
suite: small
blocks: 1
seed: 0
recipe: {epochs: 1, batch_size: 100, threads: 1}
plan: {meters: [clock], tracers: [macs], window_s: 0.1, idle_s: 0.1, timeout_s: 60}
datasets: [digits]
learners:
  - {target: drtp, label: DRTP, network: [16], optimizer: {name: adam, eta: 5e-3}}
"""

CLUSTER = """\
slurm:
  jobs: 1
  queue: main
  cores: 1
  memory: 1GiB
  interface: lo
  local_directory: scratch
  log_directory: logs
tls: {tls}
"""


def test_a_run_in_a_job_does_what_a_local_run_would_do(slurm: SlurmNode, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "cluster.yaml").write_text(CLUSTER.format(tls=security.make(tmp_path / "tls").folder))
    printed = fobench(tmp_path, slurm, "run", "suite.yaml", "--cluster", "cluster.yaml")
    assert "finished: 1 done" in printed
    slurm.await_ends()
    (machine,) = (path for path in (tmp_path / "results" / "small").iterdir() if path.is_dir())
    printed = fobench(tmp_path, slurm, "run", "suite.yaml", "--machine", machine.name)
    assert "1 done, 0 pending" in printed


def fobench(folder: Path, slurm: SlurmNode, *arguments: str) -> str:
    """Run the command line in a folder, and return what it printed."""
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", *arguments]
    environment = os.environ | slurm.environment | {"FOBENCH_LOCK": str(folder / "lock")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
