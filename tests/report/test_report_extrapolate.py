"""Sampled training: totals and intervals against the formulas worked by hand, and from files to tables."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_results import Synthetic

from fobench.contracts import Context, Part, Phase, Provenance, Reading, Status
from fobench.report.document import Note, Table, Value
from fobench.report.extrapolate import Stage, total
from fobench.report.inputs import read
from fobench.report.sections.sampled import sampled
from fobench.report.sections.units import derived_units
from fobench.store import ResultStore


def test_one_stage_by_hand() -> None:
    made = total([Stage((10.0, 12.0, 11.0), (100, 100, 100), 3000)])
    assert made.value == pytest.approx(3000 * 33 / 300)
    assert made.half_width == pytest.approx(4.302652730 * 3000 * 0.01 / math.sqrt(3)), "t(0.975, 2), deviation 0.01 J"
    assert made.share == pytest.approx(0.1)


def test_two_stages_add_their_variances_with_welch_satterthwaite_degrees_of_freedom() -> None:
    stages = [Stage((1.0, 3.0), (10, 10), 100), Stage((5.0, 5.5, 6.0, 5.5), (10, 10, 10, 10), 200)]
    first, second = 100 * math.sqrt(0.02) / math.sqrt(2), 200 * math.sqrt(0.005 / 3) / 2
    variance = first**2 + second**2
    freedom = variance**2 / (first**4 / 1 + second**4 / 3)
    assert freedom == pytest.approx(1.34, abs=0.01)
    made = total(stages)
    assert made.value == pytest.approx(100 * 0.2 + 200 * 0.55)
    from scipy.stats import t

    assert made.half_width == pytest.approx(t.ppf(0.975, freedom) * math.sqrt(variance))


def test_what_is_measured_whole_has_no_error_of_extrapolation() -> None:
    made = total([Stage((1.0, 3.0), (50, 50), 100)])
    assert (made.value, made.half_width, made.share) == (4.0, 0.0, 1.0)


def test_single_windows_have_a_value_and_no_interval() -> None:
    assert total([Stage((2.0,), (10,), 100)]).half_width is None


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 50)), min_size=2, max_size=20), st.floats(1e-6, 1e3))
def test_constant_energy_per_sample_is_extrapolated_exactly(windows: list[tuple[int, int]], joules: float) -> None:
    samples = tuple(float(a * b) for a, b in windows)
    made = total([Stage(tuple(joules * each for each in samples), samples, 10 * sum(samples))])
    assert made.value == pytest.approx(10 * joules * sum(samples))
    assert made.half_width == pytest.approx(0.0, abs=1e-9 * made.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two stages of 500 and 1,000 samples; 2 J and 4 J of package energy for each window of 100 samples, 3 J of RAM guess."""
    made = Synthetic(labels=("biofo",), datasets=("digits",), seeds=(0,), meters=("clock", "codecarbon"))
    store = ResultStore(tmp_path, made.suite, made.machine)
    cell = made.cell("biofo", "digits", 0)
    with store.writer(cell, Part.MEASURE) as writer:
        writer.header(made.header(Part.MEASURE, cell))
        number = 0
        for stage, (budget, joules) in enumerate(((500, 2.0), (1000, 4.0))):
            plan = Context(Phase.TRAIN, "plan", stage=stage)
            writer.rows(plan, [Reading("budget", budget, Provenance.ANALYTICAL)])
            for invalid in ("", "", "the machine was suspended"):
                where = {"stage": stage, "window": number, "samples": 100, "batch_size": 100, "invalid": invalid}
                seconds = Reading("duration", joules / 2 * (10 if invalid else 1), Provenance.MEASURED)
                writer.rows(Context(Phase.TRAIN, "clock", **where), [seconds])
                energy = [
                    Reading("energy", value, Provenance.ESTIMATED, part)
                    for part, value in (("cpu", joules), ("ram", 3.0))
                ]
                writer.rows(Context(Phase.TRAIN, "codecarbon", **where), energy)
                number += 1
        writer.footer(Status.DONE)
    return tmp_path / made.suite


def test_derived_totals_are_those_of_the_budget_and_estimated(folder: Path) -> None:
    derived = read(folder).derived
    train = derived[derived.phase == "train"].set_index("quantity")
    assert train.value["energy"] == pytest.approx(500 * 0.02 + 1000 * 0.04)
    assert train.value["duration"] == pytest.approx(500 * 0.01 + 1000 * 0.02)
    assert set(train.provenance) == {"estimated"}
    assert not train.partial.any()


def test_the_section_says_how_much_was_measured(folder: Path, tmp_path: Path) -> None:
    blocks = sampled(read(folder))
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [table.caption.split()[0] for table in tables] == ["Energy", "Duration"]
    (energy,) = tables[0].rows
    shown = [cell.text if isinstance(cell, Value) else cell for cell in energy]
    assert shown[:5] == ["digits", "biofo", "0", "codecarbon", "cpu"]
    assert shown[5].startswith("50")
    assert float(shown[6]) == pytest.approx(100 * 400 / 1500, rel=0.01)


def test_joules_per_sample_are_those_of_the_budget_and_without_predictions_there_is_no_life(folder: Path) -> None:
    """50 J over the 1,500 samples of the budget; the 600 that were measured, invalid windows among them, do not count."""
    blocks = derived_units(read(folder))
    (table,) = (block for block in blocks if isinstance(block, Table))
    cell = table.rows[0][2]
    assert isinstance(cell, Value)
    assert cell.number == pytest.approx(1e3 * 50 / 1500), "mJ"
    assert next(block.text for block in blocks if isinstance(block, Note)).startswith("No life of a wearable")


def test_a_full_training_has_no_such_section(tmp_path: Path) -> None:
    assert sampled(read(Synthetic().write(tmp_path))) == []
