"""A SLURM of one node, this host, from Debian's packages: own key, ports and files below one folder, without systemd.

Every daemon runs in the foreground as a child of this process. They run as the user who starts them, whose jobs alone
they accept. Nothing is written outside the folder.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from child_processes import Process, await_true, last_words, running

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel", "setpriv")
PACKAGES = "munge slurmctld slurmd slurm-client"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Debian keeps the daemons in /usr/sbin, which is not on every user's path."""
PATIENCE = 30
"""Seconds that the daemons may take to answer, and that a job may take to leave the queue."""


class SlurmError(RuntimeError):
    """SLURM did not start, or refused a command: what it said."""


def unavailable() -> str | None:
    """Say in one sentence which of SLURM's programs are missing here; None where all are installed."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    return f"SLURM is not installed: no {', '.join(missing)} (apt-get install {PACKAGES})" if missing else None


class SlurmNode:
    """A controller and one node with one partition, `main`, while the context is open.

    `environment` holds what SLURM's commands need beside the environment of this process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: dict[str, Process] = {}
        self._closing = ExitStack()

    def __enter__(self) -> SlurmNode:
        try:
            self._write_files()
            self._start("munged", "--foreground", "--force", *_munge_files(self.folder))
            self._await("munged", (self.folder / "munge.socket").exists)
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D")
            self._await("slurmd", self._idle)
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._closing:
            self._cancel_jobs()

    def command(self, program: str, *arguments: str) -> str:
        """Run one of SLURM's commands and return what it printed.

        Raises:
            SlurmError: it failed.
        """
        done = subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode != 0:
            raise SlurmError(f"{program} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """Submit a job that runs `script` in a shell, and return its id."""
        return self.command("sbatch", "--parsable", *options, "--wrap", script)

    def output(self, job: str) -> str:
        """Return what a job wrote."""
        return (self.folder / f"slurm-{job}.out").read_text()

    def queue(self) -> dict[str, str]:
        """Return the state of each job that has not ended, by its id."""
        lines = self.command("squeue", "--noheader", "--format=%i %T").splitlines()
        return {job: state for job, _, state in (line.partition(" ") for line in lines)}

    def await_ends(self) -> None:
        """Wait until no job is left in the queue."""
        await_true(lambda: not self.queue(), PATIENCE, lambda: f"the queue still holds {self.queue()}")

    def _write_files(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        (self.folder / "slurm.conf").write_text(_configuration(self.folder))

    def _start(self, name: str, *arguments: str) -> None:
        command = [name, *arguments]
        environment = os.environ | self.environment | {"PATH": PATH}
        self._daemons[name] = self._closing.enter_context(running(command, self._output(name), environment))

    def _output(self, name: str) -> Path:
        return self.folder / f"{name}.output"

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait for what a daemon does, as long as all of them run."""

        def answered() -> bool:
            for daemon, process in self._daemons.items():
                if process.poll() is not None:
                    raise SlurmError(f"{daemon} ended with {process.returncode}: {last_words(self._output(daemon))}")
            return ready()

        try:
            await_true(answered, PATIENCE, lambda: f"{name} does not answer: {last_words(self._output(name))}")
        except TimeoutError as failure:
            raise SlurmError(str(failure)) from None

    def _idle(self) -> bool:
        try:
            return self.command("sinfo", "--noheader", "--format=%T") == "idle"
        except (SlurmError, subprocess.TimeoutExpired):
            return False

    def _cancel_jobs(self) -> None:
        """Cancel all jobs and wait for them: their processes would outlive slurmd."""
        for job in self.queue():
            self.command("scancel", job)
        self.await_ends()


def _munge_files(folder: Path) -> list[str]:
    names = {
        "socket": "munge.socket",
        "key-file": "munge.key",
        "pid-file": "munged.pid",
        "log-file": "munged.log",
        "seed-file": "munged.seed",
    }
    return [f"--{option}={folder / name}" for option, name in names.items()]


def _configuration(folder: Path) -> str:
    """Return slurm.conf: nothing accounted, and no cgroups, for which a container has no rights.

    Tracking by process group waits for a worker that takes its time to end; proctrack/linuxproc loses sight of it when the
    job's shell is gone, and frees the node too early.
    """
    user = pwd.getpwuid(os.getuid()).pw_name
    node = subprocess.run(["slurmd", "-C"], env={"PATH": PATH}, capture_output=True, text=True, check=True).stdout
    hardware = node.splitlines()[0]
    name = hardware.split()[0].removeprefix("NodeName=")
    controller_port, node_port = _free_ports()
    return f"""\
ClusterName=fobench
SlurmctldHost={name}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
KillWait=2
{hardware} NodeAddr=127.0.0.1
PartitionName=main Nodes={name} Default=YES MaxTime=INFINITE State=UP
"""


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
