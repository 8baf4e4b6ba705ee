"""Result files: any readings survive file and frame; a file cut anywhere keeps its whole lines; broken ones are refused."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fobench import store
from fobench.contracts import (
    CELL_COLUMNS,
    ROW_COLUMNS,
    UNITS,
    Cell,
    Context,
    Header,
    Origin,
    Part,
    Phase,
    Plan,
    Provenance,
    Reading,
    Recipe,
    Reference,
    Status,
)
from fobench.store import ResultStore, StoreError, last_line

MODEST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELL = Cell(Reference("bp", {"network": []}, "BP"), Reference("digits"), Recipe(), Plan(), 3)
ROWS = [
    (Context(Phase.TRAIN, "clock", 0, 0.5, window, 200, 100), Reading("duration", window + 0.25, Provenance.MEASURED))
    for window in range(4)
]

texts = st.text(st.characters(codec="utf-8"), max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(0, 2**53)
readings = st.builds(Reading, st.sampled_from(list(UNITS)), finite, st.sampled_from(Provenance), texts)
contexts = st.builds(
    Context,
    phase=st.sampled_from(Phase),
    meter=texts,
    stage=st.none() | whole,
    epoch=st.none() | finite,
    window=st.none() | whole,
    samples=whole,
    batch_size=st.none() | whole,
    started_s=finite,
    invalid=texts,
)
rows = st.lists(st.tuples(contexts, readings), max_size=6)


def header(cell: Cell = CELL, part: Part = Part.MEASURE) -> Header:
    return Header(part, cell, "suite", "machine", network="64-10", parameters=5, origin=Origin.REAL)


def write(
    results: ResultStore, cell: Cell = CELL, part: Part = Part.MEASURE, status: Status = Status.DONE, given: Any = ROWS
) -> Path:
    with results.writer(cell, part) as writer:
        writer.header(header(cell, part))
        for context, reading in given:
            writer.rows(context, [reading])
        writer.footer(status, "" if status == Status.DONE else "why")
    return results.path(cell, part)


def plain(context: Context, reading: Reading) -> dict[str, Any]:
    return {name: {**asdict(context), **asdict(reading)}[name] for name in ROW_COLUMNS}


@MODEST
@given(rows)
def test_any_readings_survive_the_file(tmp_path: Path, given: list[tuple[Context, Reading]]) -> None:
    entry = store.read(write(ResultStore(tmp_path), given=given))
    assert entry.header == header()
    assert (entry.status, entry.reason) == (Status.DONE, "")
    assert entry.rows() == [plain(context, reading) for context, reading in given]


@MODEST
@given(rows)
def test_any_readings_survive_the_frame(tmp_path: Path, given: list[tuple[Context, Reading]]) -> None:
    results = ResultStore(tmp_path)
    write(results, given=given)
    frame = results.frame()
    assert list(frame.columns) == [*CELL_COLUMNS, *ROW_COLUMNS]
    assert len(frame) == len(given)
    for (_, found), (context, reading) in zip(frame.iterrows(), given, strict=True):
        for name, expected in plain(context, reading).items():
            assert pd.isna(found[name]) if expected is None else found[name] == expected, name
        shared = (CELL.id, "suite", "machine", "BP", "bp", "64-10", "digits", "real", 3)
        assert tuple(found[name] for name in CELL_COLUMNS) == shared


def test_a_frame_without_results_has_its_columns(tmp_path: Path) -> None:
    frame = ResultStore(tmp_path / "nothing").frame()
    assert frame.empty
    assert list(frame.columns) == [*CELL_COLUMNS, *ROW_COLUMNS]


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    reading = Reading("energy", 1.0, Provenance.MEASURED)
    object.__setattr__(reading, "value", float("nan"))
    with ResultStore(tmp_path).writer(CELL) as writer, pytest.raises(ValueError, match="not JSON compliant"):
        writer.rows(ROWS[0][0], [reading])


def test_a_value_that_is_no_number_is_a_broken_file(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    path = write(store)
    path.write_text(re.sub(r'"value": [^,]+', '"value": "much"', path.read_text()))
    assert store.frame().empty
    assert "is not a whole result file" in store.problems[0]


def test_the_last_line_of_a_reason() -> None:
    assert last_line("Traceback:\n  in f\nValueError: x \n") == "ValueError: x"
    assert last_line(" \n ") == ""


def test_the_final_name_appears_with_the_footer(tmp_path: Path) -> None:
    results = ResultStore(tmp_path, "suite", "machine")
    path = tmp_path / "suite" / "machine" / f"{CELL.stem}.jsonl"
    with results.writer(CELL) as writer:
        writer.header(header())
        assert not path.exists()
        assert path.with_name(path.name + ".partial").exists()
        writer.footer(Status.DONE)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["header", "footer"]


def test_rows_are_on_disk_as_they_come(tmp_path: Path) -> None:
    with ResultStore(tmp_path).writer(CELL) as writer:
        writer.header(header())
        writer.rows(*[ROWS[0][0], [ROWS[0][1]]])
        assert len(writer.partial.read_text().splitlines()) == 2


# --- done -------------------------------------------------------------------------------------------------------------


def test_done_means_both_parts_ended_well(tmp_path: Path) -> None:
    results = ResultStore(tmp_path)
    assert not results.is_done(CELL)
    write(results)
    assert not results.is_done(CELL)
    write(results, part=Part.TRACE)
    assert results.is_done(CELL)
    other_seed = replace(CELL, seed=4)
    assert not results.is_done(other_seed)
    write(results, other_seed)
    assert results.is_done(other_seed), "one trace serves all seeds"
    assert not results.is_done(replace(CELL, recipe=Recipe(epochs=2)))


@pytest.mark.parametrize("status", [Status.FAILED, Status.KILLED, Status.TIMEOUT])
def test_other_ends_are_not_done_and_not_in_the_frame(tmp_path: Path, status: Status) -> None:
    results = ResultStore(tmp_path)
    write(results, part=Part.TRACE)
    write(results, status=status)
    assert not results.is_done(CELL)
    found = results.find(CELL)
    assert found is not None
    assert (found.status, found.reason) == (status, "why")
    assert set(results.frame()["phase"]) == {"train"}
    assert len(results.frame()) == len(ROWS)


def test_rows_of_a_trace_have_no_seed_and_the_trace_id(tmp_path: Path) -> None:
    results = ResultStore(tmp_path)
    write(results)
    write(results, part=Part.TRACE)
    frame = results.frame()
    traced = frame[frame["seed"].isna()]
    assert set(traced["cell"]) == {CELL.trace_id}
    assert set(frame[frame["seed"].notna()]["cell"]) == {CELL.id}


# --- broken -----------------------------------------------------------------------------------------------------------


def test_a_file_cut_at_any_byte_keeps_its_whole_lines(tmp_path: Path) -> None:
    results = ResultStore(tmp_path)
    path = write(results)
    whole_file = path.read_bytes()
    partial = path.with_name(path.name + ".partial")
    for length in range(len(whole_file) + 1):
        path.unlink(missing_ok=True)
        partial.write_bytes(whole_file[:length])
        store.seal(path, header(), Status.KILLED, "signal 9")
        entry = store.read(path)
        survived = whole_file[:length].count(b"\n")
        assert entry.header == header()
        assert entry.rows() == [plain(*row) for row in ROWS[: max(0, survived - 1)]]
        finished = length == len(whole_file)
        assert (entry.status, entry.reason) == ((Status.DONE, "") if finished else (Status.KILLED, "signal 9"))
        assert not partial.exists()


def test_sealing_without_any_file(tmp_path: Path) -> None:
    path = ResultStore(tmp_path, "new", "folder").path(CELL)
    store.seal(path, header(), Status.TIMEOUT, "after 3 s")
    entry = store.read(path)
    assert (entry.header, entry.rows(), entry.status) == (header(), [], Status.TIMEOUT)


def broken_files() -> list[str]:
    top, foot = (
        json.dumps({"kind": "header", **header().as_json()}),
        '{"kind": "footer", "status": "done", "reason": ""}',
    )
    row = json.dumps(plain(*ROWS[0]))
    headers = [
        "x", "[" * 100_000,
        top.replace('"cell": {', '"cell": 5, "x": {', 1),
        top.replace('"plan": {', '"plan": 5, "x": {', 1),
        top.replace('"cell": {"schema": 1', '"cell": {"schema": 2'),
        top.replace('"part": "measure"', '"part": "guess"'),
        top.replace('"schema": 1', '"schema": 2', 1),
    ]  # fmt: skip
    assert top not in headers
    bodies = ["", "\n", top, f"{top}\n", f"{top}\n{row}\n", "{}\n{}\n", "[]\n[]\n", "1\n2\n", f"{top}\n{{}}\n"]
    rows = [row[:-5], f"{row}\n5", "{}", foot]
    ends = [foot.replace("done", "well"), foot.replace("reason", "why"), "7"]
    return [
        *bodies,
        *(f"{line}\n{foot}\n" for line in headers),
        *(f"{top}\n{line}\n{foot}\n" for line in rows),
        *(f"{top}\n{row}\n{line}\n" for line in ends),
    ]


@pytest.mark.parametrize("text", broken_files())
def test_a_broken_file_is_refused_by_name_and_stops_nothing_else(tmp_path: Path, text: str) -> None:
    results = ResultStore(tmp_path)
    write(results)
    (tmp_path / "broken.jsonl").write_text(text)
    with pytest.raises(StoreError, match=r"broken\.jsonl"):
        store.read(tmp_path / "broken.jsonl").rows()
    assert len(results.frame()) == len(ROWS)
    results.frame()
    (problem,) = results.problems
    assert "broken.jsonl" in problem


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\n\xff\n")
    with pytest.raises(StoreError, match=r"b\.jsonl is not a whole result file"):
        store.read(tmp_path / "b.jsonl")


@settings(MODEST, max_examples=100)
@given(st.data())
def test_a_damaged_byte_gives_a_store_error_or_a_readable_file(tmp_path: Path, data: st.DataObject) -> None:
    path = write(ResultStore(tmp_path))
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        store.read(path).rows()
    except StoreError as error:
        assert path.name in str(error)
    ResultStore(tmp_path).frame()
