"""The parent's side of a cell: start a fresh worker with a fixed environment, wait without polling, finish what it left.

Knows nothing of suites, and nothing of where the worker runs but the command line it starts.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from fobench.contracts import Header, Part, Status
from fobench.harness.job import ENDING, Job, output_of
from fobench.harness.machine import versions
from fobench.store import Entry, Writer, read, seal

READY_VARIABLE = "FOBENCH_READY_FD"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ALLOCATOR_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""glibc then gives memory back at once, so that a step's resident peak is its own; set for tracing only, they cost time."""


def environment(job: Job) -> dict[str, str]:
    """Return the worker's environment: threads, hash seed, allocator; the rest as the parent's."""
    fixed = dict.fromkeys(THREAD_VARIABLES, str(job.cell.recipe.threads))
    inherited = {name: value for name, value in os.environ.items() if name not in ALLOCATOR_VARIABLES}
    if job.part == Part.TRACE:
        fixed |= dict.fromkeys(ALLOCATOR_VARIABLES, "65536")
    return {**inherited, **fixed, "PYTHONHASHSEED": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def launch(job: Job, folder: Path) -> Entry:
    """Run one part of one cell in a process of its own and return its result file, which exists whatever happens."""
    path = job.save(folder)
    output = output_of(path)
    output.unlink(missing_ok=True)
    Writer(output).close()  # an empty `.partial`: what an earlier worker left there is worthless
    ready, lock_taken = os.pipe()
    with path.with_name(path.name.removesuffix(ENDING) + ".log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "fobench.harness.worker", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**environment(job), READY_VARIABLE: str(lock_taken)},
            pass_fds=(lock_taken,),
            start_new_session=True,
        )
    os.close(lock_taken)
    try:
        in_time = _wait(worker.pid, ready, job.cell.plan.timeout_s)
    finally:
        os.close(ready)
        _end(worker)
    if not output.exists():
        status, reason = _cause(worker.returncode, in_time, job)
        seal(output, _bare_header(job), status, reason)
    return read(output)


def _wait(pid: int, ready: int, timeout_s: float) -> bool:
    """Block until the worker ends; its time counts from when it holds the lock. Return False if it ran out."""
    process = os.pidfd_open(pid)
    try:
        select.select([process, ready], [], [])
        ended, _, _ = select.select([process], [], [], timeout_s)
        return bool(ended)
    finally:
        os.close(process)


def _end(worker: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the worker's process group and collect the worker."""
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def _cause(code: int, in_time: bool, job: Job) -> tuple[Status, str]:
    if not in_time:
        limit = job.cell.plan.timeout_s
        return Status.TIMEOUT, f"not finished after {limit:g} s; raise plan.timeout_s or look for a hanging learner"
    if code < 0:
        return Status.KILLED, f"killed by {signal.Signals(-code).name}; out of memory is the usual cause"
    return Status.KILLED, f"the process ended itself with exit code {code} before its results were complete"


def _bare_header(job: Job) -> Header:
    return Header(job.part, job.cell, job.suite, job.machine, versions=versions())
