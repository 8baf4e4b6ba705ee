import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import Provenance, Reading
from fobench.harness import calibration, faults
from fobench.harness.faults import Fault, Response, Trace, Wave
from fobench.testing import SimulatedHost, SimulatedMeter

SECONDS = 10.0


def watched(host=None, **faulty):
    """Calibrate a simulated meter; return its entry of the profile."""
    host = host or SimulatedHost()
    return calibration.calibrate(SimulatedMeter(host, **faulty), SECONDS, host)


def classes(**faulty):
    return [channel["class"] for channel in watched(**faulty)["channels"].values()]


def powers(times, watts):
    return Trace(times, watts, is_power=True)


# --- every class on a meter that has that fault and no other -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faulty", "fault"),
    [
        ({}, "good"),
        ({"period_s": 0.1, "update_period_s": 0.1}, "good"),
        ({"stuck_after_s": 0.0}, "stuck"),
        ({"stuck_after_s": 5.0}, "stuck"),
        ({"quantum_j": 1.0}, "quantised"),
        ({"lag_s": 0.5}, "delayed"),
        ({"range_j": 31.0}, "wrapping"),
        ({"setback_j": 0.3}, "backwards"),
    ],
)
def test_a_known_fault_is_named(faulty, fault):
    assert classes(**faulty) == [fault]


def test_mirrors_are_named_and_the_original_is_good():
    assert classes(shares=(1.0, 0.5, 1.0, 0.3)) == ["good", "good", "mirrored", "good"]
    assert classes(shares=(1.0, 1.0, 1.0)) == ["good", "mirrored", "mirrored"]


@settings(max_examples=12, deadline=None)
@given(idle_w=st.floats(1, 50), ratio=st.floats(1.5, 20), period_s=st.floats(0.01, 0.05), data=st.data())
def test_faults_are_named_whatever_the_power_and_the_period(idle_w, ratio, period_s, data):
    fault = data.draw(st.sampled_from([fault for fault in Fault if fault != Fault.MIRRORED]))
    faulty = {
        Fault.GOOD: {},
        Fault.STUCK: {"stuck_after_s": data.draw(st.floats(0, SECONDS * 0.55))},
        Fault.QUANTISED: {"quantum_j": 10 * idle_w * ratio * period_s},
        Fault.DELAYED: {"lag_s": data.draw(st.floats(0.3, 0.8))},
        Fault.WRAPPING: {"range_j": 2.0 * idle_w * ratio},
        Fault.BACKWARDS: {"setback_j": data.draw(st.floats(2, 10)) * idle_w * ratio * period_s},
    }[fault]
    host = SimulatedHost(idle_w, idle_w * ratio)
    sound = {"period_s": period_s, "update_period_s": period_s, "quantum_j": 1e-6 * idle_w}
    entry = watched(host, **{**sound, **faulty})
    assert entry["channels"]["package-0"]["class"] == fault


def test_a_meter_without_raw_values_is_watched_through_its_windows(monkeypatch):
    monkeypatch.delattr(SimulatedMeter, "sense")
    assert classes() == ["good"]
    assert classes(stuck_after_s=0.0) == ["stuck"]
    assert classes(setback_j=0.3) == ["backwards"]
    assert classes(range_j=1000.0) == ["good"]
    assert classes(range_j=100.0) == ["wrapping"]
    assert classes(shares=(1.0, 1.0)) == ["good", "mirrored"]


def test_a_meter_that_gives_nothing_is_stuck_and_has_no_numbers(monkeypatch):
    monkeypatch.setattr(SimulatedMeter, "sense", lambda self: [])
    (channel,) = watched()["channels"].values()
    assert channel == {"class": "stuck", "quantum_unit": "J"}


# --- the numbers -------------------------------------------------------------------------------------------------------------


def test_a_good_meter_shows_the_simulated_truth():
    entry = watched(SimulatedHost(idle_w=4.0, busy_w=12.0), period_s=0.02, update_period_s=0.01, quantum_j=0.001)
    channel = entry["channels"]["package-0"]
    assert entry["claimed_update_period_s"] == 0.01
    assert entry["update_period_s"] == pytest.approx(0.02, rel=0.05)
    assert channel["quantum"] == pytest.approx(4.0 * 0.02, rel=0.05)  # one refresh at idle, far above the counter's own
    assert channel["idle_w"] == pytest.approx(4.0, rel=0.02)
    assert channel["busy_w"] == pytest.approx(12.0, rel=0.05)
    assert channel["response"] == pytest.approx(3.0, rel=0.08)
    assert channel["lag_s"] <= 0.04


def test_a_sampled_power_is_no_finer_than_its_samples(monkeypatch):
    """The sensor refreshes every 10 ms, but the meter samples it every 50 ms only."""

    def sense(self):
        refresh = int(self.host.now() / 0.01)
        used = self.host.joules(refresh * 0.01) - self.host.joules((refresh - 1) * 0.01)
        return [Reading("power", used / 0.01 + refresh % 7, Provenance.MEASURED, "package-0")]

    monkeypatch.setattr(SimulatedMeter, "sense", sense)
    entry = watched(update_period_s=0.05)
    assert entry["channels"]["package-0"]["update_period_s"] == pytest.approx(0.01, rel=0.1)
    assert entry["update_period_s"] == 0.05


