"""Whole cells through real worker processes: what they write, and what is left when they break."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from toys import FAST, toy_cell

from fobench.contracts import Origin, Part, Reference, Status
from fobench.harness import measure as measuring
from fobench.harness.launcher import launch
from fobench.harness.runner import doubt, run, unstable
from fobench.harness.states import State, standings
from fobench.store import read


def by_phase(rows: list[dict], phase: str, meter: str) -> list[dict]:
    return [row for row in rows if row["phase"] == phase and row["meter"] == meter]


def test_a_measured_cell_tells_its_whole_life(make_job, tmp_path: Path) -> None:
    meters = (Reference("clock"), Reference("toys.py:Sensor", {"absent": "no such sensor here"}, "sensor"))
    cell = toy_cell(plan=replace(FAST, meters=meters), step_s=0.02)
    entry = launch(make_job(cell), tmp_path / "out")
    assert (entry.status, entry.reason) == (Status.DONE, "")
    header = entry.header
    assert (header.network, header.parameters, header.origin) == ("4", 12, Origin.SURROGATE)
    assert header.samples == {"train": 200, "test": 50}
    assert header.instruments["sensor"] == {"absent": "no such sensor here"}
    assert header.instruments["clock"]["channels"] == ["total"]
    rows = entry.rows()
    train = by_phase(rows, "train", "clock")
    assert sum(row["samples"] for row in train) == 2 * 200, "every step of both epochs lies in exactly one window"
    assert [row["window"] for row in train] == list(range(len(train))), "windows are numbered without a gap"
    assert train[-1]["epoch"] == 2.0
    assert all(row["value"] >= row["samples"] / 10 * 0.02 for row in train), "a window holds the time of its steps"
    scored = by_phase(rows, "train", "score")
    assert [round(row["epoch"]) for row in scored] == [1, 2]
    (final,) = by_phase(rows, "infer", "score")
    assert (final["quantity"], final["channel"], final["samples"]) == ("error", "test", 50)
    assert final["value"] < 0.1, "three blobs four deviations apart are learned"
    assert {row["batch_size"] for row in by_phase(rows, "infer", "clock")} == {10, 1}
    assert len(by_phase(rows, "setup", "clock")) == 1
    assert len(by_phase(rows, "overhead", "clock")) == 10
    before, after = by_phase(rows, "idle", "clock")
    assert min(before["value"], after["value"]) >= 0.02
    assert before["started_s"] < train[0]["started_s"]
    assert after["started_s"] > by_phase(rows, "infer", "score")[0]["started_s"], "idle again at the very end"
    assert [note.partition(" steps, ")[0] for note in header.notes] == ["warm-up: 6"] or "stable" in header.notes[0]
    assert not [row for row in rows if row["meter"] == "sensor"], "absent is absent"


def test_stages_and_calibration_have_rows_of_their_own(make_job, tmp_path: Path) -> None:
    rows = launch(make_job(toy_cell(learner="Greedy")), tmp_path / "out").rows()
    train = by_phase(rows, "train", "clock")
    samples = {stage: sum(row["samples"] for row in train if row["stage"] == stage) for stage in (0, 1)}
    assert samples == {0: 400, 1: 400}, "recipe.epochs counts passes per stage"
    (calibrated,) = by_phase(rows, "calibrate", "clock")
    assert calibrated["samples"] == 30


def test_a_trace_counts_one_step_and_one_prediction(make_job, tmp_path: Path) -> None:
    job = make_job(part=Part.TRACE)
    entry = launch(job, tmp_path / "out")
    assert entry.status == Status.DONE, entry.reason
    assert entry.path.name.startswith("toy--blobs--trace--")
    macs = {
        phase: sum(row["value"] for row in entry.rows() if row["quantity"] == "macs" and row["phase"] == phase)
        for phase in ("train", "infer")
    }
    assert macs == {"train": 2 * 12 * 10, "infer": 12 * 10}, "forward and update of 4 x 3 weights, batch 10"


def test_a_tracer_sees_its_steps_at_its_batches_and_may_refuse_one_phase(make_job, tmp_path: Path) -> None:
    job = make_job(toy_cell(plan=replace(FAST, tracers=("toys.py:Watcher",))), part=Part.TRACE)
    entry = launch(job, tmp_path / "out")
    assert entry.status == Status.DONE, entry.reason
    (row,) = entry.rows()
    assert (row["phase"], row["value"], row["samples"]) == ("train", 10 + 10 + 11 + 11, 10)
    (described,) = entry.header.instruments.values()
    assert described == {"channels": ["persistent"], "notes": ["infer: no step was taken before this"]}


def test_the_two_arms_of_an_a_a_comparison_are_two_cells_that_learn_the_same(make_order) -> None:
    order = make_order(*(toy_cell(seed=seed, label=label) for seed in (0, 1) for label in ("toy", "toy again")))
    assert len({cell.id for cell in order.suite.cells}) == 4
    assert [outcome.status for outcome in run(order, list(order.suite.cells))] == [Status.DONE] * 4
    frame = order.store.frame()
    final = frame[(frame.meter == "score") & (frame.phase == "infer")].set_index(["seed", "label"]).value
    for seed in (0, 1):
        assert final[seed, "toy"] == final[seed, "toy again"]


class Grumbler:
    """A guard that refuses every window."""

    def start(self) -> None:
        pass

    def stop(self, readings) -> str:
        return "the lights went out"


def test_refused_windows_are_kept_and_repeated_where_they_can_be(make_job, make_order, monkeypatch) -> None:
    monkeypatch.setattr(measuring, "open_guards", lambda plan: ([Grumbler()], ["a note"]))
    cell = toy_cell(plan=replace(FAST, retries=2))
    order = make_order(cell)
    with order.store.writer(cell) as writer:
        measuring.measure(make_job(cell), writer)
        writer.footer(Status.DONE)
    entry = read(order.store.path(cell))
    rows = [row for row in entry.rows() if row["meter"] != "score"]
    assert {row["invalid"] for row in rows} == {"the lights went out"}, "on all rows of a window"
    counts = Counter(row["phase"] for row in rows if row["meter"] == "clock")
    train = by_phase(rows, "train", "clock")
    assert counts == {"idle": 2 * 3, "overhead": 10 * 3, "setup": 1, "train": len(train), "infer": 2 * 3}
    assert sum(row["samples"] for row in train) == 2 * 200, "a step is learned once"
    assert "a note" in entry.header.notes
    assert doubt(entry) == f"{len(train)} windows of the training are invalid, first: the lights went out"
    assert unstable(order.suite, order.store) == [(cell, doubt(entry))]


def test_no_thread_of_a_worker_computes_with_denormal_numbers(make_job, tmp_path: Path) -> None:
    cell = toy_cell(learner="Denormal")
    entry = launch(make_job(replace(cell, recipe=replace(cell.recipe, threads=2))), tmp_path / "out")
    assert (entry.status, entry.reason) == (Status.DONE, "")


def test_the_same_cell_twice_gives_the_same_scores(make_job, tmp_path: Path) -> None:
    scores = []
    for folder in ("one", "two"):
        rows = launch(make_job(toy_cell(seed=5)), tmp_path / folder).rows()
        scores.append([(row["epoch"], row["value"]) for row in rows if row["quantity"] == "error"][-1])
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("trouble", "status", "word"),
    [
        ("raise", Status.FAILED, "toy trouble"),
        ("kill", Status.KILLED, "SIGKILL"),
        ("exit", Status.KILLED, "exit code 3"),
        ("hang", Status.TIMEOUT, "raise plan.timeout_s"),
    ],
)
def test_a_cell_in_trouble_ends_with_its_reason_and_stops_no_other(
    make_order, trouble: str, status: Status, word: str
) -> None:
    plan = replace(FAST, timeout_s=8 if trouble == "hang" else 60)
    order = make_order(toy_cell(trouble=trouble, label="bad", plan=plan), toy_cell(label="good"))
    bad, good = run(order, list(order.suite.cells))
    assert (bad.status, good.status) == (status, Status.DONE)
    assert word in bad.reason
    assert [standing.state for standing in standings(order.suite, order.store)] == [State.FAILED, State.DONE]
    assert set(order.store.frame()["label"]) == {"bad", "good"}, "the bad cell's finished trace stays readable"
    assert not list(order.store.folder.glob("*.partial"))


def test_a_failed_trace_is_not_taken_again_for_every_seed(make_order) -> None:
    order = make_order(*(toy_cell(seed=seed, trouble="raise", at=1) for seed in (0, 1)))
    first, second = run(order, list(order.suite.cells))
    assert first.status == second.status == Status.FAILED
    assert second.seconds < first.seconds / 2


def parent(order_arguments: str) -> subprocess.Popen[bytes]:
    """A parent process of its own, so that it can be killed."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from toys import toy_cell
