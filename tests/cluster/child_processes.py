"""Processes that a test starts beside itself, and waiting for what they do."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

Process = subprocess.Popen[bytes]


@contextmanager
def running(command: Sequence[str], output: Path, environment: Mapping[str, str]) -> Iterator[Process]:
    """Run a program with its words in `output`; it is stopped at the end, and by the kernel if this process dies."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: Process) -> None:
    """Ask a process to end, and kill it after 10 s."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def lives(pid: int) -> bool:
    """Whether a process runs: one that ended may keep its number until its parent asks how."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def await_true(condition: Callable[[], bool], seconds: float, failure: Callable[[], str]) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not hold in so many seconds, with what `failure` says then.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:g} s {failure()}")
        time.sleep(0.05)


def last_words(output: Path) -> str:
    """Return the last lines that a process wrote, in one line."""
    return " | ".join(output.read_text(errors="replace").splitlines()[-5:])
