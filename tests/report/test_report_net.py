"""Net energy and its propagated error, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_results import MEASURED, Synthetic

from fobench.contracts import Context, Part, Phase, Provenance, Reading, Status
from fobench.report.document import Document
from fobench.report.inputs import ReportInput, read
from fobench.report.net import Power, idle_powers, net_energy, subtract_idle
from fobench.report.render.markdown import text
from fobench.report.sections.net import net
from fobench.store import ResultStore


def idle(rows: list[tuple[int, int, str, float, float]], meter: str = "rapl") -> pd.DataFrame:
    """A frame of idle windows: seed, window, channel, joules, seconds."""
    made = []
    for seed, window, channel, joules, seconds in rows:
        where = {"label": "bp", "dataset": "d", "seed": seed, "phase": "idle", "window": window, "invalid": ""}
        made.append({**where, "quantity": "energy", "meter": meter, "channel": channel, "value": joules})
        made.append({**where, "quantity": "duration", "meter": "clock", "channel": "total", "value": seconds})
    return pd.DataFrame(made).drop_duplicates()


def report_of(tmp_path: Path, idles: dict[int, list[float]], busy: float = 30.0) -> ReportInput:
    """Write one learner that trains 100 s and predicts 10 s at `busy` W; `idles` are the powers of 10 s idle windows by seed."""
    synthetic = Synthetic(labels=("bp",), datasets=("digits",), meters=("clock", "rapl"))
    store = ResultStore(tmp_path, "nets", "alpha")
    for seed, powers in idles.items():
        cell = synthetic.cell("bp", "digits", seed)
        with store.writer(cell, Part.MEASURE) as writer:
            writer.header(synthetic.header(Part.MEASURE, cell))
            windows = [(Phase.IDLE, 10.0, power) for power in powers]
            windows += [(Phase.TRAIN, 100.0, busy), (Phase.INFER, 10.0, busy)]
            for number, (phase, seconds, watts) in enumerate(windows):
                where = {"window": number, "samples": 0 if phase == Phase.IDLE else 400, "batch_size": 1}
                writer.rows(Context(phase, "clock", **where), [Reading("duration", seconds, MEASURED)])
                readings = [Reading("energy", watts * seconds, MEASURED, "package-0")]
                readings.append(Reading("energy", 5 * watts * seconds, MEASURED, "package-0/core"))
                writer.rows(Context(phase, "rapl", **where), readings)
            writer.footer(Status.DONE)
    return read(tmp_path)


def test_subtracting_idle_by_hand() -> None:
    """100 J in 20 s at 3 W idle, known to 0.1 W: 40 J, known to 2 J."""
    assert subtract_idle(100.0, 20.0, Power(3.0, 0.1)) == (40.0, 2.0)
    assert subtract_idle(100.0, 20.0, Power(3.0, None)) == (40.0, None)
    assert subtract_idle(10.0, 20.0, Power(3.0, 0.1))[0] == -50.0


@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(0.1, 1e3), st.floats(0, 10))
def test_net_is_below_gross_and_its_error_grows_with_time(
    joules: float, seconds: float, watts: float, error: float
) -> None:
    net_j, spread = subtract_idle(joules, seconds, Power(watts, error))
    assert net_j < joules
    assert spread == pytest.approx(error * seconds)
    assert net_j + watts * seconds == pytest.approx(joules)


def test_nothing_is_left_of_two_equal_numbers() -> None:
    assert subtract_idle(14.0 * 2.04, 2.04, Power(14.0, 0.0))[0] == 0


def test_two_idle_windows_per_process_give_the_spread_within() -> None:
    """Powers 9 and 11 W, and 20 and 20 W: s = sqrt((1 + 1 + 0 + 0) / (4 - 2)) = 1 W, so 1 / sqrt(2) W for the mean of two."""
    powers = idle_powers(
        idle([(0, 0, "p", 90, 10), (0, 1, "p", 110, 10), (1, 0, "p", 200, 10), (1, 1, "p", 200, 10)]), "rapl"
    )
    assert powers["bp", "d", 0].watts == 10
    assert powers["bp", "d", 1].watts == 20
    assert [power.error for power in powers.values()] == [pytest.approx(1 / math.sqrt(2))] * 2


def test_one_idle_window_per_process_gives_the_spread_between() -> None:
    """Powers 9, 10 and 11 W: s = 1 W, each process has one window."""
    powers = idle_powers(idle([(0, 0, "p", 90, 10), (1, 0, "p", 50, 5), (2, 0, "p", 110, 10)]), "rapl")
    assert [power.watts for power in powers.values()] == [9, 10, 11]
    assert [power.error for power in powers.values()] == pytest.approx([1, 1, 1])


def test_windows_of_unequal_length_are_weighed_by_time() -> None:
    powers = idle_powers(idle([(0, 0, "p", 100, 10), (0, 1, "p", 60, 5)]), "rapl")
    assert powers["bp", "d", 0].watts == pytest.approx(160 / 15)


def test_a_single_idle_window_has_no_known_error() -> None:
    assert idle_powers(idle([(0, 0, "p", 90, 10)]), "rapl") == {("bp", "d", 0): Power(9.0, None)}


def test_channels_are_those_of_the_total_and_incomplete_windows_are_left_out() -> None:
    """Package with DRAM; core is inside the package; the second window lacks DRAM."""
    rows = [(0, 0, "package-0", 80, 10), (0, 0, "package-0/dram", 20, 10), (0, 0, "package-0/core", 70, 10)]
    powers = idle_powers(idle([*rows, (0, 1, "package-0", 500, 10)]), "rapl")
    assert powers["bp", "d", 0].watts == 10


def test_invalid_windows_are_left_out() -> None:
    frame = idle([(0, 0, "p", 90, 10), (0, 1, "p", 900, 10)])
    frame.loc[frame.window == 1, "invalid"] = "foreign load"
    assert idle_powers(frame, "rapl")["bp", "d", 0].watts == 9


def test_the_sum_of_two_meters_has_the_sum_of_their_idle_powers() -> None:
    both = pd.concat([idle([(0, 0, "package-0", 90, 10)]), idle([(0, 0, "gpu-0", 200, 10)], "nvml")]).drop_duplicates()
    assert idle_powers(both, "rapl + nvml")["bp", "d", 0].watts == 29


def test_an_unknown_meter_has_no_idle_power() -> None:
    assert idle_powers(idle([(0, 0, "p", 90, 10)]), "nvml") == {}


def test_net_of_a_training_over_blocks(tmp_path: Path) -> None:
    """Idle 9/11 and 12/12 W: se(P) = sqrt(2 / 2) / sqrt(2) W each; 100 s at 30 W leave 2000 and 1800 J.

    The error of the mean is hypot(70.7, 70.7) / 2 = 50 J.
    """
    (made,) = net_energy(report_of(tmp_path, {0: [9.0, 11.0], 1: [12.0, 12.0]}), "rapl", "train").values()
    assert (made.gross, made.net, made.watts, made.blocks) == pytest.approx((3000, 1900, 11, 2))
    assert made.error == pytest.approx(50)
    assert made.provenance == Provenance.MEASURED


def test_a_process_without_idle_window_takes_no_part(tmp_path: Path) -> None:
    report = report_of(tmp_path, {0: [9.0, 11.0], 1: []})
    assert net_energy(report, "rapl", "train")["bp", "digits"].blocks == 1
    assert net_energy(report, "nvml", "train") == {}


def test_net_of_a_prediction(tmp_path: Path) -> None:
    """10 s at 30 W over an idle power of 10 W hold 400 predictions: 0.5 J each, known to 10 s * 1 W / 400 = 25 mJ."""
    (made,) = net_energy(report_of(tmp_path, {0: [9.0, 11.0]}), "rapl", "infer", "single").values()
    assert (made.gross, made.net, made.error) == pytest.approx((0.75, 0.5, 0.025))


def test_the_section_shows_net_beside_gross_and_marks_it_estimated(tmp_path: Path) -> None:
    page = text(Document("t", "s", tuple(net(report_of(tmp_path, {0: [9.0, 11.0], 1: [12.0, 12.0]})))))
    assert "| digits | bp | 2 | 833.3ᵐ | 11.00ᵐ | 528 ± 14ᵉ | 63.3ᵉ |" in page
    assert "Gross [mWh]" in page


def test_the_section_says_when_the_error_is_not_known(tmp_path: Path) -> None:
    page = text(Document("t", "s", tuple(net(report_of(tmp_path, {0: [9.0]})))))
    assert "its error is not known" in page
    assert "583.3ᵉ" in page


def test_without_idle_windows_the_section_says_what_is_missing(tmp_path: Path) -> None:
    page = text(Document("t", "s", tuple(net(report_of(tmp_path, {0: [], 1: []})))))
    assert "idle window" in page
    assert "|" not in page
