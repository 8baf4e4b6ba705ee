"""The meters of a cell: the host's load always, those of the plan that can read here, and why the others are absent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fobench import plugins
from fobench.contracts import Json, Meter, Plan, Reference
from fobench.harness.profile import profiled_period

HOST_LOAD = Reference("host")
"""Opened around every window, whatever the plan says: no time or energy can be judged without it."""


def open_meters(plan: Plan, base: Path) -> tuple[dict[str, Meter], dict[str, dict[str, Json]]]:
    """Probe every meter; return the available ones by name, host load first and clock last, and a description of all.

    The update period is the slower one of what the meter states and what `fobench calibrate` saw.
    """
    meters: dict[str, Meter] = {}
    described: dict[str, dict[str, Json]] = {}
    asked = [HOST_LOAD, *(meter for meter in plan.meters if meter != HOST_LOAD)]
    for reference in sorted(asked, key=lambda meter: meter.target == "clock"):
        meter: Meter = plugins.create(reference, "meters", base)
        reason = meter.unavailable()
        if reason:
            described[reference.name] = {"absent": reason}
            continue
        meters[reference.name] = meter
        described[reference.name] = {
            "channels": list(meter.channels),
            "update_period_s": max(meter.update_period_s, profiled_period(reference.target, 0.0)),
            "notes": list(getattr(meter, "notes", ())),
        }
    return meters, described


def slowest_period_s(described: Mapping[str, Mapping[str, Json]]) -> float:
    """Return the slowest update period in seconds of the meters that are present."""
    return max((meter["update_period_s"] for meter in described.values() if "update_period_s" in meter), default=0.0)
