"""The training of the measured learner: windows of whole steps, stage after stage; all of them, or a sample of each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from fobench.contracts import Learner, Phase
from fobench.harness import data
from fobench.harness.lives import Workshop, enter_epoch, enter_stage, stages_of
from fobench.harness.sampling import Costs
from fobench.harness.windows import MOST_WINDOWS, Window, Windows, tiles

if TYPE_CHECKING:
    from torch import Tensor

Score = Callable[[int, float], None]
"""What is called with stage and epoch at the window ends nearest to epoch ends."""


@dataclass
class Training:
    """Trains a learner by the recipe of a job; `step_s` is what a step took when it was warm."""

    workshop: Workshop
    windows: Windows
    step_s: float

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch: whole batches."""
        return len(self.workshop.splits.train.x) // self.workshop.job.cell.recipe.batch_size

    @property
    def steps(self) -> int:
        """Steps of a stage by the recipe."""
        return self.workshop.job.cell.recipe.epochs * self.per_epoch

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        job = self.workshop.job
        return data.batches(self.workshop.splits.train, job.cell.recipe.batch_size, job.cell.seed)

    def full(self, learner: Learner, score: Score) -> None:
        """Train the whole budget in windows that cover every step once."""
        epochs = self.workshop.job.cell.recipe.epochs
        ends = tiles(self.steps, self.windows.steps_each(self.step_s, self.steps))
        scored = {min(ends, key=lambda end: abs(end - epoch * self.per_epoch)) for epoch in range(1, epochs + 1)}
        batches = self._batches()
        for stage in range(stages_of(learner)):
            enter_stage(learner, stage)
            for start, end in pairwise([0, *ends]):
                self._window(learner, stage, range(start, end), batches)
                if end in scored:
                    score(stage, end / self.per_epoch)

    def sampled(self, learner: Learner) -> None:
        """Train each stage until its cost per sample is known to the plan's precision, or its windows run out.

        The windows are the first ones of the stage's budget: what a step costs does not depend on the epoch, since
        schedules change step sizes and no tensor work.
        """
        cell = self.workshop.job.cell
        ends = tiles(self.steps, self.windows.steps_each(self.step_s, self.steps, most=None))[:MOST_WINDOWS]
        batches = self._batches()
        for stage in range(stages_of(learner)):
            enter_stage(learner, stage)
            self.windows.budget(stage, self.steps * cell.recipe.batch_size, cell.recipe.batch_size)
            costs = Costs()
            for start, end in pairwise([0, *ends]):
                costs.add(self._window(learner, stage, range(start, end), batches))
                if costs.precise(cell.plan.precision):
                    break

    def _window(self, learner: Learner, stage: int, steps: range, batches: Iterator[tuple[Tensor, Tensor]]) -> Window:
        recipe = self.workshop.job.cell.recipe
        with self.windows.open(Phase.TRAIN) as window:
            for step in steps:
                if step % self.per_epoch == 0:
                    enter_epoch(learner, step // self.per_epoch, recipe.epochs)
                learner.train_step(*next(batches))
            window.samples, window.batch_size = len(steps) * recipe.batch_size, recipe.batch_size
            window.stage, window.epoch = stage, steps.stop / self.per_epoch
        return window
