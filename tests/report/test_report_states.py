"""Diagnostics: angles, shapes of weights, goodness and exits, from states whose truth is known."""

from __future__ import annotations

import math

import pytest
from living_results import Living
from synthetic_results import Synthetic

from fobench.report.document import Figure, Heading, Note, Table
from fobench.report.inputs import read
from fobench.report.sections.diagnostics import diagnostics
from fobench.report.tails import magnitude_ratio, shape

LIVING = Living(labels=("fa", "ff"), datasets=("digits",), seeds=(0, 1), stages=1, epochs=4)


@pytest.fixture
def blocks(tmp_path):
    return diagnostics(read(LIVING.write(tmp_path)))


def tables(blocks) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def test_every_part_has_its_title_and_its_figure(blocks) -> None:
    assert [block.text for block in blocks if isinstance(block, Heading)] == [
        "Diagnostics", "Alignment with the feedback", "Distribution of weights", "Goodness by depth", "Depth of exits",
    ]  # fmt: skip
    assert [block.name for block in blocks if isinstance(block, Figure)] == [
        "alignment",
        "weights",
        "goodness",
        "exits",
    ]


def test_angles_before_and_after_with_their_deviation_over_blocks(blocks) -> None:
    angles = tables(blocks)[0]
    assert [row[:3] for row in angles.rows] == [("digits", label, b) for label in ("fa", "ff") for b in ("B2", "B3")]
    for row in angles.rows:  # 90 and 91 degrees at first, 5 less with each of four epochs
        assert [cell.number for cell in row[3:]] == pytest.approx([90.5, 70.5, -20])
        assert row[3].text == f"90.50 ± {math.sqrt(0.5):.2f}"


def test_weights_that_are_laplacian_and_three_times_as_large_in_the_end(blocks) -> None:
    for row in tables(blocks)[1].rows:
        before, after, change, shape_before, shape_after = (cell.number for cell in row[3:])
        assert (before, after, change) == pytest.approx((2**0.5, 3 * 2**0.5, 3))
        assert (shape_before, shape_after) == pytest.approx((1, 1))


@pytest.mark.parametrize(("ratio", "beta"), [(math.sqrt(2 / math.pi), 2), (math.sqrt(0.5), 1)])
def test_the_ratio_of_known_laws_gives_their_exponent(ratio, beta) -> None:
    assert magnitude_ratio(beta) == pytest.approx(ratio)
    assert shape(ratio) == pytest.approx(beta)


def test_uniform_weights_have_no_exponent() -> None:
    assert shape(math.sqrt(3) / 2) is None, "E|w| = a/2, RMS = a/sqrt(3)"


def test_without_state_tracers_the_section_says_how_to_ask(tmp_path) -> None:
    found = diagnostics(read(Synthetic().write(tmp_path)))
    assert len(found) == 2
    assert isinstance(found[1], Note)
    assert "alignment, weights, goodness" in found[1].text


def test_depths_of_exits_are_shares_with_their_mean(blocks) -> None:
    (depths,) = (table for table in tables(blocks) if "layers that they used" in table.caption)
    assert [column.header for column in depths.columns[2:]] == ["1 [%]", "3 [%]", "Mean [layers]"]
    for row in depths.rows:  # 300 of 400 samples leave after the first layer, 100 after the third
        assert [cell.number for cell in row[2:]] == pytest.approx([75, 25, 1.5])


def test_goodness_is_told_layer_by_layer_with_its_threshold(blocks) -> None:
    (grades,) = (table for table in tables(blocks) if table.caption.startswith("Median goodness"))
    assert [(*row[:2], *(cell.number for cell in row[2:])) for row in grades.rows] == [
        (f"{label}, digits", str(layer), 7, 2, 4) for label in ("fa", "ff") for layer in (1, 2)
    ]


def test_many_panels_of_goodness_become_a_table_only(tmp_path) -> None:
    labels = tuple(f"ff-{number:02d}" for number in range(25))
    found = diagnostics(read(Living(labels=labels, datasets=("digits",), seeds=(0,), stages=1).write(tmp_path)))
    assert [block.name for block in found if isinstance(block, Figure)] == ["alignment", "weights", "exits"]
    assert any(len(table.rows) == 50 for table in tables(found))
