from __future__ import annotations

import dataclasses

import pytest
from synthetic_results import Synthetic

from fobench.contracts import Origin
from fobench.report.inputs import ReportError, read


def test_an_empty_store_is_one_clear_error(tmp_path):
    with pytest.raises(ReportError, match=r"no finished results in .*; run the suite first"):
        read(tmp_path)


def test_machines_are_never_averaged(tmp_path):
    Synthetic(machine="alpha").write(tmp_path)
    folder = Synthetic(machine="beta", epochs=1).write(tmp_path)
    with pytest.raises(ReportError, match=r"2 machines: alpha, beta; .*--machine"):
        read(folder)
    chosen = read(folder, "beta")
    assert set(chosen.frame.machine.astype(str)) == {"beta"}
    assert len(chosen.frame) * 2 == len(read(folder, "alpha").frame) + len(chosen.frame)
    with pytest.raises(ReportError, match=r"no results of machine 'gamma'.*alpha, beta"):
        read(folder, "gamma")


def test_suites_are_never_mixed(tmp_path):
    Synthetic().write(tmp_path)
    Synthetic(suite="another").write(tmp_path)
    with pytest.raises(ReportError, match=r"2 suites: another, synthetic"):
        read(tmp_path)


def test_older_settings_are_left_out_and_counted(tmp_path):
    old = Synthetic(labels=("bp",), datasets=("digits",))
    old.write(tmp_path)
    new = dataclasses.replace(old, epochs=5, started_utc="2026-02-01T00:00:00Z")
    report = read(new.write(tmp_path))
    assert report.left_out == 4, "three seeds and one trace"
    assert {header.cell.recipe.epochs for header in report.headers} == {5}


def test_real_and_surrogate_data_are_never_averaged(tmp_path):
    """The id of a cell does not hold the origin of its data, so both can stand in one folder."""
    Synthetic(labels=("bp",), datasets=("digits",), seeds=(0,), origin=Origin.SURROGATE).write(tmp_path)
    real = Synthetic(labels=("bp",), datasets=("digits",), seeds=(1, 2), started_utc="2026-02-01T00:00:00Z")
    report = read(real.write(tmp_path))
    assert report.datasets == ["digits"]
    assert report.seeds == [1, 2]


def test_data_sets_carry_the_mark_of_their_origin(tmp_path):
    report = read(Synthetic(origin=Origin.EXTRACT).write(tmp_path))
    assert report.datasets == ["digits^", "mit-bih^"]
    assert set(report.frame.dataset.astype(str)) == {"digits^", "mit-bih^"}


def test_only_failed_cells_is_one_clear_error(tmp_path):
    synthetic = Synthetic(labels=("bp",), fail=("bp",))
    folder = synthetic.write(tmp_path)
    for path in folder.rglob("*trace*"):
        path.unlink()
    with pytest.raises(ReportError, match=r"none of the 6 result files .*failed: ValueError: diverged"):
        read(folder)
