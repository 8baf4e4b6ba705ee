"""Derived units against the worked example of docs/units.md, and the section that tables them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_results import MEASURED, Synthetic

from fobench.contracts import Context, Part, Phase, Reading, Status
from fobench.report.document import Document
from fobench.report.inputs import ReportError, ReportInput, read
from fobench.report.net import Power, subtract_idle
from fobench.report.render.markdown import text
from fobench.report.sections.units import derived_units
from fobench.report.trajectory import trajectories
from fobench.report.units import (
    Intensity,
    Reached,
    Scenario,
    battery_days,
    battery_joules,
    car_metres,
    carbon_intensity,
    energy_delay_product,
    grams_co2e,
    inference_share,
    joules_per_sample,
    joules_to_target,
    lamp_seconds,
    middle,
    millijoules,
    watt_hours,
)
from fobench.store import ResultStore

PAGE = (Path(__file__).parents[2] / "docs" / "units.md").read_text()
TRAINING_J, TRAINING_S, SAMPLES, PREDICTION_J = 90.0, 30.0, 20_000, 0.002
"""The example of the page."""


def worked(words: str) -> float:
    """Return the result that the page gives in the table row that begins with these words."""
    (row,) = re.findall(rf"^\| {re.escape(words)} \|.*= ([\d.,]+)[^|]*\|$", PAGE, re.MULTILINE)
    return float(row.replace(",", ""))


def close(value: float) -> object:
    """The page rounds to four digits or fewer."""
    return pytest.approx(value, rel=5e-4)


def test_the_example_is_the_pages() -> None:
    shown = re.search(r"\*\*(\d+) J\*\* in \*\*(\d+) s\*\*.*\*\*([\d,]+)\*\* samples.*\*\*(\d+) mJ\*\*", PAGE)
    assert shown is not None
    assert shown.groups() == ("90", "30", "20,000", "2")


def test_the_scenario_is_the_pages() -> None:
    scenario = Scenario()
    assert (scenario.battery_mah, scenario.battery_v, scenario.updates, scenario.inferences) == (300, 3.7, 1, 86_400)
    for shown in ("**300 mAh** at **3.7 V**", "**1** update", "**86,400** single predictions"):
        assert shown in PAGE


def test_energy_units() -> None:
    assert joules_per_sample(TRAINING_J, SAMPLES) == close(worked("J per training sample")) == 0.0045
    assert watt_hours(TRAINING_J) == close(worked("Wh per training")) == 0.025
    assert millijoules(PREDICTION_J) == close(worked("mJ per prediction")) == 2
    assert energy_delay_product(TRAINING_J, TRAINING_S) == close(worked("energy-delay product")) == 2700


def test_life_units() -> None:
    """A day takes 90 J for its update and 86,400 * 2 mJ = 172.8 J for its predictions."""
    scenario = Scenario()
    assert battery_joules(300, 3.7) == close(worked("energy of the cell")) == 3996
    assert scenario.inferences_per_update == worked("predictions per update") == 86_400
    share = inference_share(TRAINING_J, PREDICTION_J, scenario.inferences_per_update)
    assert share == close(worked("share of predictions"))
    assert share == pytest.approx(172.8 / 262.8)
    days = battery_days(scenario, TRAINING_J, PREDICTION_J)
    assert days == close(worked("battery-days"))
    assert days * (90 + 172.8) == pytest.approx(3996)


def test_net_energy_of_the_page() -> None:
    net, error = subtract_idle(TRAINING_J, TRAINING_S, Power(2.0, math.sqrt(2 * 0.1**2) / math.sqrt(2)))
    assert (net, error) == pytest.approx((30, 3))
    assert "**30 J**, known to 30 × 0.1 = **3 J**" in PAGE


def test_co2e_of_the_page() -> None:
    france = Intensity("France", 56.039, 2023)
    assert grams_co2e(TRAINING_J, france) == pytest.approx(0.001401, rel=5e-4)
    assert "= 0.001401 g" in PAGE
    assert grams_co2e(3.6e6, france) == pytest.approx(56.039)
    assert car_metres(409) == pytest.approx(1609.344), "a mile"
    assert car_metres(grams_co2e(TRAINING_J, france)) == pytest.approx(5.513e-3, rel=5e-4)
    assert "here 5.513 mm" in PAGE
    assert lamp_seconds(TRAINING_J) == 9
    assert "here 9 s" in PAGE


def test_the_target_of_the_page() -> None:
    assert joules_to_target([0.30, 0.12, 0.09], [20, 40, 60], 0.10) == Reached(60)
    assert joules_to_target([0.30, 0.12], [20, 60], 0.10) == Reached(60, censored=True)
    assert middle([Reached(50), Reached(60), Reached(60, censored=True)]) == Reached(60)
    assert middle([Reached(50), Reached(60, True), Reached(70, True)]) == Reached(60, censored=True)


def test_the_first_time_counts_and_the_target_itself_suffices() -> None:
    assert joules_to_target([0.3, 0.1, 0.2, 0.05], [1, 2, 3, 4], 0.1) == Reached(2)


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(1, 100)), min_size=1, max_size=9))
def test_the_median_over_blocks_encloses_the_true_one(pairs: list[tuple[float, float]]) -> None:
    """True joules and a budget for each block: only what lies within the budget is seen."""
    seen = middle([Reached(min(true, budget), true > budget) for true, budget in pairs])
    truth = sorted(true for true, _ in pairs)
    middle_two = truth[(len(truth) - 1) // 2], truth[len(truth) // 2]
    median = sum(middle_two) / 2
    assert seen.joules <= median * (1 + 1e-12) if seen.censored else seen.joules == pytest.approx(median)


@given(st.floats(1e-6, 1e6), st.floats(1e-9, 1e3), st.floats(1, 1e6), st.floats(0.01, 100))
def test_days_and_share_are_consistent(training: float, prediction: float, inferences: float, updates: float) -> None:
    """The joules of the cell are those of all predictions over its days, divided by their share."""
    scenario = Scenario(updates=updates, inferences=inferences)
    share = inference_share(training, prediction, scenario.inferences_per_update)
    days = battery_days(scenario, training, prediction)
    assert days * inferences * prediction == pytest.approx(share * battery_joules(300, 3.7))


def test_a_country_has_a_dated_intensity_and_an_unknown_one_is_refused() -> None:
    france, usa = carbon_intensity("FRA"), carbon_intensity("usa")
    assert (france.country, usa.country) == ("France", "United States")
    assert 20 < france.grams_per_kwh < 100 < usa.grams_per_kwh < 600
    assert 2015 <= france.year <= 2100
    with pytest.raises(ReportError, match=r"'FRX'.*three letters.*FRA"):
        carbon_intensity("FRX")


@pytest.mark.parametrize(
    "wrong", [{"battery_mah": 0}, {"battery_v": -1}, {"updates": math.nan}, {"inferences": math.inf}, {"target": 10.0}]
)
def test_an_impossible_scenario_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ReportError, match=next(iter(wrong)).split("_")[0]):
        Scenario(**wrong)


def learning(tmp_path: Path, errors: dict[str, list[float]]) -> ReportInput:
    """Write learners with two stages of two windows of 10 J each, scored after every one; a final score follows."""
    synthetic = Synthetic(labels=tuple(errors), datasets=("digits",), meters=("clock", "rapl"))
    store = ResultStore(tmp_path, "course", "alpha")
    for label, scores in errors.items():
        cell = synthetic.cell(label, "digits", 0)
        with store.writer(cell, Part.MEASURE) as writer:
            writer.header(synthetic.header(Part.MEASURE, cell))
            for number in range(4):
                where = {"window": number, "stage": number // 2, "epoch": 1.0 + number % 2}
                seen = {"samples": 500, "batch_size": 100}
                writer.rows(Context(Phase.TRAIN, "clock", **where, **seen), [Reading("duration", 2.0, MEASURED)])
                readings = [
                    Reading("energy", 10.0, MEASURED, "package-0"),
                    Reading("energy", 9.0, MEASURED, "package-0/core"),
                ]
                writer.rows(Context(Phase.TRAIN, "rapl", **where, **seen), readings)
                writer.rows(
                    Context(Phase.TRAIN, "score", **where), [Reading("error", scores[number], MEASURED, "test")]
                )
            infer = {"window": 0, "samples": 1000, "batch_size": 1}
            writer.rows(Context(Phase.INFER, "clock", **infer), [Reading("duration", 1.0, MEASURED)])
            writer.rows(Context(Phase.INFER, "rapl", **infer), [Reading("energy", 4.0, MEASURED, "package-0")])
            writer.rows(Context(Phase.INFER, "score", samples=1), [Reading("error", scores[-1], MEASURED, "test")])
            writer.footer(Status.DONE)
    return read(tmp_path)


COURSE = {"bp": [0.5, 0.2, 0.1, 0.1], "ff": [0.5, 0.4, 0.3, 0.2], "slow": [0.9, 0.8, 0.7, 0.108]}


def shown(report: ReportInput, scenario: Scenario | None = None) -> str:
    return text(Document("t", "s", tuple(derived_units(report, scenario))))


def test_a_trajectory_adds_up_windows_in_the_order_of_stages(tmp_path: Path) -> None:
    found = trajectories(learning(tmp_path, COURSE), "rapl")["bp", "digits", 0]
    assert found.errors == (0.5, 0.2, 0.1, 0.1, 0.1)
    assert found.joules == (10, 20, 30, 40, 40)


def test_learners_that_never_arrive_are_censored_not_dropped(tmp_path: Path) -> None:
    """The target is 1.1 times the final 10 % of bp: 11 %."""
    page = shown(learning(tmp_path, COURSE))
    assert "| digits | bp | 11.0 | 30.00ᵐ |" in page
    assert "| digits | ff | 11.0 | > 40.00 (0 of 1)ᵐ |" in page
    assert "| digits | slow | 11.0 | 40.00ᵐ |" in page


def test_a_target_of_the_scenario_stands_in_place_of_the_default(tmp_path: Path) -> None:
    page = shown(learning(tmp_path, COURSE), Scenario(target=0.3))
    assert "| digits | ff | 30.0 | 30.00ᵐ |" in page
    assert "1.1 times" not in page
    page = shown(learning(tmp_path, COURSE), Scenario(baseline="ff"))
    assert "| digits | bp | 22.0 | 20.00ᵐ |" in page
    assert "1.1 times the mean final error of ff" in page


def test_the_tables_of_a_training_by_hand(tmp_path: Path) -> None:
    """40 J and 8 s over 2,000 samples: 20 mJ, 11.11 mWh, 320 J s; 4 mJ per prediction; a day takes 40 + 345.6 J."""
    page = shown(learning(tmp_path, COURSE))
    assert "| digits | bp | 20.00ᵐ | 11.11ᵐ | 4.000ᵐ | 320.0ᵐ |" in page
    assert "| digits | bp | 89.63ᵉ | 10.36ᵉ |" in page
    assert "3,996 J" in page
    assert "CO2e" not in page


def test_co2e_is_a_column_only_where_a_country_is_given(tmp_path: Path) -> None:
    page = shown(learning(tmp_path, COURSE), Scenario(country="FRA"))
    france = carbon_intensity("FRA")
    micrograms = 40 / 3.6e6 * france.grams_per_kwh * 1e6
    assert "CO2e [µg]" in page
    assert f"| {micrograms:.1f}ᵉ |" in page
    assert f"France, {france.year}" in page


def test_blocks_are_joined_and_spread_is_shown(tmp_path: Path) -> None:
    page = shown(read(Synthetic(meters=("clock", "rapl")).write(tmp_path)))
    assert "72.0 ± 2.0ᵐ" in page
    assert "(0 of 3)" in page


def test_a_learner_without_whole_energy_keeps_its_row(tmp_path: Path) -> None:
    invalid = {("ff", seed): "foreign load" for seed in (0, 1, 2)}
    page = shown(read(Synthetic(meters=("clock", "rapl"), invalid=invalid).write(tmp_path)))
    assert "| digits | ff | 5.61 | – |" in page
    assert "– = no block" in page


def test_what_is_derived_from_estimated_energy_is_estimated(tmp_path: Path) -> None:
    page = shown(read(Synthetic(meters=("clock", "codecarbon")).write(tmp_path)))
    assert "Meter: codecarbon" in page
    assert "ᵉ" in page
    assert "ᵐ" not in page
