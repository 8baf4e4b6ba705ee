"""What a run says while it measures, and at its end; on one machine and on many."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from fobench.contracts import Cell
    from fobench.harness.runner import Outcome
    from fobench.harness.states import State

console = Console(highlight=False)


def say(line: str) -> None:
    """Print one line as it is."""
    console.print(line, soft_wrap=True, markup=False)


def counted(states: list[State]) -> str:
    """Return how many cells stand where."""
    from fobench.harness.states import State

    counts = Counter(states)
    return ", ".join(f"{counts[state]} {state}" for state in State)


def shown(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """Print one line per cell, between windows only: nothing runs in this process while a worker measures."""
    from fobench.store import last_line

    start = time.monotonic()
    for done, outcome in enumerate(outcomes, start=1):
        left = duration((time.monotonic() - start) / done * (total - done))
        cell = outcome.cell
        where = f" on {outcome.machine}" if outcome.machine else ""
        reason = f": {last_line(outcome.reason)}" if outcome.reason else ""
        line = (
            f"[{done}/{total}] {cell.label} on {cell.dataset.name}, seed {cell.seed}{where}: {outcome.status}{reason}"
        )
        say(line + f" ({outcome.seconds:.0f} s" + (f", about {left} left)" if done < total else ")"))
        yield outcome


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def advise(outcomes: list[Outcome], log: Callable[[Outcome], Path], doubtful: list[tuple[Cell, str]]) -> None:
    """Sum up; say of failed cells where their output is, and of unstable ones what to do."""
    from fobench.contracts import Status

    counts = Counter(outcome.status for outcome in outcomes)
    if outcomes:
        say("finished: " + ", ".join(f"{number} {status}" for status, number in counts.items()))
    for outcome in outcomes:
        if outcome.status != Status.DONE:
            path = log(outcome)
            say(f"failed: see {path}; --retry-failed tries again" if path.exists() else "failed: run again")
    for cell, reason in doubtful:
        say(f"unstable: {cell.label} on {cell.dataset.name}, seed {cell.seed}: {reason}")
    if doubtful:
        say(f"{len(doubtful)} cells are unstable: remove the cause, --rerun-unstable measures them again")
