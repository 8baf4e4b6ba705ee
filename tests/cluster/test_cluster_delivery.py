"""Results that arrive: whole and of the cell that was asked for, or refused without a trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measured import SUITE, a_cell, contents, leave

from fobench.cluster.delivery import Parcel, checksum, deliver, place
from fobench.contracts import Cell, Part, Status
from fobench.harness.job import Job
from fobench.store import StoreError, read

MODEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELL = a_cell()


def a_job(cell: Cell = CELL, part: Part = Part.MEASURE) -> Job:
    return Job(part, cell, SUITE, "", ".", "")


def packed(folder: Path, cell: Cell = CELL, part: Part = Part.MEASURE, status: Status = Status.DONE) -> Parcel:
    """What a machine that has run a part of a cell sends."""
    path = leave(folder, "board-1", cell, part, status)
    stem = path.name.removesuffix(".jsonl")
    text = path.read_text()
    return Parcel(
        "board-1", stem, {".cell.json": "{}\n", ".jsonl": text, ".log": "warm-up\r\n12 %\r100 %\n"}, checksum(text)
    )


@pytest.fixture(scope="module")
def parcel(tmp_path_factory: pytest.TempPathFactory) -> Parcel:
    return packed(tmp_path_factory.mktemp("machine"))


def results_of(folder: Path) -> list[str]:
    return [name for name in contents(folder) if ".jsonl" in name]


@pytest.mark.parametrize("part", list(Part))
@pytest.mark.parametrize("status", [Status.DONE, Status.FAILED])
def test_what_arrives_is_what_was_sent_to_the_byte(tmp_path: Path, part: Part, status: Status) -> None:
    sent = packed(tmp_path / "there", part=part, status=status)
    entry = deliver(sent, a_job(part=part), tmp_path / "here")
    assert (entry.status, entry.header.cell, entry.header.part) == (status, CELL, part)
    there = next((tmp_path / "there").rglob("*.jsonl"))
    found = contents(tmp_path / "here")
    folder = f"{SUITE}/board-1/{sent.stem}"
    assert found == {
        f"{folder}.jsonl": there.read_bytes(),
        f"{folder}.cell.json": b"{}\n",
        f"{folder}.log": b"warm-up\r\n12 %\r100 %\n",
    }
    assert entry.path == tmp_path / "here" / f"{folder}.jsonl"


def test_a_cell_that_is_measured_again_replaces_the_old_results(tmp_path: Path, parcel: Parcel) -> None:
    leave(tmp_path, "board-1", CELL, status=Status.FAILED)
    assert deliver(parcel, a_job(), tmp_path).status == Status.DONE
    assert len(results_of(tmp_path)) == 1


@MODEST
@given(data=st.data())
def test_a_parcel_that_is_cut_anywhere_is_refused(tmp_path: Path, parcel: Parcel, data: st.DataObject) -> None:
    text = parcel.files[".jsonl"]
    cut = data.draw(st.integers(0, len(text) - 1))
    damaged = replace(parcel, files={**parcel.files, ".jsonl": text[:cut]})
    with pytest.raises(StoreError, match=rf"the results of {CELL.stem} came damaged from board-1; run the suite again"):
        deliver(damaged, a_job(), tmp_path)
    assert results_of(tmp_path) == []


@MODEST
@given(data=st.data())
def test_a_parcel_that_is_changed_anywhere_is_refused(tmp_path: Path, parcel: Parcel, data: st.DataObject) -> None:
    text = parcel.files[".jsonl"]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda letter: letter != text[at]))
    with pytest.raises(StoreError, match="came damaged from board-1"):
        deliver(
            replace(parcel, files={**parcel.files, ".jsonl": text[:at] + other + text[at + 1 :]}), a_job(), tmp_path
        )
    assert results_of(tmp_path) == []


@MODEST
@given(data=st.data())
def test_a_file_that_its_machine_had_cut_is_refused_too(tmp_path: Path, parcel: Parcel, data: st.DataObject) -> None:
    """The checksum is then of the cut file: only reading it tells."""
    text = parcel.files[".jsonl"]
    cut = text[: data.draw(st.integers(0, len(text) - 2))]
    with pytest.raises(StoreError, match=r"is not a whole result file .*run the suite again"):
        deliver(replace(parcel, files={".jsonl": cut}, checksum=checksum(cut)), a_job(), tmp_path)
    assert results_of(tmp_path) == []


def test_rows_are_looked_at_too(tmp_path: Path, parcel: Parcel) -> None:
    head, _, foot = parcel.files[".jsonl"].splitlines()
    text = "\n".join([head, '{"value": 1}', foot]) + "\n"
    with pytest.raises(StoreError, match="is no row"):
        deliver(replace(parcel, files={".jsonl": text}, checksum=checksum(text)), a_job(), tmp_path)
    assert results_of(tmp_path) == []


@pytest.mark.parametrize("job", [a_job(a_cell(seed=1)), a_job(part=Part.TRACE), a_job(a_cell(epochs=2))])
def test_what_was_not_asked_for_is_refused_by_its_name(tmp_path: Path, parcel: Parcel, job: Job) -> None:
    with pytest.raises(StoreError, match=f"the results of {job.stem} came damaged"):
        deliver(parcel, job, tmp_path)
    assert contents(tmp_path) == {}


def test_results_of_another_cell_under_this_cells_name_are_refused(tmp_path: Path, parcel: Parcel) -> None:
    other = packed(tmp_path / "there", a_cell(seed=1))
    with pytest.raises(
        StoreError, match=rf"{CELL.stem}\.jsonl came with the results of another cell; run the suite again"
    ):
        deliver(replace(other, stem=CELL.stem), a_job(), tmp_path / "here")
    assert results_of(tmp_path / "here") == []


def test_a_refusal_leaves_older_results_alone(tmp_path: Path, parcel: Parcel) -> None:
    path = leave(tmp_path, "board-1", CELL, seconds=7.0)
    before = path.read_bytes()
    cut = parcel.files[".jsonl"][:-5]
    with pytest.raises(StoreError):
        deliver(replace(parcel, files={".jsonl": cut}, checksum=checksum(cut)), a_job(), tmp_path)
    assert contents(path.parent) == {path.name: before}


def test_a_full_disk_leaves_nothing(tmp_path: Path, parcel: Parcel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        place(parcel.files[".jsonl"], tmp_path / "x.jsonl")
    assert contents(tmp_path) == {}


def test_nothing_is_named_before_it_is_read_back(
    tmp_path: Path, parcel: Parcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submitter that dies at any moment leaves a `.partial` at most, which the next run overwrites."""
    seen: list[list[str]] = []

    def looking(path: Path):
        seen.append(sorted(contents(tmp_path)))
        return read(path)

    monkeypatch.setattr("fobench.cluster.delivery.read", looking)
    place(parcel.files[".jsonl"], tmp_path / "x.jsonl")
    assert seen == [["x.jsonl.partial"], ["x.jsonl"]]
