"""One submitter at a time per suite and results folder, so that nothing is measured twice; kept by the kernel."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fobench.contracts import FobenchError

LOCK = ".submitter"


@contextmanager
def submitting(folder: Path) -> Iterator[None]:
    """Hold a suite's folder; raises FobenchError if another run is collecting results there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FobenchError(
                f"another `fobench run --cluster` collects results in {folder}; wait for it, or stop it"
            ) from error
        yield
