"""`fobench calibrate`: find out what each energy meter is worth on this machine, and keep it as a device profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fobench import plugins
from fobench.contracts import FobenchError, Json, Reference
from fobench.harness import calibration, lock, profile

COLUMNS = ("meter", "channel", "class", "period [s]", "quantum", "idle [W]", "busy [W]", "busy/idle", "lag [s]")
WIDTH = 120
"""Characters that the table needs: in fewer, names and numbers would be cut short."""


def verb(
    meter: Annotated[
        list[str] | None,
        typer.Option("--meter", help="Meter to calibrate, repeatable [default: all].", show_default=False),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, help="Time per meter; longer finds more.")] = 10.0,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File of the profile [default: the user's configuration.]", show_default=False),
    ] = None,
) -> None:
    """Watch each energy meter idle and under a square wave of load; classify its faults; store a device profile."""
    from rich.console import Console
    from rich.table import Table

    meters: dict[str, dict[str, Json]] = {}
    absent: dict[str, str] = {}
    console = Console(highlight=False)
    path = output or profile.default_path()
    with lock.hold(), calibration.processor() as rig:
        for name in meter or plugins.installed("meters"):
            found = _calibrate(name, seconds, rig, asked=bool(meter))
            if isinstance(found, str):
                absent[name] = found
                console.print(f"{name}: {found}", markup=False)
            else:
                meters[name] = found
    if not meters:
        raise FobenchError("no meter could be calibrated; see `fobench doctor` for the remedies")
    profile.save(path, meters, absent)
    table = Table(*COLUMNS)
    for name, entry in meters.items():
        for channel, known in entry["channels"].items():
            table.add_row(name, channel, *_cells(known))
    Console(highlight=False, width=max(console.width, WIDTH)).print(table)
    for name, entry in meters.items():
        console.print(f"{name}: one window's start and stop take {entry['read_cost_s']:.3g} s", markup=False)
    console.print(f"Profile: {path} (valid for {profile.MOST_HOURS} h on this machine)", markup=False, soft_wrap=True)


def _calibrate(name: str, seconds: float, rig: calibration.Rig, asked: bool) -> dict[str, Json] | str:
    """Calibrate one meter, or say why not; a stranger's meter may fail in any way, which must not cost the others."""
    try:
        meter = plugins.create(Reference(name), "meters")
    except FobenchError as error:
        if asked:
            raise
        return str(error)
    try:
        return meter.unavailable() or _entry(meter, seconds, rig)
    except FobenchError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}; report it to whoever wrote this meter"
    finally:
        meter.close()


def _entry(meter: Any, seconds: float, rig: calibration.Rig) -> dict[str, Json] | str:
    if not calibration.energies(meter, rig):
        return "not calibrated: it gave no energy in a window of its update period"
    return calibration.calibrate(meter, seconds, rig)


def _cells(known: dict[str, Any]) -> list[str]:
    """Write one channel's row; what was not seen stays a dash."""

    def shown(name: str, unit: str = "") -> str:
        return f"{known[name]:.3g}{unit}" if name in known else "-"

    quantum = shown("quantum", f" {known['quantum_unit']}")
    return [known["class"], shown("update_period_s"), quantum, *map(shown, ("idle_w", "busy_w", "response", "lag_s"))]
