"""Windows: tiling, order of meters, what a failing meter leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Sensor, toy_cell

from fobench.contracts import Header, Part, Phase, Provenance, Reading, Status
from fobench.harness.windows import MOST_WINDOWS, Windows, tiles
from fobench.store import Writer, read
from fobench.testing import FakeMeter


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_tiles_cover_all_steps_once_and_are_nearly_equal(steps: int, each: int) -> None:
    ends = tiles(steps, each)
    sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    assert ends[-1] == steps
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(each, steps)
    assert len(ends) == 1 or max(sizes) < 2 * each + 1


def windows_for(tmp_path: Path, wished_s: float = 0.1, **meters) -> tuple[Windows, Writer, list[str]]:
    writer = Writer(tmp_path / "x.jsonl")
    writer.header(Header(Part.MEASURE, toy_cell(), "test", "here"))
    calls: list[str] = []
    return Windows(meters, writer, lambda: calls.append("synchronise"), wished_s), writer, calls


def rows_of(writer: Writer) -> list[dict]:
    writer.footer(Status.DONE)
    return read(writer.path).rows()


@pytest.mark.parametrize(("wished", "period", "length"), [(1.0, 0.001, 1.0), (1.0, 0.2, 2.0), (0.005, 0.001, 0.01)])
def test_a_window_is_at_least_ten_update_periods_long(
    tmp_path: Path, wished: float, period: float, length: float
) -> None:
    windows, _, _ = windows_for(tmp_path, wished, fake=FakeMeter(period_s=period))
    assert windows.length_s == pytest.approx(length)


def test_steps_each_never_gives_more_than_about_200_windows_nor_more_steps_than_there_are(tmp_path: Path) -> None:
    windows, _, _ = windows_for(tmp_path, wished_s=1.0)
    assert windows.steps_each(step_s=0.25, steps=10_000) == -(-10_000 // MOST_WINDOWS)
    assert windows.steps_each(step_s=0.25, steps=100) == 4
    assert windows.steps_each(step_s=0.25, steps=3) == 3
    assert windows.steps_each(step_s=60.0, steps=100) == 1


def test_rows_carry_what_the_window_covered_and_are_numbered_by_phase(tmp_path: Path) -> None:
    windows, writer, calls = windows_for(tmp_path, fake=FakeMeter(script=(3.0, 4.0)))
    with windows.open(Phase.IDLE):
        assert calls == ["synchronise"]
    for epoch in (0.5, 1.0):
        with windows.open(Phase.TRAIN) as window:
            window.samples, window.batch_size, window.stage, window.epoch = 30, 10, 1, epoch
    rows = rows_of(writer)
    assert calls == ["synchronise"] * 6
    assert [(row["phase"], row["window"], row["value"]) for row in rows] == [
        ("idle", 0, 3.0),
        ("train", 0, 4.0),
        ("train", 1, 3.0),
    ]
    assert [(row["samples"], row["batch_size"], row["stage"], row["epoch"]) for row in rows[1:]] == [
        (30, 10, 1, 0.5),
        (30, 10, 1, 1.0),
    ]


def test_the_last_meter_is_innermost(tmp_path: Path) -> None:
    order: list[str] = []

    class Spy(FakeMeter):
        def start(self) -> None:
            order.append(f"start {self.channel}")

        def stop(self) -> list[Reading]:
            order.append(f"stop {self.channel}")
            return []

    windows, _, _ = windows_for(tmp_path, rapl=Spy(channel="rapl"), clock=Spy(channel="clock"))
    with windows.open(Phase.IDLE):
        order.append("work")
    assert order == ["start rapl", "start clock", "work", "stop clock", "stop rapl"]


def test_a_meter_that_fails_leaves_a_fault_and_no_other_meter_suffers(tmp_path: Path) -> None:
    windows, writer, _ = windows_for(tmp_path, sensor=Sensor(), fake=FakeMeter())
    for _ in range(4):
        with windows.open(Phase.TRAIN):
            pass
    rows = rows_of(writer)
    sensor = [
        [row["channel"] for row in rows if row["meter"] == "sensor" and row["window"] == n and not row["invalid"]]
        for n in range(4)
    ]
    assert sensor == [["a", "b"], ["a", "b"], [], ["a"]]
    (fault,) = [row for row in rows if row["quantity"] == "fault"]
    assert (fault["meter"], fault["window"], fault["value"], fault["invalid"]) == (
        "sensor",
        2,
        1,
        "the sensor was unplugged",
    )
    assert [row["value"] for row in rows if row["meter"] == "fake"] == [1.0] * 4


def test_an_exception_inside_a_window_writes_no_row_but_stops_the_meters(tmp_path: Path) -> None:
    fake = FakeMeter()
    windows, writer, _ = windows_for(tmp_path, fake=fake)
    with pytest.raises(ValueError, match="inside"), windows.open(Phase.TRAIN):
        raise ValueError("inside")
    assert fake.windows == 1
    assert rows_of(writer) == []


def test_a_score_stands_at_the_last_window(tmp_path: Path) -> None:
    windows, writer, _ = windows_for(tmp_path)
    with windows.open(Phase.TRAIN):
        pass
    windows.score(Phase.TRAIN, Reading("error", 0.25, Provenance.MEASURED, "test"), 40, stage=0, epoch=1.0)
    (row,) = rows_of(writer)
    assert json.loads(json.dumps(row))["window"] == 0
    assert (row["meter"], row["value"], row["samples"], row["epoch"]) == ("score", 0.25, 40, 1.0)
