"""`fobench doctor`: what this machine is, and which meters can read here; an absent one says why and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from fobench import plugins
from fobench.contracts import FobenchError, Provenance, Reference
from fobench.harness import calibration, machine

UNREADABLE = "present but unreadable"
"""Words of a reason that tell a sensor which may not be read from one that is not there."""

PERIODS = 12
"""Update periods of the window in which a meter must give energy: meters call a counter stuck that stands still for ten."""


class Requirement(StrEnum):
    """What at least one meter must give."""

    MEASURED = "measured"


def verb(
    require: Annotated[
        Requirement | None,
        typer.Option("--require", help="Exit with code 1 unless an available meter gives energy of this kind."),
    ] = None,
) -> None:
    """Show this machine, and every installed meter: what it reads, or why it cannot and what to do."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for name, value in _machine().items():
        console.print(f"{name:<8}{value}", markup=False)
    table = Table("meter", "state", "channels and update period, or reason and remedy", box=box.SIMPLE)
    for name in plugins.installed("meters"):
        state, *details = _diagnose(name)
        table.add_row(name, state, Text("\n".join(details)))
    console.print(table)
    if require:
        measuring = [name for name in plugins.installed("meters") if _measures_energy(name)]
        if not measuring:
            console.print(f"No available meter gives {require} energy; the table above says why and what to do.")
            raise typer.Exit(1)
        console.print(f"Energy is {require} by: {', '.join(measuring)}", markup=False)


def _machine() -> dict[str, str]:
    facts = machine.facts()
    return {
        "Python": facts["versions"]["python"],
        "torch": facts["versions"].get("torch", "not installed; run `pip install -c constraints.txt .`"),
        "CPU": facts["cpu"],
        "cores": str(facts["cores"]),
        "memory": f"{facts['memory_gib']} GiB",
        "GPUs": ", ".join(facts["gpus"]) or "none",
    }


def _diagnose(name: str) -> tuple[str, ...]:
    """Probe one meter; a stranger's may fail in any way, which must not hide the others."""
    try:
        meter = plugins.create(Reference(name), "meters")
        try:
            reason = meter.unavailable()
            if reason:
                return "unreadable" if UNREADABLE in reason else "absent", reason
            return _available(meter)
        finally:
            meter.close()
    except FobenchError as error:
        return "broken", str(error)
    except Exception as error:
        return "broken", f"{type(error).__name__}: {error}; report it to whoever wrote this meter"


def _measures_energy(name: str) -> bool:
    """Say whether a meter gives measured energy in one window: a reading above 0, not only an answer to the probe."""
    try:
        meter = plugins.create(Reference(name), "meters")
        try:
            readings = [] if meter.unavailable() else calibration.energies(meter, calibration.Processor([]), PERIODS)
        finally:
            meter.close()
    except Exception:  # it is shown as broken in the table
        return False
    return any(reading.provenance is Provenance.MEASURED and reading.value > 0 for reading in readings)


def _available(meter: Any) -> tuple[str, ...]:
    summary = f"{', '.join(meter.channels)}; every {meter.update_period_s:.3g} s"
    return "available", summary, *getattr(meter, "notes", ())
