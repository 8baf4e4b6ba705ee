"""Two source trees against each other: the same steps, in turns, in fresh pairs of processes, within one job.

A round is a pair of processes and counts as one value: what a process has for its whole life (where its memory lies) is
drawn anew in each. Within a round the two sides take bursts of steps in the order ABBA BAAB, and each side's value is that of
the burst which the host disturbed least: the smallest.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from fobench.contracts import Cell, FobenchError, Json, Meter, total_channels
from fobench.harness.launcher import THREAD_VARIABLES

STEPPER = Path(__file__).with_name("stepper.py")
TURNS = (0, 1, 1, 0, 1, 0, 0, 1) * 3
"""Which side takes a burst, in time's order: a drift over a round cancels."""


class ABError(FobenchError):
    """Two trees that cannot be compared."""


@dataclass(frozen=True)
class Arms:
    """The two trees, what runs in both, how long a burst is (s), and an energy meter if the host has a measuring one."""

    before: Path
    after: Path
    cells: Sequence[Cell]
    base: str = "."
    burst_s: float = 0.1
    meter: Meter | None = None


@dataclass
class Ratios:
    """What the rounds gave by label and data set: log ratios after / before of each quantity, or why there are none."""

    logs: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, ratios: Mapping[str, float]) -> None:
        """Take in one round's log ratios of one cell."""
        for quantity, value in ratios.items():
            self.logs.setdefault(name, {}).setdefault(quantity, []).append(value)


class Side:
    """One process of one tree; leaves nothing behind."""

    def __init__(self, tree: Path, threads: int) -> None:
        self.tree = tree
        fixed = dict.fromkeys(THREAD_VARIABLES, str(threads))
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(STEPPER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree,
            env={**os.environ, **fixed, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"},
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, request: Mapping[str, Json]) -> dict[str, Json]:
        """Send one request and wait for its answer; raises ABError for a process that died."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer: dict[str, Json] = json.loads(self.process.stdout.readline())
        except (OSError, ValueError) as error:
            raise ABError(f"the process of {self.tree} died; its last words stand above") from error
        return answer


def rounds(arms: Arms, number: int) -> Iterator[Ratios]:
    """Take so many rounds and yield all ratios so far after each; a cell whose source is the same is left out at once."""
    found = Ratios()
    for turn in range(number):
        _round(arms, found, turn)
        yield found
        if len(found.left_out) == len(arms.cells):
            return


def _round(arms: Arms, found: Ratios, turn: int) -> None:
    """Take one round of all cells in a pair of fresh processes, the side that starts first being each in turn."""
    trees = (arms.before, arms.after)
    threads = max(cell.recipe.threads for cell in arms.cells)
    with ExitStack() as stack:
        started = {side: stack.enter_context(Side(trees[side], threads)) for side in (turn % 2, 1 - turn % 2)}
        sides = [started[0], started[1]]
        for cell in arms.cells:
            name = f"{cell.label} on {cell.dataset.name}"
            if name in found.left_out:
                continue
            built = [side.ask({"build": cell.as_json(), "base": arms.base}) for side in sides]
            if why := _why_not(name, built):
                found.left_out[name] = why
            else:
                found.add(name, _bursts(sides, arms))


def _why_not(name: str, built: Sequence[Mapping[str, Json]]) -> str:
    before, after = built
    if "refused" in after:
        raise ABError(f"{name} cannot be built in the tree under test: {after['refused']}")
    if "refused" in before:
        return f"not to be built before: {before['refused']}"
    return "nothing that its step runs has changed" if before["source"] == after["source"] else ""


def _bursts(sides: Sequence[Side], arms: Arms) -> dict[str, float]:
    """Return the log ratios, after / before, of the least disturbed bursts of a round."""
    steps = _steps(sides[0], arms.burst_s)
    for side in sides:
        side.ask({"run": steps})  # warm
    taken: list[dict[str, list[float]]] = [{}, {}]
    for place in TURNS:
        for quantity, value in _burst(sides[place], steps, arms.meter).items():
            taken[place].setdefault(quantity, []).append(value)
    before, after = ({quantity: min(values) for quantity, values in side.items()} for side in taken)
    return {quantity: math.log(after[quantity] / before[quantity]) for quantity in before if quantity in after}


def _steps(side: Side, burst_s: float) -> int:
    """Return how many steps fill a burst, found by doubling."""
    steps = 1
    while (seconds := float(side.ask({"run": steps})["seconds"])) < burst_s / 2:
        steps *= 2
    return max(1, round(steps * burst_s / seconds))


def _burst(side: Side, steps: int, meter: Meter | None) -> dict[str, float]:
    """Return seconds, and joules where there is a meter, of one burst; the parent waits meanwhile."""
    if meter is None:
        return {"time": float(side.ask({"run": steps})["seconds"])}
    meter.start()
    seconds = float(side.ask({"run": steps})["seconds"])
    readings = [row for row in meter.stop() if row.quantity == "energy"]
    counted = total_channels(row.channel for row in readings)
    joules = sum(row.value for row in readings if row.channel in counted)
    return {"time": seconds, **({"energy": joules} if joules > 0 else {})}
