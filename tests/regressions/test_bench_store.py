"""How long the long frame of 1,000 cells of 300 rows takes; the duration is recorded, not judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fobench.contracts import Cell, Context, Header, Part, Phase, Plan, Provenance, Reading, Recipe, Reference, Status
from fobench.store import ResultStore

CELLS, ROWS = 1_000, 300


def test_frame_of_a_thousand_cells(tmp_path: Path, benchmark: Any) -> None:
    results = ResultStore(tmp_path)
    cell = Cell(Reference("bp", {"network": [{"kind": "dense", "units": 8}]}), Reference("digits"), Recipe(), Plan(), 0)
    readings = [
        [
            Reading("energy", float(row), Provenance.MEASURED, f"package-{row % 2}"),
            Reading("duration", 1.0, Provenance.MEASURED),
        ]
        for row in range(ROWS // 2)
    ]
    with results.writer(cell) as writer:
        writer.header(Header(Part.MEASURE, cell, "suite", "machine"))
        for window, pair in enumerate(readings):
            writer.rows(Context(Phase.TRAIN, "rapl", 0, 0.5, window, 100, 100, float(window)), pair)
        writer.footer(Status.DONE)
    _, body = results.path(cell).read_text().split("\n", 1)
    for seed in range(1, CELLS):
        other = replace(cell, seed=seed)
        top = {"kind": "header", **Header(Part.MEASURE, other, "suite", "machine").as_json()}
        results.path(other).write_text(json.dumps(top) + "\n" + body)
    frame = benchmark.pedantic(lambda: ResultStore(tmp_path).frame(), rounds=1, iterations=1)
    assert len(frame) == CELLS * ROWS
    assert frame["value"].sum() == CELLS * (sum(range(ROWS // 2)) + ROWS // 2)
