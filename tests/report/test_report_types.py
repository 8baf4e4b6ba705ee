"""Several machines in one report: those of one type stand together, types stand apart, nothing counts twice."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from synthetic_results import MEASURED, Synthetic

from fobench.contracts import Reading
from fobench.harness.machine import record
from fobench.report.build import documents
from fobench.report.document import Document, Figure, Heading, Note, Table
from fobench.report.inputs import ReportError, ReportInput, read, read_kinds
from fobench.report.render import markdown
from fobench.report.sections.machine import machine

BOARD = {
    "cpu": "Cortex-A78",
    "architecture": "aarch64",
    "cores": 6,
    "memory_gib": 8,
    "gpus": [],
    "governor": "performance",
}
STATION = {**BOARD, "cpu": "Xeon", "cores": 16}
SMALL = Synthetic(labels=("bp", "drtp"), datasets=("digits",), seeds=(0, 1, 2, 3), meters=("clock", "rapl"))


def written(root: Path, *runs: Synthetic, facts=None) -> Path:
    """Write what machines have measured, all of one type unless `facts` says otherwise."""
    for run in runs:
        record(run.write(root) / run.machine, run.machine, (facts or {}).get(run.machine, BOARD))
    return root / SMALL.suite


def blocks_on(machine: str, *seeds: int, **changes) -> Synthetic:
    return replace(SMALL, machine=machine, seeds=seeds, **changes)


def without_traces(folder: Path, machine: str) -> Path:
    for path in (folder / machine).glob("*--trace--*"):
        path.unlink()
    return folder


def tables(made: Document) -> list[Table]:
    return [block for block in made.blocks if isinstance(block, Table)]


def assert_same_values(one: ReportInput, other: ReportInput) -> None:
    """Sums differ in their last bit with the order of the files."""
    order = ["label", "seed", "phase", "batch", "quantity", "channel", "meter"]
    found, expected = (report.derived.sort_values(order, ignore_index=True) for report in (one, other))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


def test_blocks_of_two_boards_are_one_result(tmp_path: Path) -> None:
    """As if one board had measured all of them."""
    alone = read(written(tmp_path / "alone", blocks_on("alpha", 0, 1, 2, 3)))
    shared = without_traces(written(tmp_path / "shared", blocks_on("alpha", 0, 2), blocks_on("beta", 1, 3)), "beta")
    both = read(shared)
    assert both.machines == ("alpha", "beta")
    assert both.machine == "alpha, beta (2 of one type)"
    assert both.seeds == [0, 1, 2, 3]
    assert_same_values(both, alone)
    facts = [table.caption for table in tables(Document("", "", tuple(machine(both)))) if "machine" in table.caption]
    assert facts == ["The machine alpha.", "The machine beta."]


def test_a_trace_that_two_boards_have_counts_once(tmp_path: Path) -> None:
    """Boards without a network trace for themselves."""
    alone = read(written(tmp_path / "alone", blocks_on("alpha", 0, 1, 2, 3)))
    both = read(written(tmp_path / "both", blocks_on("alpha", 0, 2), blocks_on("beta", 1, 3)))
    assert_same_values(both, alone)
    assert len(both.frame) == len(alone.frame)
    assert both.left_out == 0, "no file is older, and none has other settings"


def test_older_settings_are_still_counted(tmp_path: Path) -> None:
    """A trace and two measurements of each learner on both boards."""
    old = (blocks_on("alpha", 0, 1), blocks_on("beta", 2, 3))
    new = (replace(run, epochs=5, started_utc="2026-02-01T00:00:00Z") for run in old)
    assert read(written(tmp_path, *old, *new)).left_out == 2 * 2 * (2 + 1)


def test_a_cell_of_two_boards_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, blocks_on("alpha", 0, 1), blocks_on("beta", 1, 2))
    with pytest.raises(ReportError) as refused:
        read(folder)
    assert re.fullmatch(
        r"(bp|drtp) on digits, seed 1, was measured on alpha and on beta, machines of one type; it counts once: "
        r"use --machine NAME",
        str(refused.value),
    )
    assert read(folder, "beta").seeds == [1, 2]


def test_two_types_are_two_parts_with_pictures_of_their_own(tmp_path: Path) -> None:
    runs = (blocks_on("alpha", 0), blocks_on("beta", 1), blocks_on("station", 0, 1))
    reports = read_kinds(written(tmp_path / "results", *runs, facts={"station": STATION}))
    assert [report.machines for report in reports] == [("alpha", "beta"), ("station",)]
    made = documents(reports)
    parts = ["Part 1: alpha, beta (2 of one type)", "Part 2: station"]
    assert [
        block.text for block in made.blocks if isinstance(block, Heading) and block.text.startswith("Part ")
    ] == parts
    assert made.subtitle == "alpha, beta (2 of one type); station"
    assert made.blocks[0] == Note("2 types of machine measured this suite; each has a part of its own below.")
    names = [block.name for block in made.blocks if isinstance(block, Figure)]
    assert len(names) == len(set(names)) > 1
    assert {name.partition("-")[0] for name in names} == {"part1", "part2"}
    captions = [table.caption for table in tables(made)]
    assert [captions.count(f"The machine {name}.") for name in ("alpha", "beta", "station")] == [1, 1, 1]
    path = markdown.write(made, tmp_path / "report")
    assert all(part in path.read_text() for part in parts)
    assert {file.stem for file in path.parent.glob("figures/*.png")} == set(names)


def test_one_type_can_be_asked_for_by_name(tmp_path: Path) -> None:
    folder = written(tmp_path, SMALL, replace(SMALL, machine="station"), facts={"station": STATION})
    with pytest.raises(ReportError, match=r"found results of 2 machines: alpha, station; .* never averaged"):
        read(folder)
    (only,) = read_kinds(folder, "station")
    assert only.machine == "station"


def test_machines_without_facts_are_types_of_their_own(tmp_path: Path) -> None:
    for run in (blocks_on("alpha", 0, 1), blocks_on("beta", 2, 3)):
        run.write(tmp_path)
    assert [report.machine for report in read_kinds(tmp_path / SMALL.suite)] == ["alpha", "beta"]


# --- the engine -------------------------------------------------------------------------------------------------------


class WithEngine(Synthetic):
    """Windows in which a cluster's engine used 0.4 thousandths of the processors."""

    def readings(self, seconds: float) -> list[tuple[str, Reading]]:
        return [*super().readings(seconds), ("host", Reading("engine_cpu", 0.0004, MEASURED))]


def shares(root: Path, kind: type[Synthetic]) -> dict[str, str]:
    """Return what the table of windows says of the first learner."""
    report = read(kind(labels=("bp",), datasets=("digits",), seeds=(0, 1)).write(root))
    (table,) = [
        table
        for table in tables(Document("", "", tuple(machine(report))))
        if table.caption.startswith("Windows of training")
    ]
    texts = [getattr(cell, "text", cell) for cell in table.rows[0]]
    return dict(zip((column.header for column in table.columns), texts, strict=True))


def test_the_table_of_windows_shows_the_engines_share(tmp_path: Path) -> None:
    shown = shares(tmp_path, WithEngine)
    assert shown["Foreign CPU, mean [%]"] == "3.0"
    assert shown["of it the cluster's engine, mean [%]"] == shown["of it the cluster's engine, max [%]"] == "0.04"


def test_without_an_engine_the_table_has_no_such_column(tmp_path: Path) -> None:
    assert not [header for header in shares(tmp_path, Synthetic) if "engine" in header]
