from __future__ import annotations

import math

import pandas as pd
import pytest
from synthetic_results import Synthetic

from fobench.contracts import total_channels
from fobench.report.inputs import read


def pick(report, **wanted):
    rows = report.derived
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    return rows


def only(report, **wanted) -> float:
    rows = pick(report, **wanted)
    assert len(rows) == 1, rows
    return rows.value.iloc[0]


def test_training_energy_is_the_power_times_all_windows_of_all_stages(report, synthetic):
    """2 stages x 3 windows; 12 W package + 2 W DRAM, core and psys are not added again."""
    seconds = 6 * synthetic.seconds("drtp", "mit-bih", 2)
    where = {"label": "drtp", "dataset": "mit-bih", "seed": 2, "phase": "train"}
    assert only(report, quantity="energy", meter="rapl", **where) == pytest.approx(14.0 * seconds)
    assert only(report, quantity="energy", meter="codecarbon", **where) == pytest.approx(8.0 * seconds), "RAM left out"
    assert only(report, quantity="duration", **where) == pytest.approx(seconds)


def test_provenance_and_completeness_travel_with_the_sum(report):
    rows = pick(report, quantity="energy", phase="train")
    assert set(rows[rows.meter == "rapl"].provenance) == {"measured"}
    assert set(rows[rows.meter == "codecarbon"].provenance) == {"estimated"}
    assert not rows.partial.any()
    assert set(pick(report, quantity="macs").provenance) == {"analytical"}


def test_inference_is_per_sample_at_both_batch_sizes(report):
    """Window 0: 0.5 s for 1000 samples in batches; window 1: 1 s for 200 single samples; 14 W."""
    where = {"label": "bp", "dataset": "digits", "seed": 0, "phase": "infer"}
    assert only(report, quantity="duration", batch="recipe", **where) == pytest.approx(0.5 / 1000)
    assert only(report, quantity="duration", batch="single", **where) == pytest.approx(1.0 / 200)
    assert only(report, quantity="energy", meter="rapl", batch="single", **where) == pytest.approx(14.0 / 200)


def test_macs_are_per_sample_and_the_mean_over_stages(report):
    """Stages of 20,000 and 22,000 for the second label on the first data set."""
    where = {"label": "drtp", "dataset": "digits", "meter": "macs"}
    assert only(report, quantity="macs", phase="train", **where) == 21_000
    assert only(report, quantity="macs", phase="infer", **where) == 5_000
    assert only(report, quantity="elementwise", phase="train", **where) == 7


def test_memory_is_the_highest_stage(report):
    where = {"label": "ff", "dataset": "digits", "meter": "live-tensors", "phase": "train"}
    assert only(report, quantity="memory_peak", channel="batch", **where) == 6000
    assert only(report, quantity="memory_peak", channel="total", **where) == 15_000
    assert only(report, quantity="memory", channel="persistent", **where) == 40_000


def test_exact_values_have_no_seed(report):
    assert pick(report, quantity="macs").seed.isna().all()
    assert pick(report, quantity="error").seed.notna().all()


def test_a_sum_that_lacks_a_window_is_partial(tmp_path):
    synthetic = Synthetic(invalid={("bp", 1): "meter failed"})
    report = read(synthetic.write(tmp_path))
    rows = pick(report, quantity="energy", phase="train", meter="rapl", dataset="digits")
    assert dict(zip(zip(rows.label, rows.seed, strict=True), rows.partial, strict=True))["bp", 1]
    assert rows.partial.sum() == 1
    value = rows[(rows.label == "bp") & (rows.seed == 1)].value.iloc[0]
    assert value == pytest.approx(14.0 * 5 * synthetic.seconds("bp", "digits", 1))


def test_on_a_gpu_host_and_device_are_added(tmp_path):
    synthetic = Synthetic(device="cuda", meters=("clock", "rapl"))
    object.__setattr__(synthetic, "meters", ("clock", "rapl", "nvml"))
    report = read(synthetic.write(tmp_path))
    seconds = 6 * synthetic.seconds("bp", "digits", 0)
    where = {"label": "bp", "dataset": "digits", "seed": 0, "phase": "train", "quantity": "energy"}
    assert only(report, meter="rapl + nvml", **where) == pytest.approx(114.0 * seconds)


def test_a_gpu_that_idles_beside_the_cpu_is_no_meter_of_the_learner(tmp_path):
    report = read(Synthetic(meters=("clock", "nvml")).write(tmp_path))
    assert pick(report, quantity="energy").empty


@pytest.mark.parametrize(
    ("channels", "kept"),
    [
        ({"package-0", "package-0/dram", "package-0/core", "package-1/uncore", "psys"}, {"package-0", "package-0/dram"}),
        ({"psys"}, {"psys"}),
        ({"cpu", "gpu", "ram"}, {"cpu", "gpu"}),
        ({"gpu-0", "gpu-1"}, {"gpu-0", "gpu-1"}),
        ({"psys", "package-0/dram"}, {"psys"}),
        ({"package-0-die-0", "package-0-die-1"}, {"package-0-die-0", "package-0-die-1"}),
        ({"input/VDD_IN", "rail/VDD_GPU_SOC"}, {"input/VDD_IN"}),
        ({"rail/GPU", "rail/CPU"}, {"rail/GPU", "rail/CPU"}),
    ],
)  # fmt: skip
def test_totals_are_made_of_disjoint_channels(channels, kept):
    assert total_channels(channels) == kept


def test_nothing_derived_is_not_a_number(report):
    assert not report.derived.value.isna().any()
    assert all(math.isfinite(value) for value in report.derived.value)
    assert isinstance(report.derived, pd.DataFrame)
