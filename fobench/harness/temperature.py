"""How warm the machine is, and waiting until it is as cool as before; only between cells, when nothing is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fobench.contracts import Plan

PLAUSIBLE_C = (-40.0, 150.0)
"""What a sensor that works can say; drivers report a missing one as 0 kelvin, or as the end of its scale."""

LOOK_EVERY_S = 1.0


def temperatures(root: Path = Path("/sys")) -> dict[str, float]:
    """Return degrees Celsius by sensor, from thermal zones and hwmon chips; empty where there are none."""
    paths = [
        *(root / "class/thermal").glob("thermal_zone*/temp"),
        *(root / "class/hwmon").glob("hwmon*/temp*_input"),
    ]
    found = {str(path.relative_to(root)): _celsius(path) for path in sorted(paths)}
    return {sensor: value for sensor, value in found.items() if value is not None}


def _celsius(path: Path) -> float | None:
    try:
        value = int(path.read_text(encoding="utf-8")) / 1000
    except (OSError, ValueError):  # a sensor that is asleep gives an error in place of a value
        return None
    return value if PLAUSIBLE_C[0] < value < PLAUSIBLE_C[1] else None


def cool_down(
    plan: Plan,
    before: Mapping[str, float],
    look: Callable[[], Mapping[str, float]] = temperatures,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Pause as the plan says: `cooldown_s`, or less once every sensor is back within the band above `before`.

    Without a band, and where no sensor was seen before, the whole pause is taken.
    """
    if plan.cooldown_band_c is None or not before:
        sleep(plan.cooldown_s)
        return
    left = plan.cooldown_s
    while left > 0 and _risen(before, look()) > plan.cooldown_band_c:
        sleep(min(LOOK_EVERY_S, left))
        left -= LOOK_EVERY_S


def _risen(before: Mapping[str, float], now: Mapping[str, float]) -> float:
    """Return by how many degrees the sensor that rose most has risen; each is compared with itself."""
    return max((now[sensor] - before[sensor] for sensor in before if sensor in now), default=float("inf"))
