"""The sections on whole lives, from results of every shape: nothing breaks, and nothing that is absent is printed as nan."""

from __future__ import annotations

import re

import pytest
from living_results import Living

from fobench import plugins
from fobench.report.document import Document, Table
from fobench.report.inputs import read
from fobench.report.render import markdown

SECTIONS = ("passes", "learning", "pareto", "diagnostics", "properties")

SHAPES = {
    "no meter at all": Living(meters=(), datasets=("digits",), epochs=6),
    "one of each": Living(labels=("bp",), datasets=("digits",), seeds=(0,), stages=1, epochs=1),
    "failed cells": Living(fail=("bp", "drtp"), datasets=("digits",), epochs=2),
    "no inference": Living(infer=False, labels=("bp",), datasets=("digits",), epochs=2),
    "invalid windows": Living(invalid={("bp", 0): "foreign CPU"}, datasets=("digits",), epochs=2),
    "no classes": Living(labels=("bp",), classes=None),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_lives_makes_all_sections(shape, tmp_path) -> None:
    report = read(SHAPES[shape].write(tmp_path))
    blocks = tuple(block for name in SECTIONS for block in plugins.load(name, "sections")(report))
    text = markdown.text(Document("t", "s", blocks))
    assert "nan" not in re.findall(r"[a-z]+", text.lower())
    assert all(len(row) == len(block.columns) for block in blocks if isinstance(block, Table) for row in block.rows)
