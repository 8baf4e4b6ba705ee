"""What runs on a machine of the cluster: looking at the machine, and one part of one cell as a local run would do it.

The engine's worker is only the launcher's parent here: a cell still runs in two fresh processes behind the host-wide lock.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from distributed import get_worker

import fobench
from fobench.cluster import overhead
from fobench.cluster.delivery import RESULTS, Parcel, checksum
from fobench.cluster.quiet import Quiet
from fobench.contracts import Cell, FobenchError, Json, Part
from fobench.datasets.roots import data_root
from fobench.harness.job import ENDING, Job
from fobench.harness.launcher import launch
from fobench.harness.lock import DEFAULT_LOCK, LOCK_VARIABLE
from fobench.harness.machine import facts
from fobench.harness.overhead import Pair
from fobench.harness.preflight import Findings, inspect_apart
from fobench.harness.temperature import cool_down

MACHINE_VARIABLE = "FOBENCH_MACHINE"
"""Names the machine of a worker; without it the worker's own name does, if a person gave it one, else the host's."""


@dataclass(frozen=True)
class Look:
    """What one machine says of itself.

    `code` is the checksum of fobench's own source there, `host` what two workers of one host have in common, `clock_s` the
    time of day.
    """

    machine: str
    facts: dict[str, Json]
    code: str
    host: str
    clock_s: float
    findings: Findings


@dataclass(frozen=True)
class Question:
    """What a machine is asked about: cells that stand for all, plug-in folder, data folder if it was named."""

    cells: tuple[Cell, ...]
    base: str
    data: str | None
    require_real: bool


def look(question: Question) -> Look:
    """Ask this machine for its versions, data sets, meters and clock."""
    findings = inspect_apart(question.cells, question.base, data_root(question.data), question.require_real)
    return Look(machine_name(), facts(), code_checksum(), _host(), time.time(), findings)


def here(job: Job) -> Job:
    """Return a job as it is on this machine: the name, and the data folder, which each machine has its own of."""
    return replace(job, machine=machine_name(), data=str(data_root(job.data or None).resolve()))


def pair(job: Job, swapped: bool) -> Pair:
    """Measure a cell here with the engine and without it."""
    return overhead.pair(here(job), swapped)


def work(job: Job) -> Parcel:
    """Run one part of one cell here and return what it left; pauses first as the plan says, if a cell was measured before."""
    quiet = cast(Quiet, get_worker().plugins[Quiet.name])
    quiet.silence(get_worker())
    if job.part == Part.MEASURE and quiet.last_plan is not None:
        cool_down(quiet.last_plan, quiet.temperatures)
    job = here(job)
    with tempfile.TemporaryDirectory(prefix="fobench-", dir=get_worker().local_directory) as folder:
        launch(job, Path(folder))
        endings = (ENDING, RESULTS, ".log")
        paths = {ending: Path(folder, job.stem + ending) for ending in endings}
        files = {ending: path.read_text(encoding="utf-8", errors="replace") for ending, path in paths.items()}
    if job.part == Part.MEASURE:
        quiet.last_plan = job.cell.plan
    return Parcel(job.machine, job.stem, files, checksum(files[RESULTS]))


def machine_name() -> str:
    """Return the name of this machine, that is of its results folder."""
    given = os.environ.get(MACHINE_VARIABLE) or str(get_worker().name)
    if "://" in given or given.isdigit():  # the engine's own names for workers that nobody has named
        return platform.node().partition(".")[0] or "machine"
    if not given.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise FobenchError(f"worker {given!r} cannot name a folder; use letters, digits, '-', '_' and '.' in --name")
    return given


def code_checksum() -> str:
    """Return a checksum of all source files of fobench."""
    root = Path(fobench.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _host() -> str:
    """Return what tells hosts apart: the kernel's boot id and the lock, which tests give each host its own."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    identity = boot.read_text(encoding="utf-8").strip() if boot.exists() else socket.gethostname()
    return f"{identity} {os.environ.get(LOCK_VARIABLE, DEFAULT_LOCK)}"
