"""What a SLURM partition must do for fobench: jobs that own their node, and a worker of dask.distributed inside one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from child_processes import lives
from dask_jobqueue import SLURMCluster
from distributed import Client
from slurm_node import SlurmNode

pytestmark = pytest.mark.slurm


@pytest.fixture
def cluster(slurm: SlurmNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SLURMCluster]:
    """A scheduler in this process whose workers are exclusive jobs."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    with SLURMCluster(
        queue="main",
        cores=1,
        processes=1,
        memory="1GiB",
        nanny=False,
        python=sys.executable,
        interface="lo",
        local_directory=str(tmp_path / "scratch"),
        log_directory=str(tmp_path / "logs"),
        job_extra_directives=["--exclusive"],
        worker_extra_args=["--resources", "meter=1"],
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    ) as cluster:
        yield cluster


def test_an_exclusive_job_runs_and_has_all_processors(slurm: SlurmNode) -> None:
    job = slurm.submit("echo $SLURM_CPUS_ON_NODE", "--exclusive", "--ntasks=1")
    slurm.await_ends()
    assert slurm.output(job) == f"{os.cpu_count()}\n"


def test_exclusive_jobs_run_one_after_the_other(slurm: SlurmNode, tmp_path: Path) -> None:
    times = tmp_path / "times"
    for _ in range(2):
        slurm.submit(f"date +%s.%N >> {times}; sleep 0.5; date +%s.%N >> {times}", "--exclusive")
    slurm.await_ends()
    begin, end, next_begin, next_end = map(float, times.read_text().split())
    assert begin < end < next_begin < next_end


def test_a_worker_has_a_job_of_its_own_which_ends_with_it(slurm: SlurmNode, cluster: SLURMCluster) -> None:
    cluster.scale(jobs=1)
    with Client(cluster) as client:
        job, worker = _whereabouts(client)
        assert slurm.queue() == {job: "RUNNING"}
        assert worker != os.getpid()
        client.retire_workers()
        slurm.await_ends()
    assert not lives(worker)


def test_a_second_worker_waits_for_the_node(slurm: SlurmNode, cluster: SLURMCluster) -> None:
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        assert sorted(slurm.queue().values()) == ["PENDING", "RUNNING"]


def test_a_lost_worker_is_replaced_by_a_new_job(slurm: SlurmNode, cluster: SLURMCluster) -> None:
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}), Client(cluster) as client:
        cluster.adapt(minimum_jobs=1, maximum_jobs=1)
        job, worker = _whereabouts(client)
        os.kill(worker, signal.SIGKILL)
        next_job, next_worker = _whereabouts(client)
        assert int(next_job) > int(job)
        assert next_worker != worker


def _whereabouts(client: Client) -> tuple[str, int]:
    """Return the job and the process in which a task runs."""

    def job_and_process() -> tuple[str, int]:
        return os.environ["SLURM_JOB_ID"], os.getpid()

    return client.submit(job_and_process, resources={"meter": 1}, pure=False).result(timeout=60)
