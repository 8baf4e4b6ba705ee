import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fobench import plugins
from fobench.contracts import MeterError, Provenance
from fobench.meters.constant_power import ConstantPower


def opened(watts):
    meter = ConstantPower(watts=watts)
    assert meter.unavailable() is None
    return meter


@given(watts=st.floats(0.1, 500), seconds=st.floats(0, 1e5))
def test_energy_is_watts_times_seconds(watts, seconds):
    meter = opened(watts)
    with pytest.MonkeyPatch.context() as patch:
        now = [1000.0]
        patch.setattr(time, "perf_counter", lambda: now[0])
        meter.start()
        now[0] += seconds
        (reading,) = meter.stop()
    assert reading.value == pytest.approx(watts * seconds, rel=1e-9, abs=1e-7)
    assert (reading.quantity, reading.unit, reading.channel) == ("energy", "J", "board")
    assert reading.provenance is Provenance.ESTIMATED


def test_one_hour_of_a_jetson_nano_at_5_w_is_5_wh(monkeypatch):
    meter, now = opened(5), [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    meter.start()
    now[0] = 3600.0
    assert meter.stop()[0].value / 3600 == 5.0


@pytest.mark.parametrize("watts", [None, 0, -5, float("nan"), float("inf")])
def test_without_a_positive_power_it_is_absent_with_a_remedy(watts):
    reason = ConstantPower(watts=watts).unavailable()
    assert "give" in reason
    assert "\n" not in reason


def test_stop_needs_a_start_each_time():
    meter = opened(5)
    with pytest.raises(MeterError):
        meter.stop()
    meter.start()
    meter.stop()
    with pytest.raises(MeterError):
        meter.stop()


def test_it_can_be_named_by_its_class():
    plugin = plugins.load("fobench.meters.constant_power:ConstantPower", "meters")
    assert plugins.argument_names(plugin) == ["watts"]
