"""Cooling down by temperature, on scripted sensors."""

from __future__ import annotations

from pathlib import Path

import pytest

from fobench.contracts import Plan
from fobench.harness.temperature import cool_down, temperatures


def test_sensors_are_read_in_degrees_and_implausible_ones_left_out(tmp_path: Path) -> None:
    values = {
        "class/thermal/thermal_zone0/temp": "45500\n",
        "class/thermal/thermal_zone1/temp": "-274000\n",
        "class/hwmon/hwmon0/temp1_input": "61000\n",
        "class/hwmon/hwmon0/temp2_input": "\n",
        "class/hwmon/hwmon1/temp1_input": "254000\n",
    }
    for name, text in values.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "class/hwmon/hwmon0/temp3_input").mkdir()
    assert temperatures(tmp_path) == {
        "class/thermal/thermal_zone0/temp": 45.5,
        "class/hwmon/hwmon0/temp1_input": 61.0,
    }
    assert temperatures(tmp_path / "nothing") == {}


@pytest.mark.parametrize(
    ("plan", "before", "trace", "slept"),
    [
        (Plan(cooldown_s=4), {"a": 40.0}, [{"a": 90.0}], 4),
        (Plan(cooldown_s=4, cooldown_band_c=3), {}, [{}], 4),
        (Plan(cooldown_s=60, cooldown_band_c=3), {"a": 40.0}, [{"a": 42.9}], 0),
        (Plan(cooldown_s=60, cooldown_band_c=3), {"a": 40.0}, [{"a": 50.0}, {"a": 46.0}, {"a": 43.0}], 2),
        (Plan(cooldown_s=2.5, cooldown_band_c=3), {"a": 40.0}, [{"a": 50.0}] * 9, 2.5),
        (Plan(cooldown_s=9, cooldown_band_c=3), {"a": 40.0, "b": 30.0}, [{"a": 41.0, "b": 34.0}, {"b": 31.0}], 1),
        (Plan(cooldown_s=3, cooldown_band_c=3), {"a": 40.0}, [{"c": 20.0}] * 9, 3),
    ],
    ids=["no band", "no sensor", "cool already", "cools", "stays hot", "each with itself", "sensor lost"],
)
def test_the_pause_ends_when_every_sensor_is_back_within_the_band(plan, before, trace, slept) -> None:
    pauses: list[float] = []
    cool_down(plan, before, lambda: trace[len(pauses)], pauses.append)
    assert sum(pauses) == slept
