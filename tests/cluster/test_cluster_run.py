"""`fobench run --cluster` on two workers as two hosts: the same frame as a local run, whatever is killed on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from toy_cluster import FOBENCH, ToyCluster, fobench, toy_cluster

from fobench.contracts import Part
from fobench.store import ResultStore

KILLS = int(os.environ.get("FOBENCH_KILLS", "2"))
"""How many random kills the last test makes; 50 take about half an hour."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[ToyCluster]:
    environment = pytest.MonkeyPatch()
    environment.setenv("COLUMNS", "300")
    with toy_cluster(folder) as cluster:
        yield cluster
    environment.undo()


@pytest.fixture(scope="module")
def local(cluster: ToyCluster, folder: Path) -> pd.DataFrame:
    """The frame of a local run of the suite."""
    lock = pytest.MonkeyPatch()
    lock.setenv("FOBENCH_LOCK", str(folder / "lock-local"))
    done = fobench(folder, "run", "suite.yaml", "--machine", "here", "--results", "local")
    lock.undo()
    assert done.returncode == 0, done.stderr
    return ResultStore(folder / "local", "toys").frame()


def run(cluster: ToyCluster, results: str, *options: str) -> subprocess.CompletedProcess[str]:
    return fobench(cluster.folder, "run", "suite.yaml", "--cluster", cluster.address, "--results", results, *options)


