"""`run`, `check` and `status` as a user sees them: messages, exit codes, resuming."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOYS = Path(__file__).parents[1] / "harness" / "toys.py"
SUITE = """\
suite: toys
blocks: 2
recipe: {epochs: 1, batch_size: 10, score_samples: 50}
plan: {meters: [clock], tracers: [macs], guards: [], window_s: 0.05, idle_s: 0.05, timeout_s: 60}
datasets: [{target: 'toys.py:Blobs', label: blobs}]
learners:
  - {target: 'toys.py:Toy', label: toy, network: []}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toys.py").write_bytes(TOYS.read_bytes())
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path


def fobench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


RUN = ("run", "suite.yaml", "--machine", "here", "--data", "data")


def test_a_second_run_does_nothing_a_deleted_result_runs_alone_and_an_edit_is_stale(folder: Path) -> None:
    first = fobench(*RUN, "--report")
    assert first.returncode == 0, first.stderr
    assert "0 done, 2 pending" in first.stdout
    assert "[2/2] toy on blobs, seed 1: done" in first.stdout
    assert "wrote reports/toys/report.pdf" in first.stdout
    assert (folder / "reports/toys/report.pdf").read_bytes().startswith(b"%PDF")
    assert "| toy |" in (folder / "reports/toys/report.md").read_text()
    assert "note: dataset blobs: a surrogate stands in" in first.stderr

    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jsonl")}
    assert len(files) == 3, "two measurements and the trace that they share"
    second = fobench(*RUN)
    assert "2 done, 0 pending" in second.stdout
    assert "next: fobench report toys --results results --machine here" in second.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.jsonl")} == files

    gone = next(path for path in files if "--s1--" in path.name)
    gone.unlink()
    third = fobench(*RUN)
    assert "[1/1] toy on blobs, seed 1: done" in third.stdout
    assert {path for path, time in files.items() if path.stat().st_mtime_ns != time} == {gone}

    with (folder / "toys.py").open("a") as file:
        file.write("# edited\n")
    assert "2 stale" in fobench("status", "suite.yaml", "--machine", "here").stdout
    fourth = fobench(*RUN)
    assert fourth.returncode == 0
    assert "--rerun-stale measures them again" in fourth.stdout
    assert "2 done, 0 pending" in fobench(*RUN, "--rerun-stale").stdout + fobench(*RUN).stdout


def test_a_failed_cell_makes_the_exit_code_1_until_it_is_retried(folder: Path) -> None:
    suite = (
        SUITE.replace("blocks: 2", "blocks: 1")
        + "  - {target: 'toys.py:Toy', label: bad, network: [], trouble: raise, at: 3}\n"
    )
    (folder / "suite.yaml").write_text(suite)
    first = fobench(*RUN)
    assert first.returncode == 1
    assert "bad on blobs, seed 0: failed: ValueError: toy trouble" in first.stdout
    assert "toy on blobs, seed 0: done" in first.stdout
    assert "Traceback" not in first.stdout + first.stderr
    again = fobench(*RUN)
    assert again.returncode == 1
    assert "1 done, 0 pending, 1 failed" in again.stdout
    assert "bad on blobs" not in again.stdout, "a failed cell is skipped"
    retried = fobench(*RUN, "--retry-failed")
    assert "bad on blobs, seed 0: failed" in retried.stdout


def test_check_lists_every_problem_and_reads_no_data(folder: Path) -> None:
    (folder / "suite.yaml").write_text(SUITE.replace("label: toy", "label: toy, eta: 0.1, ets: 1"))
    checked = fobench("check", "suite.yaml", "--data", "data", "--require-real")
    assert checked.returncode == 2
    assert "ets" in checked.stderr
    assert "did you mean 'eta'" in checked.stderr
    assert "Traceback" not in checked.stderr
    (folder / "suite.yaml").write_text(SUITE)
    real = fobench("check", "suite.yaml", "--data", "data", "--require-real")
    assert real.returncode == 2
    assert "no blobs.txt; run fobench data fetch blobs" in real.stderr
    fine = fobench("check", "suite.yaml", "--data", "data")
    assert fine.returncode == 0
    assert "valid, 2 cells" in fine.stdout


def test_a_machine_that_changed_is_refused_before_anything_runs(folder: Path) -> None:
    machine = folder / "results" / "toys" / "here" / "machine.json"
    machine.parent.mkdir(parents=True)
    machine.write_text('{"cpu": "another"}')
    run = fobench(*RUN)
    assert run.returncode == 2
    assert "machine 'here' has changed" in run.stderr


def test_help_names_every_verb_without_importing_torch() -> None:
    heavy = {"torch", "pandas", "matplotlib", "numpy"}
    code = f"import sys\nfrom fobench.cli.main import app\nassert not {heavy} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    shown = fobench("--help").stdout
    for verb in ("run", "check", "report", "status", "list", "doctor", "data", "export"):
        assert f" {verb} " in shown


def test_an_unknown_suite_file_is_one_sentence(folder: Path) -> None:
    missing = fobench("run", "nothing.yaml")
    assert missing.returncode == 2
    assert missing.stderr.count("\n") <= 2
    assert "nothing.yaml" in missing.stderr


def test_a_learner_that_says_nothing_fails_and_the_others_go_on(folder: Path) -> None:
    with (folder / "toys.py").open("a") as file:
        file.write(
            "\n\n@dataclass\nclass Mute(Toy):\n    def setup(self, task, generator, device):\n"
            "        raise TracerError('  ')\n"
        )
    mute = "  - {target: 'toys.py:Mute', label: mute, network: []}\n"
    (folder / "suite.yaml").write_text(SUITE.replace("blocks: 2", "blocks: 1") + mute)
    run = fobench(*RUN, "--results", "my results")
    assert run.returncode == 1
    assert "mute on blobs, seed 0: failed: fobench.contracts.protocols.TracerError" in run.stdout
    assert "toy on blobs, seed 0: done" in run.stdout
    assert "--results 'my results'" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


def test_results_that_cannot_be_written_are_one_sentence(folder: Path) -> None:
    (folder / "results").touch()
    run = fobench(*RUN)
    assert run.returncode == 2
    assert "Not a directory" in run.stderr
    assert "Traceback" not in run.stderr


def test_an_interrupt_says_that_the_next_run_resumes(folder: Path) -> None:
    (folder / "suite.yaml").write_text(SUITE.replace("idle_s: 0.05", "idle_s: 60"))
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", *RUN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert "2 pending" in run.stdout.readline()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate()
    assert run.returncode == 130
    assert errors.endswith("fobench: interrupted; finished cells are kept, the next run resumes\n")
