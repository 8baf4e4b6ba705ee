"""What the worker is given: one file and a fixed environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import toy_cell

from fobench.contracts import FobenchError, Part
from fobench.harness import machine
from fobench.harness.job import Job, output_of
from fobench.harness.launcher import ALLOCATOR_VARIABLES, environment


def test_threads_and_hash_seed_are_fixed_and_the_allocator_only_when_tracing(make_job, monkeypatch) -> None:
    monkeypatch.setenv(ALLOCATOR_VARIABLES[0], "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    measuring, tracing = (environment(make_job(part=part)) for part in (Part.MEASURE, Part.TRACE))
    assert measuring["OMP_NUM_THREADS"] == tracing["OMP_NUM_THREADS"] == "1"
    assert measuring["PYTHONHASHSEED"] == "0"
    assert not set(ALLOCATOR_VARIABLES) & set(measuring), "they cost time, so even inherited ones are taken away"
    assert {tracing[name] for name in ALLOCATOR_VARIABLES} == {"65536"}


def test_a_job_survives_its_file(make_job, tmp_path: Path) -> None:
    job = make_job(toy_cell(seed=3, eta=0.25), require_real=True)
    path = job.save(tmp_path)
    assert Job.load(path) == job
    assert output_of(path).name == job.cell.stem + ".jsonl"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"part": "trace"}'])
def test_a_broken_job_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.cell.json"
    path.write_text(text)
    with pytest.raises(FobenchError, match="not a cell specification"):
        Job.load(path)


def test_a_changed_machine_under_the_same_name_is_refused(tmp_path: Path, monkeypatch) -> None:
    machine.record(tmp_path, "board")
    machine.record(tmp_path, "board")
    now = machine.facts()
    monkeypatch.setattr(machine, "facts", lambda: {**now, "cores": 128})
    with pytest.raises(FobenchError, match=r"machine 'board' has changed: cores was \d+, is 128; .*--machine"):
        machine.record(tmp_path, "board")
