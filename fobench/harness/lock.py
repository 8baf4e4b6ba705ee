"""One measured cell at a time per host, no worker without its parent: kept by the kernel, so that kill -9 cannot break it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import IO

from fobench.contracts import FobenchError

LOCK_VARIABLE = "FOBENCH_LOCK"
DEFAULT_LOCK = "/tmp/fobench.lock"
_PR_SET_PDEATHSIG = 1


def hold(shared: bool = False) -> IO[bytes]:
    """Wait, without polling, for the host-wide lock and return the open file that holds it.

    Who shares it, as traces do, runs beside others that share it, and never beside who does not.
    The kernel releases it when the process ends, however it ends. `FOBENCH_LOCK` names another file, for tests only: power
    meters see the machine, not the process.
    """
    path = Path(os.environ.get(LOCK_VARIABLE, DEFAULT_LOCK))
    try:
        file = path.open("r+b") if path.exists() else path.open("a+b")
        if os.fstat(file.fileno()).st_uid == os.getuid():
            os.fchmod(file.fileno(), 0o666)
    except OSError as error:
        raise FobenchError(
            f"the host-wide lock {path} cannot be opened ({error}); make it readable and writable"
        ) from error
    fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    return file


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; exit at once if that has already happened."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