from fobench.contracts import Suite
from fobench.harness.runner import Order, run
{order_arguments}
list(run(order, list(order.suite.cells)))
"""
    return subprocess.Popen([sys.executable, "-c", code])


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def workers_on(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"fobench.harness.worker" in command and str(folder).encode() in command:
            found.append(int(process.name))
    return found


@pytest.mark.parametrize("victim", ["worker", "parent"])
def test_kill_9_loses_at_most_the_running_cell(make_order, tmp_path: Path, victim: str) -> None:
    order = make_order(toy_cell(label="quick"), toy_cell(label="slow", step_s=0.5))
    folder = order.store.folder
    here = str(Path(__file__).parent)
    process = parent(
        f"cells = (toy_cell(label='quick'), toy_cell(label='slow', step_s=0.5))\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"order = Order(Suite('test', cells, {here!r}), folder / 'results', 'here', folder / 'data')"
    )
    slow = order.store.path(order.suite.cells[1])
    partial = slow.with_name(slow.name + ".partial")
    wait_for(lambda: partial.exists() and b'"phase": "train"' in partial.read_bytes())
    (worker,) = workers_on(folder)
    os.kill(worker if victim == "worker" else process.pid, signal.SIGKILL)
    process.wait(60)
    wait_for(lambda: not workers_on(folder))
    states = [standing.state for standing in standings(order.suite, order.store)]
    if victim == "worker":
        assert states == [State.DONE, State.FAILED]
        assert read(slow).status == Status.KILLED
        assert any(row["phase"] == "train" for row in read(slow).rows()), "what was flushed is kept"
    else:
        assert states == [State.DONE, State.PENDING], "the partial file does not count"
    before = order.store.path(order.suite.cells[0]).read_bytes()
    again = replace(order, suite=replace(order.suite, cells=(order.suite.cells[0], toy_cell(label="slow", step_s=0.0))))
    assert [outcome.status for outcome in run(again, [again.suite.cells[1]])] == [Status.DONE], "the lock is free again"
    assert order.store.path(order.suite.cells[0]).read_bytes() == before


def test_a_second_worker_waits_for_the_lock_and_its_time_does_not_run_meanwhile(
    make_job, tmp_path: Path, own_lock: Path
) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; from fobench.harness.lock import hold; f = hold(); print('held', flush=True); time.sleep(6)",
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    start = time.monotonic()
    entry = launch(make_job(toy_cell(plan=replace(FAST, timeout_s=30))), tmp_path / "out")
    assert time.monotonic() - start > 5
    assert entry.status == Status.DONE
    holder.wait()


def test_a_cell_runs_by_hand_from_its_file_alone(make_job, tmp_path: Path) -> None:
    path = make_job().save(tmp_path / "out")
    subprocess.run([sys.executable, "-m", "fobench.harness.worker", str(path)], check=True, capture_output=True)
    assert read(path.with_name(path.name.replace(".cell.json", ".jsonl"))).status == Status.DONE
    assert json.loads(path.read_text())["cell"]["seed"] == 0


def test_require_real_refuses_the_surrogate_and_real_files_are_taken(make_job, tmp_path: Path) -> None:
    refused = launch(make_job(require_real=True), tmp_path / "refused")
    assert refused.status == Status.FAILED
    assert "no blobs.txt; run fobench data fetch blobs" in refused.reason
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "blobs.txt").touch()
    assert launch(make_job(require_real=True), tmp_path / "real").header.origin == Origin.REAL


def test_a_calibrated_learner_is_counted_once_trained_and_not_before(make_job, tmp_path: Path) -> None:
    plan = replace(FAST, tracers=("macs",))
    cell = toy_cell(plan=plan, learner="Greedy")
    traced = launch(make_job(cell, Part.TRACE), tmp_path / "trace").rows()
    measured = launch(make_job(cell), tmp_path / "measure").rows()
    counts = ("macs", "elementwise", "uncovered")
    assert not [row for row in traced if row["phase"] == "infer" and row["quantity"] in counts]
    (count,) = [row for row in measured if row["phase"] == "infer" and row["quantity"] == "macs"]
    assert (count["value"], count["samples"], count["provenance"]) == (50 * 12, 50, "measured")
