"""A scheduler and two workers on loopback as two hosts: own lock, own name, own scratch; each can be killed and come back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from child_processes import await_true, last_words

from fobench.cluster.security import Certificate

TOYS = Path(__file__).parents[1] / "harness" / "toys.py"
SUITE = """\
suite: toys
blocks: 3
recipe: {epochs: 1, batch_size: 10, score_samples: 50}
plan: {meters: [clock, host], tracers: [macs], guards: [], window_s: 0.25, idle_s: 0.25, timeout_s: 60}
datasets: [{target: 'toys.py:Blobs', label: blobs}]
learners:
  - {target: 'toys.py:Toy', label: slow, network: [], step_s: 0.05}
  - {target: 'toys.py:Toy', label: slower, network: [], step_s: 0.08}
"""
"""Six cells in three blocks; a cell lasts about four seconds, most of them spent importing torch."""

FOBENCH = (sys.executable, "-c", "from fobench.cli.main import main; main()")


@dataclass
class ToyCluster:
    """Processes by name: `scheduler`, and a worker for each of `names`; `prefixes` run a worker elsewhere."""

    folder: Path
    names: tuple[str, ...] = ("a", "b")
    port: int = 0
    host: str = "127.0.0.1"
    tls: Certificate | None = None
    prefixes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{'tls' if self.tls else 'tcp'}://{self.host}:{self.port}"

    def start(self) -> None:
        with socket.socket() as probe:
            probe.bind((self.host, 0))
            self.port = probe.getsockname()[1]
        self.start_scheduler()
        for name in self.names:
            self.start_worker(name)

    def start_scheduler(self) -> None:
        protocol = ["--protocol", "tls"] if self.tls else []
        self._start("scheduler", ["dask_scheduler", "--host", self.host, "--port", str(self.port), *protocol], {})
        self._await("scheduler", "Scheduler at:")

    def start_worker(self, name: str, resources: str = "meter=1", **environment: str) -> None:
        options = ["--name", name, "--nthreads", "2", "--local-directory", str(self.folder / f"scratch-{name}")]
        options += ["--resources", resources, "--no-nanny", "--death-timeout", "60"]
        own = {"FOBENCH_LOCK": str(self.folder / f"lock-{name}"), **environment}
        self._start(name, ["dask_worker", self.address, *options], own)
        self._await(name, "Starting established connection")

    def _start(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        module, *options = arguments
        security = self.tls.options.split() if self.tls else ["--dashboard-address", "127.0.0.1:0"]
        command = [sys.executable, "-m", f"distributed.cli.{module}", *options, "--no-dashboard", *security]
        with self._output(name).open("wb") as output:
            self.processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self.prefixes.get(name, ()), *command],
                env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder,
            )  # fmt: skip

    def _output(self, name: str) -> Path:
        return self.folder / f"{name}.output"

    def _await(self, name: str, words: str) -> None:
        output = self._output(name)
        await_true(
            lambda: words in output.read_text(errors="replace"), 60, lambda: f"{name} is not up: {last_words(output)}"
        )

    def kill(self, name: str) -> None:
        """Kill a process as a power cut would, and with it the cell that it was measuring."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def toy_cluster(folder: Path, **options: object) -> Iterator[ToyCluster]:
    """Start a cluster in a folder that has the toys and their suite."""
    (folder / "toys.py").write_bytes(TOYS.read_bytes())
    (folder / "suite.yaml").write_text(SUITE)
    cluster = ToyCluster(folder, **options)  # type: ignore[arg-type]
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def fobench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder."""
    return subprocess.run([*FOBENCH, *arguments], cwd=folder, capture_output=True, text=True, check=False)