def test_the_lag_and_the_quantum_of_faulty_meters_are_found():
    assert watched(lag_s=0.5)["channels"]["package-0"]["lag_s"] == pytest.approx(0.5, abs=0.03)
    assert watched(quantum_j=1.0)["channels"]["package-0"]["quantum"] == pytest.approx(1.0)


def test_what_counts_wrong_gets_no_power():
    for faulty in ({"stuck_after_s": 5.0}, {"range_j": 31.0}, {"setback_j": 0.3}):
        (channel,) = watched(**faulty)["channels"].values()
        assert not {"idle_w", "busy_w", "response", "update_period_s"} & set(channel)
        assert "update_period_s" not in watched(**faulty)


def test_a_load_that_does_not_show_has_no_lag():
    (channel,) = watched(SimulatedHost(idle_w=5.0, busy_w=5.0))["channels"].values()
    assert channel["class"] == "good"
    assert channel["response"] == pytest.approx(1.0, abs=0.02)
    assert "lag_s" not in channel


@given(period=st.integers(1, 50), steps=st.integers(4, 30), reads=st.integers(2, 10))
def test_the_period_is_found_by_watching_for_changes(period, steps, reads):
    """Reads at whole fractions of the period: the value changes at every `reads`-th read."""
    times = [index * period / reads for index in range(steps * reads)]
    values = [float(index // reads) for index in range(steps * reads)]
    assert faults.update_period(Trace(times, values)) == pytest.approx(period)


def test_reads_that_miss_some_changes_do_not_move_the_period():
    random.seed(1)
    times = sorted(random.sample(range(20_000), 8_000))
    assert faults.update_period(Trace(times, [time // 100 for time in times])) == pytest.approx(100, abs=2)


def test_too_few_changes_give_no_period_and_no_quantum():
    still = Trace([0, 1, 2], [5, 5, 5])
    assert faults.update_period(still) is None
    assert faults.quantum(still) is None
    assert faults.update_period(Trace([0, 1, 2], [1, 2, 3])) is None


def test_a_value_that_is_new_in_every_read_gives_no_period():
    """Its refresh may be anything up to the time between reads."""
    assert faults.update_period(Trace(range(100), range(100))) is None


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20))
def test_the_quantum_is_the_smallest_rise(rises):
    values = list(itertools.accumulate(rises, initial=0))
    assert faults.quantum(Trace(range(len(values)), values)) == min(rises)


def test_power_is_integrated_by_the_trapezoidal_rule():
    """A ramp of 2 W/s: t^2 joules."""
    trace = powers([0.0, 1.0, 2.0, 4.0], [0.0, 2.0, 4.0, 8.0])
    assert list(trace.joules) == [0.0, 1.0, 4.0, 16.0]
    assert trace.energy(1.0, 4.0) == 15.0


# --- sensors of power ----------------------------------------------------------------------------------------------------------

WAVE = Wave(idle=[(0, 1), (2, 3), (4, 5)], busy=[(1, 2), (3, 4)])


def square(lag, idle=2.0, busy=8.0):
    times = [index / 100 for index in range(501)]
    return powers(times, [busy if int(max(time - lag, 0)) % 2 else idle for time in times])


def test_the_response_of_a_power_sensor_is_found():
    response = faults.respond(square(lag=0.3), WAVE)
    assert (response.idle_w, response.busy_w) == (pytest.approx(2.0, abs=0.1), pytest.approx(8.0, abs=0.1))
    assert response.lag_s == pytest.approx(0.3, abs=0.02)
    assert faults.classify({"a": square(0.3)}, WAVE, 0.02) == {"a": Fault.DELAYED}
    assert faults.classify({"a": square(0.3)}, WAVE, 0.2) == {"a": Fault.GOOD}


def test_a_power_that_never_changes_is_stuck_and_one_that_rests_at_idle_is_not():
    assert faults.classify({"a": square(0, 3.0, 3.0)}, WAVE, 0.02) == {"a": Fault.STUCK}
    once = powers([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [3.0, 3.0, 3.0, 3.0, 3.1, 3.1])
    assert faults.classify({"a": once}, WAVE, 0.02) == {"a": Fault.GOOD}


def test_negative_power_is_no_counter_that_runs_backwards():
    assert faults.classify({"a": square(0, idle=-0.5)}, WAVE, 0.02) == {"a": Fault.GOOD}


def test_a_response_needs_a_trace_and_a_wave():
    assert faults.respond(Trace([0.0], [1.0]), WAVE) is None
    assert faults.respond(square(0), Wave([], [])) is None
    assert not Response(5.0, 5.5, 0.0).is_seen


# --- the real rig -----------------------------------------------------------------------------------------------------------


def test_the_load_computes_only_when_it_is_on():
    import psutil

    with calibration.processor() as rig:
        (process, *_) = [psutil.Process(p.pid) for p in rig._processes]
        before = sum(process.cpu_times()[:2])
        rig.sleep(0.1)
        assert sum(process.cpu_times()[:2]) == before
        rig.load(True)
        deadline = rig.now() + 30
        while sum(process.cpu_times()[:2]) == before and rig.now() < deadline:
            rig.sleep(0.01)
        assert sum(process.cpu_times()[:2]) > before
    assert not process.is_running()
