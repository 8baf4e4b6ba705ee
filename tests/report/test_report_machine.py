"""What the machine section says of instruments and idle power."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthetic_results import MEASURED, Synthetic

from fobench.contracts import Context, Part, Phase, Reading, Status
from fobench.report.document import Document
from fobench.report.inputs import read
from fobench.report.render.markdown import text
from fobench.report.sections.machine import machine
from fobench.store import ResultStore


def page(tmp_path: Path, seconds: bool = True) -> str:
    """Write one learner with two idle windows of 5 s: 20 J in the first, a stuck counter in the second."""
    made = Synthetic(labels=("bp",), datasets=("digits",), meters=("clock", "rapl"))
    cell = made.cell("bp", "digits", 0)
    header = made.header(Part.MEASURE, cell)
    notes = ["package-1: unreadable (Permission denied)", "energy filter: off"]
    instruments = {**header.instruments, "rapl": {**header.instruments["rapl"], "notes": notes}}
    with ResultStore(tmp_path, made.suite, made.machine).writer(cell, Part.MEASURE) as writer:
        writer.header(replace(header, instruments=instruments))
        for window in (0, 1):
            if seconds:
                writer.rows(Context(Phase.IDLE, "clock", window=window), [Reading("duration", 5.0, MEASURED)])
        writer.rows(Context(Phase.IDLE, "rapl", window=0), [Reading("energy", 20.0, MEASURED, "package-0")])
        fault = Context(Phase.IDLE, "rapl", window=1, invalid="stuck")
        writer.rows(fault, [Reading("fault", 1.0, MEASURED)])
        writer.footer(Status.DONE)
    return text(Document("t", "s", tuple(machine(read(tmp_path / made.suite)))))


def test_what_instruments_said_of_themselves_is_told(tmp_path: Path) -> None:
    shown = page(tmp_path)
    assert "rapl: energy filter: off (1 cell)" in shown
    assert "rapl: package-1: unreadable (Permission denied) (1 cell)" in shown


def test_idle_power_counts_only_windows_that_were_read(tmp_path: Path) -> None:
    """20 J in 5 s are 4 W, whatever the clock saw of the window without a reading."""
    assert "| rapl | package-0 | 4.00ᵐ |" in page(tmp_path)


def test_without_a_clock_there_is_no_idle_power(tmp_path: Path) -> None:
    assert "| rapl | package-0 | – |" in page(tmp_path, seconds=False)
