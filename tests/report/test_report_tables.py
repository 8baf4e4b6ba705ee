from __future__ import annotations

import dataclasses
import math
from statistics import fmean, stdev

import pytest
from synthetic_results import Synthetic

from fobench.contracts import Origin
from fobench.report.document import Table, Value
from fobench.report.inputs import read
from fobench.report.sections.costs import energy, energy_meters, macs, memory, time
from fobench.report.sections.error import error
from fobench.report.tables import MISSING, Measure, lookup, tables


def tables_of(blocks) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def cell(table: Table, label: str, group: str, header: str = "") -> Value | str:
    column = next(i for i, c in enumerate(table.columns) if c.group == group and c.header.startswith(header))
    return next(row for row in table.rows if row[0] == label)[column]


def test_the_energy_table_holds_watt_hours_computed_by_hand(report, synthetic):
    """14 W over 6 windows; 3600 J are one Wh. The median is 0.14 Wh, so the table is in mWh."""
    training = tables_of(energy(report))[0]
    joules = [14.0 * 6 * synthetic.seconds("ff", "digits", seed) for seed in (0, 1, 2)]
    found = cell(training, "ff", "digits")
    assert training.columns[3].header == "[mWh]"
    assert found.number == pytest.approx(fmean(joules) / 3.6)
    assert found.text == f"{fmean(joules) / 3.6:.1f} ± {stdev(joules) / 3.6:.1f}"
    assert found.mark == "m"
    assert "rapl (package-0, package-0/dram)" in training.caption


def test_estimates_stand_in_tables_of_their_own(report):
    assert energy_meters(report) == ["rapl", "codecarbon"]
    for table in tables_of(energy(report)):
        marks = {value.mark for row in table.rows for value in row if isinstance(value, Value)}
        assert marks == ({"e"} if "codecarbon" in table.caption else {"m"})


def test_every_table_of_costs_names_network_and_parameters(report):
    blocks = [*energy(report), *memory(report), *macs(report), *time(report), *error(report)]
    assert len(tables_of(blocks)) >= 10
    for table in tables_of(blocks):
        assert [column.header for column in table.columns[:3]] == ["Learner", "Network", "Parameters"]
        assert table.rows[0][:3] == ("bp", "200×2", "50 k")


def test_bold_is_the_best_and_what_cannot_be_told_apart(report):
    training = tables_of(time(report))[0]
    assert [cell(training, label, "digits").bold for label in ("bp", "drtp", "ff")] == [True, False, False]
    equal = tables_of(memory(report))[0]
    assert all(cell(equal, label, "digits", "persistent").bold for label in ("bp", "drtp", "ff"))


def test_an_invalid_window_leaves_a_mark_and_no_smaller_mean(tmp_path):
    synthetic = Synthetic(invalid={("bp", 1): "meter failed"})
    training = tables_of(energy(read(synthetic.write(tmp_path))))[0]
    whole = [14.0 * 6 * synthetic.seconds("bp", "digits", seed) / 3.6 for seed in (0, 2)]
    found = cell(training, "bp", "digits")
    assert found.number == pytest.approx(fmean(whole))
    assert found.mark == "m†"
    assert any(note.startswith("†") for note in training.notes)


def test_without_a_whole_block_the_sum_is_a_lower_bound(tmp_path):
    broken = {("bp", seed): "meter failed" for seed in (0, 1, 2)}
    training = tables_of(energy(read(Synthetic(invalid=broken).write(tmp_path))))[0]
    found = cell(training, "bp", "digits")
    assert found.text.startswith("≥ ")
    assert not found.bold
    assert cell(training, "drtp", "digits").bold, "the smaller partial sum does not win"


def test_the_batch_sizes_stand_in_the_headers(report):
    inference = tables_of(time(report))[1]
    assert [column.header for column in inference.columns[3:5]] == ["batch 1 [ms]", "batch 100 [ms]"]
    assert cell(inference, "bp", "digits", "batch 100").number == pytest.approx(0.5)


def test_many_data_sets_go_into_several_tables(tmp_path):
    names = tuple(f"dataset-{number}" for number in range(9))
    report = read(Synthetic(labels=("bp", "ff"), datasets=names, seeds=(0, 1)).write(tmp_path))
    made = tables(report, "Time.", [Measure("", "duration", "train", "s", meter="clock")])
    groups = [column.group for table in made for column in table.columns[3:]]
    assert groups == list(names)
    assert len(made) > 1
    assert made[1].caption == "Time. (continued)"
    assert len({table.columns[3].header for table in made}) == 1, "one unit for all"


def test_a_failed_learner_keeps_its_row(tmp_path):
    training = tables_of(time(read(Synthetic(fail=("drtp",)).write(tmp_path))))[0]
    assert cell(training, "drtp", "digits") == MISSING
    assert any(note.startswith(MISSING) for note in training.notes)


def test_one_block_says_so(tmp_path):
    training = tables_of(time(read(Synthetic(seeds=(4,)).write(tmp_path))))[0]
    assert not any(value.bold for row in training.rows for value in row if isinstance(value, Value))
    assert any("one block" in note for note in training.notes)
    assert "±" not in cell(training, "bp", "digits").text


def test_origin_is_explained_under_every_table(tmp_path):
    report = read(Synthetic(origin=Origin.SURROGATE).write(tmp_path))
    for table in tables_of([*energy(report), *macs(report), *error(report)]):
        assert any("surrogate" in note for note in table.notes)


def test_columns_share_a_scale_that_fits_the_median(report, synthetic):
    middle = dataclasses.replace(synthetic).seconds("drtp", "digits", 1) * 6
    assert 1 <= middle < 1000
    assert tables_of(time(report))[0].columns[3].header == "[s]"
    assert math.isclose(cell(tables_of(macs(report))[0], "bp", "mit-bih", "contractions").number, 21.0)


def test_codecarbon_energy_rests_on_the_thread_count_and_measured_energy_does_not(report):
    by_meter = {
        meter: lookup(report, Measure("", "energy", "train", "J", meter=meter)) for meter in ("codecarbon", "rapl")
    }
    assert {estimate.basis for estimate in by_meter["codecarbon"].values()} == {"1 thread"}
    assert {estimate.basis for estimate in by_meter["rapl"].values()} == {""}
