"""What a SLURM partition must do for fobench: jobs that own their node, and a worker of dask.distributed inside one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from child_processes import lives
from dask_jobqueue import SLURMCluster
from distributed import Client
from slurm_node import SlurmError, SlurmNode, unavailable

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmNode]:
    """The one node of a SLURM that these tests share."""
    if reason := unavailable():
        pytest.skip(reason)
    node = SlurmNode(tmp_path_factory.mktemp("slurm"))
    try:
        node.__enter__()
    except SlurmError as error:
        pytest.skip(f"SLURM cannot start: {error}")
    with node:
        yield node


@pytest.fixture
def cluster(node: SlurmNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SLURMCluster]:
    """A scheduler in this process whose workers are exclusive jobs."""
    for name, value in node.environment.items():
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
        scheduler_options={"dashboard": False},
    ) as cluster:
        yield cluster


def test_an_exclusive_job_runs_and_has_all_processors(node: SlurmNode) -> None:
    job = node.submit("echo $SLURM_CPUS_ON_NODE", "--exclusive", "--ntasks=1")
    node.await_ends()
    assert node.output(job) == f"{os.cpu_count()}\n"


def test_exclusive_jobs_run_one_after_the_other(node: SlurmNode, tmp_path: Path) -> None:
    times = tmp_path / "times"
    for _ in range(2):
        node.submit(f"date +%s.%N >> {times}; sleep 0.5; date +%s.%N >> {times}", "--exclusive")
    node.await_ends()
    begin, end, next_begin, next_end = map(float, times.read_text().split())
    assert begin < end < next_begin < next_end


def test_a_worker_lives_in_a_job_of_its_own_while_the_cluster_is_open(node: SlurmNode, cluster: SLURMCluster) -> None:
    def job_and_process() -> tuple[str, int]:
        return os.environ["SLURM_JOB_ID"], os.getpid()

    cluster.scale(jobs=1)
    with Client(cluster) as client:
        job, worker = client.submit(job_and_process, resources={"meter": 1}).result(timeout=60)
        assert node.queue() == {job: "RUNNING"}
        assert worker != os.getpid()
        (facts,) = client.scheduler_info()["workers"].values()
        assert facts["resources"] == {"meter": 1.0}
    cluster.close()
    node.await_ends()
    assert not lives(worker)


def test_a_second_worker_waits_for_the_node(node: SlurmNode, cluster: SLURMCluster) -> None:
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        assert sorted(node.queue().values()) == ["PENDING", "RUNNING"]
