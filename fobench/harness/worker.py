"""The child's side: hold the host-wide lock, do one part of one cell, leave one result file."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from fobench.contracts import FobenchError, Header, Part, Status
from fobench.harness import lock
from fobench.harness.job import Job, output_of
from fobench.harness.launcher import READY_VARIABLE
from fobench.harness.machine import versions
from fobench.store import Writer


def main(path: Path) -> int:
    """Run the job in `path`; the exit code is 0 if its footer says done."""
    job = Job.load(path)
    ready = os.environ.pop(READY_VARIABLE, None)
    if ready is not None:
        lock.die_with_parent(os.getppid())
    with lock.hold(shared=job.part == Part.TRACE), Writer(output_of(path)) as writer:
        if ready is not None:
            os.close(int(ready))  # the parent's clock starts now
        return _finish(job, writer)


def _finish(job: Job, writer: Writer) -> int:
    try:
        _flush_denormals()
        if job.part == Part.TRACE:
            from fobench.harness.trace import trace as work
        else:
            from fobench.harness.measure import measure as work
        work(job, writer)
    except Exception as error:
        said = str(error).strip() if isinstance(error, FobenchError) else ""
        if not writer.has_header:
            writer.header(Header(job.part, job.cell, job.suite, job.machine, versions=versions()))
        writer.footer(Status.FAILED, said or traceback.format_exc())
        traceback.print_exc()
        return 1
    writer.footer(Status.DONE)
    return 0


def _flush_denormals() -> None:
    """Compute with zeros in place of denormal numbers, in this thread and all that it starts.

    Moments of silent units decay to denormal numbers, which slow a step of Adam to half its speed after some hundred steps
    (docs/decisions.md). It is a setting of the processor's, so that it belongs to a process that does nothing else.
    """
    import torch

    torch.set_flush_denormal(True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
