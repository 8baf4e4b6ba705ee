"""What the engine costs a measurement: the same cell with its worker alive, and with it stopped, in turns, on one machine.

The cell that runs without the engine is started by a process of its own, which stops the engine's processes (SIGSTOP) for
as long as the cell lasts and lets them go on (SIGCONT) after it. The scheduler takes a worker for lost that is silent for
five minutes, so that the cell must be shorter.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fobench.contracts import ENGINE_VARIABLE, FobenchError, Part, Status
from fobench.harness.job import Job, output_of
from fobench.harness.launcher import launch
from fobench.harness.overhead import PRECISION, Pair, seconds_per_sample
from fobench.store import Entry, last_line, read


def pair(job: Job, swapped: bool) -> Pair:
    """Measure a cell with the engine and without it, in the other order if `swapped`."""
    plan = replace(job.cell.plan, training="sampled", precision=PRECISION, idle_s=0.0)
    job = replace(job, part=Part.MEASURE, cell=replace(job.cell, plan=plan))
    sides: dict[str, Callable[[Job, Path], Entry]] = {"with": launch, "without": launch_alone}
    seconds = {}
    with tempfile.TemporaryDirectory(prefix="fobench-overhead-") as folder:
        for name in sorted(sides, reverse=swapped):
            entry = sides[name](job, Path(folder) / name)
            if entry.status != Status.DONE:
                raise FobenchError(f"{job.cell.label} {entry.status} {name} the engine: {last_line(entry.reason)}")
            seconds[name] = seconds_per_sample(entry)
    return Pair(seconds["with"], seconds["without"])


def launch_alone(job: Job, folder: Path) -> Entry:
    """Run a cell while the engine's processes on this host stand still."""
    path = job.save(folder)
    environment = {name: value for name, value in os.environ.items() if name != ENGINE_VARIABLE}
    command = [sys.executable, "-m", "fobench.cluster.overhead", str(path), *os.environ[ENGINE_VARIABLE].split()]
    ended = subprocess.run(
        command, env=environment, start_new_session=True, capture_output=True, text=True, check=False
    )
    if not output_of(path).exists():
        raise FobenchError(f"the cell without the engine left nothing: {last_line(ended.stderr)}")
    return read(output_of(path))


def main(path: Path, engine: list[int]) -> None:
    """Stop the engine, run the job, and let the engine go on, whatever happens."""
    try:
        for pid in engine:
            os.kill(pid, signal.SIGSTOP)
        launch(Job.load(path), path.parent)
    finally:
        for pid in engine:
            os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(pid) for pid in sys.argv[2:]])
