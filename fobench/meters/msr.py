"""Intel's energy filter, read from a model-specific register: with it on, RAPL's counters carry deliberate noise.

Bit 0 of IA32_MISC_PACKAGE_CTLS (0xBC) is ENERGY_FILTERING_ENABLE (Intel, Running Average Power Limit Energy Reporting,
INTEL-SA-00389). Only root may read it, through the driver `msr`; other makers' processors do not have it.
"""

from __future__ import annotations

import os
from pathlib import Path

MISC_PACKAGE_CTLS = 0xBC
ENERGY_FILTERING_ENABLE = 1


def energy_filter(devices: Path) -> str:
    """Return `on ...`, `off` or `unknown ...` with the reason, from `cpu/0/msr` below `devices`."""
    try:
        register = _read(devices / "cpu" / "0" / "msr", MISC_PACKAGE_CTLS)
    except OSError as error:
        return f"unknown (model-specific register: {error.strerror or error})"
    if register is None:
        return "unknown (model-specific register: it could not be read whole)"
    if register & ENERGY_FILTERING_ENABLE:
        return "on (the counters carry deliberate noise: take long windows, or switch it off in the firmware)"
    return "off"


def _read(path: Path, register: int) -> int | None:
    """Read one 64-bit register; None if fewer bytes came."""
    file = os.open(path, os.O_RDONLY)
    try:
        content = os.pread(file, 8, register)
    finally:
        os.close(file)
    return int.from_bytes(content, "little") if len(content) == 8 else None
