"""`fobench regress`: are this source tree's steps slower than those of another revision? In one job, on one machine, in turns."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fobench.cli.options import SuiteFile
from fobench.contracts import FobenchError, Meter, Suite

if TYPE_CHECKING:
    from fobench.harness.abtest import Ratios
    from fobench.report.regression import Judgement, Limits

console = Console(highlight=False)


def verb(
    suite: SuiteFile,
    base: Annotated[
        str, typer.Option("--base", help="Revision to compare with; the merge base with it is taken.")
    ] = "main",
    rounds: Annotated[int, typer.Option("--rounds", min=2, help="Fresh pairs of processes for each learner.")] = 10,
    burst: Annotated[float, typer.Option("--burst", min=0.01, help="Seconds of steps at a time.")] = 0.1,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Growth that passes: 0.01 is 1 %.")] = 0.01,
    effect: Annotated[float, typer.Option("--effect", help="Growth that must be found: 0.05 is 5 %.")] = 0.05,
) -> None:
    """Compare the steps of a suite's learners with those of another revision; exit code 1 if any is surely slower."""
    from fobench.report.regression import Limits
    from fobench.suite import load_suite

    limits = Limits(tolerance, effect)
    loaded = load_suite(suite)
    root = Path(_git("rev-parse", "--show-toplevel"))
    with _tree(_git("merge-base", base, "HEAD")) as before:
        found = _taken(loaded, before, root, rounds, burst)
    for name, why in found.left_out.items():
        console.print(f"{name}: not timed, {why}", soft_wrap=True, markup=False)
    if _told(found, limits):
        raise typer.Exit(1)


def _taken(suite: Suite, before: Path, root: Path, number: int, burst_s: float) -> Ratios:
    """Take the rounds, one line after each."""
    from fobench.harness.abtest import Arms, Ratios, rounds

    meter = _energy_meter()
    length = max(burst_s, 10 * meter.update_period_s) if meter else burst_s
    cells = list({cell.trace_id: cell for cell in suite.cells}.values())
    base = str(Path(suite.base).resolve().relative_to(root))
    found = Ratios()
    try:
        for done, found in enumerate(rounds(Arms(before, root, cells, base, length, meter), number), start=1):
            if found.logs:
                console.print(f"round {done} of {number}", markup=False)
    finally:
        if meter:
            meter.close()
    return found


def _told(found: Ratios, limits: Limits) -> bool:
    """Print each judgement, and say whether any step is surely slower."""
    from fobench.report.regression import judge

    if not found.logs:
        console.print("nothing that these steps run has changed: there is nothing to time")
        return False
    logs = {f"{name}, {quantity}": values for name, by in found.logs.items() for quantity, values in by.items()}
    judged = judge(logs, limits)
    for name, made in judged.items():
        console.print(f"{name}: {_words(made, limits)}", soft_wrap=True, markup=False)
    slower = [name for name, made in judged.items() if made.slower]
    if slower:
        console.print(f"slower by more than {limits.tolerance:.0%}: {'; '.join(slower)}", soft_wrap=True, markup=False)
    return bool(slower)


def _words(made: Judgement, limits: Limits) -> str:
    ratio = f"{made.ratio.ratio:.3f} times ({made.ratio.low:.3f} to {made.ratio.high:.3f})"
    verdict = "SLOWER" if made.slower else "not slower" if made.resolved else "cannot tell"
    power = f"+{limits.effect:.0%} would be found with probability {made.power:.2f}"
    if made.slower or made.resolved:
        return f"{ratio}, {verdict}; {power}"
    return f"{ratio}, {verdict}: {power} on this host, so nothing fails; take more --rounds, or a quieter machine"


def _energy_meter() -> Meter | None:
    """Return the first meter that measures energy here, if there is one."""
    from fobench import plugins

    for name in ("rapl", "nvml"):
        meter: Meter = plugins.load(name, "meters")()
        if meter.unavailable() is None:
            return meter
    console.print("energy: no meter measures it here (rapl, nvml); time alone is compared")
    return None


@contextmanager
def _tree(revision: str) -> Iterator[Path]:
    """Check a revision out into a folder of its own for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        _git("worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise FobenchError("regress compares two revisions and needs git, which is not installed") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise FobenchError(
            f"git {arguments[0]}: {said}; run it inside the repository, and give --base a revision it knows"
        )
    return done.stdout.strip()
