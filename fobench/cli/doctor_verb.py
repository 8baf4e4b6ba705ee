"""`fobench doctor`: what this machine is, and which meters can read here; an absent one says why and what to do."""

from __future__ import annotations

from typing import Any

from fobench import plugins
from fobench.contracts import FobenchError, Reference
from fobench.harness import machine


def verb() -> None:
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
            return ("absent", reason) if reason else _available(meter)
        finally:
            meter.close()
    except FobenchError as error:
        return "broken", str(error)
    except Exception as error:
        return "broken", f"{type(error).__name__}: {error}; report it to whoever wrote this meter"


def _available(meter: Any) -> tuple[str, ...]:
    summary = f"{', '.join(meter.channels)}; every {meter.update_period_s:.3g} s"
    return "available", summary, *getattr(meter, "notes", ())
