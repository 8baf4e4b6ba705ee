import numpy as np
import pytest
from chb_files import RATE, write_edf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fobench.contracts import DatasetError
from fobench.datasets.chb_edf import duration, read_windows

STEP = 6000 / 65535
"""Of the converter that the files are written with, in microvolts."""


@pytest.fixture
def path(tmp_path):
    write_edf(tmp_path / "x.edf", 20)
    return tmp_path / "x.edf"


def refused(path, call=read_windows):
    with pytest.raises(DatasetError) as caught:
        call(path, [0], "FETCH") if call is read_windows else call(path, "FETCH")
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith("FETCH")
    return str(caught.value)


def test_windows_hold_every_second_value_of_both_channels(path):
    windows = read_windows(path, [3, 16, 0], "")
    time = np.arange(0, 4, 2 / RATE)
    for window, start in zip(windows, (3, 16, 0), strict=True):
        assert window[:512] == pytest.approx(start + time, abs=STEP)
        assert window[512:] == pytest.approx(-start - time, abs=STEP)
    assert windows.shape == (3, 1024)


def test_duration(path):
    assert duration(path, "") == 20


def test_electrodes_against_a_common_reference(tmp_path):
    time = np.arange(20 * RATE) / RATE
    signals = {"F7-CS2": 5 + time, "T7-CS2": 5 - time, "F8-CS2": time * 0, "T8-CS2": 2 * time}
    write_edf(tmp_path / "x.edf", 20, tuple(signals), signals)
    window = read_windows(tmp_path / "x.edf", [8], "")[0]
    assert window[:512] == pytest.approx(2 * (8 + np.arange(512) / 128), abs=2 * STEP)
    assert window[512:] == pytest.approx(-2 * (8 + np.arange(512) / 128), abs=2 * STEP)


def test_bare_electrode_names(tmp_path):
    time = np.arange(4 * RATE) / RATE
    write_edf(tmp_path / "x.edf", 4, ("F7", "T7", "F8", "T8"), {"F7": time, "T7": 0 * time, "F8": time, "T8": 0 * time})
    assert read_windows(tmp_path / "x.edf", [0], "")[0, 511] == pytest.approx(4 - 2 / RATE, abs=2 * STEP)


def test_missing_channel(tmp_path):
    write_edf(tmp_path / "x.edf", 4, ("F7-T7", "T8-P8"))
    assert "has no channel F8-T8" in refused(tmp_path / "x.edf")


def test_another_rate(tmp_path):
    write_edf(tmp_path / "x.edf", 4, rate=200)
    assert "200 Hz in 'uV', expected 256 Hz" in refused(tmp_path / "x.edf")


def test_another_unit(tmp_path):
    write_edf(tmp_path / "x.edf", 4, unit="mV")
    assert "in 'mV', expected 256 Hz in 'uV'" in refused(tmp_path / "x.edf")


def test_cut_in_the_middle(path, capfd):
    whole = path.read_bytes()
    for call in (read_windows, duration):
        path.write_bytes(whole[: len(whole) // 2])
        assert (
            f"has {len(whole) // 2} bytes, but its header says 20 records of 5 signals, which is {len(whole)}"
            in refused(path, call)
        )
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("length", [0, 100, 255, 300, 1300])
def test_cut_in_the_header(path, length):
    path.write_bytes(path.read_bytes()[:length])
    assert "has no whole EDF header" in refused(path)


def test_header_of_another_format(path):
    path.write_bytes(b"1" + path.read_bytes()[1:])
    assert "cannot be read as EDF" in refused(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1535), st.sampled_from(b"0 9-x\xff"))
def test_any_damage_to_the_header_is_read_or_refused_in_one_sentence(path, place, byte):
    content = bytearray(path.read_bytes())
    damaged = path.with_name("damaged.edf")
    content[place] = byte
    damaged.write_bytes(content)
    try:
        assert read_windows(damaged, [0], "FETCH").shape == (1, 1024)
    except DatasetError as error:
        assert str(error).startswith(str(damaged))
