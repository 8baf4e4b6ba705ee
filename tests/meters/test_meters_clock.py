import time

import pytest

from fobench.contracts import MeterError, Provenance
from fobench.meters.clock import Clock


def test_duration_is_the_difference_of_the_monotonic_clock(monkeypatch):
    clock = Clock()
    ticks = iter([10.0, 12.5, 100.0, 100.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    durations = []
    for _ in range(2):
        clock.start()
        durations += clock.stop()
    assert [(r.quantity, r.value, r.unit, r.channel) for r in durations] == [
        ("duration", 2.5, "s", "total"),
        ("duration", 0.25, "s", "total"),
    ]
    assert durations[0].provenance is Provenance.MEASURED


def test_a_real_window_lasts_at_least_as_long_as_its_sleep():
    clock = Clock()
    clock.start()
    time.sleep(0.02)
    assert clock.stop()[0].value >= 0.02


def test_needs_nothing_and_resolves_microseconds():
    clock = Clock()
    assert clock.unavailable() is None
    assert 0 < clock.update_period_s <= 1e-6
    assert clock.channels == ("total",)


def test_stop_without_start_is_refused():
    clock = Clock()
    with pytest.raises(MeterError, match="without start"):
        clock.stop()
