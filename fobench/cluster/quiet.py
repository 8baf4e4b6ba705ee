"""Keep the engine out of the measurement: what its worker does by the clock is stopped, its heartbeat made slow.

Set as dask configuration where fobench starts the processes, and as a plugin on every worker, whoever started it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

import psutil
from distributed import NannyPlugin, WorkerPlugin
from tornado.ioloop import PeriodicCallback

from fobench.contracts import ENGINE_VARIABLE, Plan
from fobench.harness.temperature import temperatures

HEARTBEAT_S = 60.0
"""Far below the five minutes after which a scheduler gives up a silent worker; a broken connection it sees at once."""

CONFIGURATION: Mapping[str, Any] = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.admin.tick.interval": "10s",
    "distributed.admin.tick.cycle": "60s",
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
}
"""Settings of dask.distributed under which a worker that has nothing to do does nothing."""


class Quiet(WorkerPlugin):
    """On a worker: silences its clockwork, tells the meters which processes are the engine's, kills cells at its end."""

    name = "fobench"
    idempotent = True

    def __init__(self) -> None:
        self.temperatures: dict[str, float] = {}
        self.last_plan: Plan | None = None

    def setup(self, worker: Any) -> None:
        """Stop everything periodic but a slow heartbeat."""
        self.temperatures = temperatures()
        parent = os.getppid() if worker.nanny else None
        os.environ[ENGINE_VARIABLE] = " ".join(str(pid) for pid in (os.getpid(), parent) if pid)
        slow = PeriodicCallback(worker.heartbeat, HEARTBEAT_S * 1000)
        worker.periodic_callbacks[self.name] = slow
        slow.start()
        self.silence(worker)

    def silence(self, worker: Any) -> None:
        """Stop what the worker has started since; a worker that joins starts its clockwork after `setup`."""
        worker.loop.add_callback(_silence, worker)

    def teardown(self, worker: Any) -> None:
        """Kill the cells that run here: a worker that ends delivers nothing more."""
        kill_cells()


def kill_cells() -> None:
    """Kill the cells that run below this process."""
    for child in psutil.Process().children(recursive=True):
        if "fobench.harness.worker" in " ".join(_command(child)):
            child.send_signal(signal.SIGKILL)


class QuietNanny(NannyPlugin):
    """On a worker's nanny: silences its clockwork too."""

    name = "fobench-nanny"
    restart = False

    def setup(self, nanny: Any) -> None:
        """Stop everything periodic."""
        _silence(nanny)


def _silence(server: Any) -> None:
    for name, callback in server.periodic_callbacks.items():
        if name not in (Quiet.name, "keep-alive"):  # once a minute each
            callback.stop()


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
