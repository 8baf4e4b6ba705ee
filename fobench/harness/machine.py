"""What the machine is: facts that results must not be averaged across."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fobench.contracts import IDENTITY, FobenchError, Json

PACKAGES = ("fobench", "torch", "numpy", "codecarbon", "nvidia-ml-py", "fvcore")


def default_name() -> str:
    """Return the host's name, the name of a machine that was not given one."""
    return platform.node().partition(".")[0] or "machine"


def facts() -> dict[str, Json]:
    """Describe this machine: processor, memory, governor, GPUs, powercap zones, operating system, versions."""
    return {
        "cpu": _cpu(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "gpus": _gpus(),
        "governor": _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "powercap": sorted(zone.name for zone in Path("/sys/class/powercap").glob("*:*")),
        "system": f"{platform.system()} {platform.release()}",
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that move numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def record(folder: Path, name: str, described: Mapping[str, Json] | None = None) -> None:
    """Write `machine.json` into a machine's result folder; refuse a folder that another machine wrote under this name.

    `described` are the facts of a machine elsewhere; without them they are those of this one.
    """
    path = folder / "machine.json"
    now = {"name": name, **(facts() if described is None else described)}
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [fact for fact in IDENTITY if before.get(fact) != now[fact]]
        if changed:
            found = ", ".join(f"{fact} was {before.get(fact)!r}, is {now[fact]!r}" for fact in changed)
            raise FobenchError(f"machine {name!r} has changed: {found}; choose another name with --machine")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _cpu() -> str:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or sys.platform


def _gpus() -> list[str]:
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        names = [pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
        pynvml.nvmlShutdown()
    except Exception:  # no driver, no library, no permission: NVML raises its own types for each
        return []
    return [str(name) for name in names]
