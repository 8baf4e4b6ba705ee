"""The meters that a plan asks for: those that can read here, and why the others are absent."""

from __future__ import annotations

from pathlib import Path

from fobench import plugins
from fobench.contracts import Json, Meter, Plan


def open_meters(plan: Plan, base: Path) -> tuple[dict[str, Meter], dict[str, dict[str, Json]]]:
    """Probe every meter of the plan; return the available ones by name, clock last, and a description of all."""
    meters: dict[str, Meter] = {}
    described: dict[str, dict[str, Json]] = {}
    for reference in sorted(plan.meters, key=lambda meter: meter.target == "clock"):
        meter: Meter = plugins.create(reference, "meters", base)
        reason = meter.unavailable()
        if reason:
            described[reference.name] = {"absent": reason}
            continue
        meters[reference.name] = meter
        described[reference.name] = {"channels": list(meter.channels), "update_period_s": meter.update_period_s}
    return meters, described