def begun(cluster: ToyCluster, results: str) -> subprocess.Popen[str]:
    """Start a run and leave it alone."""
    command = [*FOBENCH, "run", "suite.yaml", "--cluster", cluster.address, "--results", results]
    return subprocess.Popen(
        command, cwd=cluster.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finished(cluster: ToyCluster, results: str) -> int:
    """Return how many measured cells have arrived."""
    return len([path for path in (cluster.folder / results).rglob("*.jsonl") if "--trace--" not in path.name])


def wait_for(cluster: ToyCluster, results: str, cells: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while finished(cluster, results) < cells:
        assert time.monotonic() < end and process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def assert_same(folder: Path, results: str, local: pd.DataFrame) -> None:
    """The same cells, once each, blocks on one machine, nothing half done, and exact rows equal to those of a local run."""
    store = ResultStore(folder / results, "toys")
    frame = store.frame()
    assert not store.problems
    assert not list((folder / results).rglob("*.partial"))
    files = [(entry.header.part, entry.header.id) for entry in store.entries()]
    assert len(files) == len(set(files)), "a file is there twice"
    assert {part for part, _ in files} == set(Part)
    assert set(frame.cell) == set(local.cell)
    machines = frame[frame.seed.notna()].groupby("seed", observed=True).machine.nunique()
    assert (machines == 1).all(), machines
    pd.testing.assert_frame_equal(exact(frame), exact(local))


def exact(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that no clock has touched, in an order of their own."""
    columns = ["cell", "label", "seed", "phase", "quantity", "channel", "value", "unit", "samples", "batch_size"]
    rows = frame[frame.provenance == "analytical"][columns].astype({"cell": str, "label": str, "channel": str})
    rows = rows.astype({"phase": str, "quantity": str, "unit": str})
    return rows.sort_values(columns).reset_index(drop=True)


def test_two_machines_measure_what_one_would_and_a_second_run_does_nothing(
    cluster: ToyCluster, folder: Path, local: pd.DataFrame
) -> None:
    first = run(cluster, "plain", "--report")
    assert first.returncode == 0, first.stderr
    assert "0 done, 6 pending" in first.stdout
    assert "[6/6]" in first.stdout and "finished: 6 done" in first.stdout
    assert_same(folder, "plain", local)
    assert {path.name for path in (folder / "plain/toys").iterdir() if path.is_dir()} == {"a", "b"}
    frame = ResultStore(folder / "plain", "toys").frame()
    engine = frame[frame.quantity == "engine_cpu"].value
    assert len(engine) and 0 <= engine.median() < 0.01
    report = (folder / "reports/toys/report.md").read_text()
    assert "a, b (2 of one type)" in report and "of it the cluster's engine, mean" in report

    stamps = {path: path.stat().st_mtime_ns for path in (folder / "plain").rglob("*.jsonl")}
    second = run(cluster, "plain")
    assert "6 done, 0 pending" in second.stdout
    assert "next: fobench report toys --results plain" in second.stdout
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    status = fobench(folder, "status", "suite.yaml", "--results", "plain")
    assert status.stdout == "toys on a, b: 6 done, 0 pending, 0 failed, 0 stale\n"


def test_a_worker_that_does_not_know_fobench_is_one_sentence(tmp_path: Path) -> None:
    stub = tmp_path / "stub/fobench"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('not here')")
    with toy_cluster(tmp_path, names=()) as cluster:
        cluster.start_worker("stranger", PYTHONPATH=str(stub.parent))
        refused = fobench(tmp_path, "check", "suite.yaml", "--cluster", cluster.address)
    assert refused.returncode == 2
    assert "does not know fobench" in refused.stderr and "Traceback" not in refused.stderr


def test_a_killed_worker_costs_the_running_cell_and_its_block_waits_for_it(
    cluster: ToyCluster, folder: Path, local: pd.DataFrame
) -> None:
    process = begun(cluster, "worker")
    wait_for(cluster, "worker", 2, process)
    cluster.kill("a")
    time.sleep(3)
    cluster.start_worker("a")
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert "a is lost; its cell begins again when it is back" in said and "a is here" in said
    assert_same(folder, "worker", local)


def test_a_block_of_a_machine_that_stays_away_waits_or_moves_whole(
    cluster: ToyCluster, folder: Path, local: pd.DataFrame
) -> None:
    process = begun(cluster, "away")
    wait_for(cluster, "away", 1, process)
    first = min(path.parent.name for path in (folder / "away").rglob("*.jsonl") if "--trace--" not in path.name)
    other = "b" if first == "a" else "a"
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted; finished cells are kept" in said
    kept = next(path for path in (folder / "away/toys" / first).glob("*.jsonl") if "--trace--" not in path.name)
    cluster.kill(first)
    waiting = run(cluster, "away")
    assert waiting.returncode == 1
    assert f"for {first}, where it was begun" in waiting.stdout and "--move-blocks" in waiting.stdout
    assert kept.exists()
    moved = run(cluster, "away", "--move-blocks")
    cluster.start_worker(first)
    assert moved.returncode == 0, moved.stdout + moved.stderr
    assert f"files of {first} are set aside" in moved.stdout
    assert not kept.exists() and kept.with_name(kept.name + ".abandoned").exists()
    assert_same(folder, "away", local)
    measured = [path.parent.name for path in (folder / "away").rglob("*.jsonl") if "--trace--" not in path.name]
    assert measured == [other] * 6


@pytest.mark.parametrize("at_once", [False, True], ids=["restarted-later", "restarted-at-once"])
def test_after_the_scheduler_is_killed_the_next_run_resumes(
    cluster: ToyCluster, folder: Path, local: pd.DataFrame, at_once: bool
) -> None:
    results = f"scheduler-{at_once}"
    process = begun(cluster, results)
    wait_for(cluster, results, 2, process)
    cluster.kill("scheduler")
    if at_once:  # another one at the same address, to which dask's client connects again and which knows nothing
        cluster.start_scheduler()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.rstrip().endswith("the next run resumes") and "Traceback" not in said
    kept = {path: path.stat().st_mtime_ns for path in (folder / results).rglob("*.jsonl")}
    for name in cluster.names:
        cluster.processes[name].wait(timeout=60)
    if not at_once:
        cluster.start_scheduler()
    for name in cluster.names:
        cluster.start_worker(name)
    again = run(cluster, results)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert_same(folder, results, local)


def test_after_the_submitter_is_killed_the_next_run_resumes(
    cluster: ToyCluster, folder: Path, local: pd.DataFrame
) -> None:
    process = begun(cluster, "submitter")
    wait_for(cluster, "submitter", 2, process)
    twin = run(cluster, "submitter")
    assert twin.returncode == 2 and "another `fobench run --cluster` collects results in" in twin.stderr
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "submitter").rglob("*.jsonl")}
    again = run(cluster, "submitter")
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert_same(folder, "submitter", local)


@pytest.mark.timeout(120 * (KILLS + 3))
def test_whatever_is_killed_and_whenever_the_frame_is_that_of_a_local_run(
    cluster: ToyCluster, folder: Path, local: pd.DataFrame
) -> None:
    chance = random.Random(int(os.environ.get("FOBENCH_SEED", "0")))
    kills, rounds = 0, 0
    while kills < KILLS:
        rounds += 1
        results = f"random-{rounds}"
        while finished(cluster, results) < 6:
            process = begun(cluster, results)
            time.sleep(chance.uniform(1.0, 25.0))
            if process.poll() is None and kills < KILLS:
                kills += 1
                _kill_and_mend(cluster, process, chance.choice(["submitter", "scheduler", *cluster.names]))
            process.communicate(timeout=300)
        last = run(cluster, results)
        assert last.returncode == 0, last.stdout + last.stderr
        assert_same(folder, results, local)


def _kill_and_mend(cluster: ToyCluster, submitter: subprocess.Popen[str], victim: str) -> None:
    if victim == "submitter":
        os.killpg(submitter.pid, signal.SIGKILL)
        return
    cluster.kill(victim)
    if victim != "scheduler":
        cluster.start_worker(victim)
        return
    for name in cluster.names:
        cluster.processes[name].wait(timeout=60)
    cluster.start_scheduler()
    for name in cluster.names:
        cluster.start_worker(name)
