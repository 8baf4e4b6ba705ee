"""One side of an A/B: a process that builds learners from the source tree it was started in, and takes bursts of their steps.

Run by path, with one JSON request a line on standard input and one answer a line on standard output:
`{"build": CELL, "base": FOLDER}` gives `{"source": HASH}` or `{"refused": WHY}`, `{"run": STEPS}` gives `{"seconds": SECONDS}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import torch

from fobench import plugins
from fobench.contracts import Cell, Json, Staged, Task

SEED = 0


class Bench:
    """A learner with one batch of its task: random inputs, random labels, always the same."""

    def __init__(self, cell: Cell, base: Path) -> None:
        self.source = plugins.source_hash(cell.learner.target, "learners", base)
        torch.set_num_threads(cell.recipe.threads)
        torch.set_flush_denormal(True)
        torch.set_default_dtype(getattr(torch, cell.recipe.dtype))
        task: Task = plugins.create(cell.dataset, "datasets", base).task
        device, draw = cell.recipe.device, torch.Generator().manual_seed(SEED)
        self.learner: Any = plugins.create(cell.learner, "learners", base)
        self.learner.setup(task, torch.Generator(device).manual_seed(SEED), device)
        if isinstance(self.learner, Staged):
            self.learner.begin_stage(0)
        self.x = torch.randn(cell.recipe.batch_size, *task.input_shape, generator=draw).to(device)
        self.y = torch.randint(max(task.classes, 1), (cell.recipe.batch_size,), generator=draw).to(device)
        self.wait: Callable[[], object] = torch.cuda.synchronize if device.startswith("cuda") else lambda: None

    def run(self, steps: int) -> float:
        """Return the seconds that so many steps take."""
        self.wait()
        start = time.perf_counter()
        for _ in range(steps):
            self.learner.train_step(self.x, self.y)
        self.wait()
        return time.perf_counter() - start


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more."""
    bench: Bench | None = None
    for line in requests:
        request: dict[str, Json] = json.loads(line)
        try:
            if "build" in request:
                bench = Bench(Cell.from_json(request["build"]), Path(request["base"]))
                answer: dict[str, Json] = {"source": bench.source}
            elif bench is not None:
                answer = {"seconds": bench.run(request["run"])}
        except Exception as error:
            answer = {"refused": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # learners may print; the answers are the parent's alone
    serve(sys.stdin, own)
