"""Which meters a cell gets, and how a device profile lengthens its windows."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import FAST

from fobench.contracts import Plan, Reference
from fobench.harness import instruments, profile

HERE = Path(__file__).parent


def plan(*meters: Reference) -> Plan:
    return Plan(meters=meters)


def test_the_host_load_comes_first_the_clock_last_and_absent_meters_leave_a_reason() -> None:
    meters, described = instruments.open_meters(
        plan(
            Reference("clock"),
            Reference("toys.py:Sensor", {}, "one"),
            Reference("toys.py:Sensor", {"absent": "no"}, "two"),
        ),
        HERE,
    )
    assert list(meters) == ["host", "one", "clock"]
    assert described["two"] == {"absent": "no"}
    assert described["one"]["channels"] == ["a", "b"]


def test_a_profile_lengthens_windows_and_never_shortens_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"toys.py:Sensor": 0.5, "host": 1e-6}
    monkeypatch.setattr(instruments, "profiled_period", lambda name, default: seen.get(name, default))
    _, described = instruments.open_meters(plan(Reference("toys.py:Sensor", {}, "one")), HERE)
    assert described["one"]["update_period_s"] == 0.5
    assert described["host"]["update_period_s"] == 0.02
    assert instruments.slowest_period_s(described) == 0.5
    assert instruments.slowest_period_s({"x": {"absent": "no"}}) == 0.0


def test_without_a_profile_the_meter_is_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(profile, "default_path", lambda: tmp_path / "none.json")
    _, described = instruments.open_meters(FAST, HERE)
    assert instruments.slowest_period_s(described) == 0.02
