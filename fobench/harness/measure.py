"""The measuring process of one cell: clock and energy over idle, overhead, setup, train, calibrate and infer; no tracer here.

The learner is built twice from the same seed: the *warmed* one takes steps until their time is stable and is thrown away;
the *measured* one lives once, from untouched weights.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fobench.contracts import Calibrated, FobenchError, Learner, Phase
from fobench.harness import data, scores
from fobench.harness.instruments import open_meters
from fobench.harness.job import Job
from fobench.harness.lives import Workshop, enter_epoch, enter_stage, stages_of, synchroniser
from fobench.harness.windows import Windows, tiles
from fobench.store import Writer

OVERHEAD_WINDOWS = 10
WARM_UP_S = 5.0
"""Longest warm-up in seconds, once a few steps are done."""
WARM_UP_STEPS = (6, 60)
"""Fewest and most steps of a warm-up."""
STABLE = 0.05
"""Two successive half-windows of steps whose medians differ by less than this share are stable."""


def measure(job: Job, writer: Writer) -> None:
    """Measure one cell from idle to inference and write its rows; the footer is the caller's."""
    workshop = Workshop.open(job)
    meters, instruments = open_meters(job.cell.plan, Path(job.base))
    try:
        synchronise = synchroniser(job.cell.recipe.device)
        warmed = workshop.build()
        step_s = _warm_up(workshop, warmed, synchronise)
        writer.header(workshop.header(warmed, instruments))
        del warmed
        windows = Windows(meters, writer, synchronise, job.cell.plan.window_s)
        _Life(workshop, windows, step_s).lead()
    finally:
        for meter in meters.values():
            meter.close()


def _warm_up(workshop: Workshop, learner: Learner, synchronise: Callable[[], None]) -> float:
    """Take steps until two successive half-windows agree; return the median step time in seconds."""
    recipe = workshop.job.cell.recipe
    steps = data.batches(workshop.splits.train, recipe.batch_size, workshop.job.cell.seed)
    enter_stage(learner, 0)
    enter_epoch(learner, 0, recipe.epochs)
    fewest, most = WARM_UP_STEPS
    times: list[float] = []
    while len(times) < fewest or (len(times) < most and sum(times) < WARM_UP_S and not _stable(times)):
        times.append(_seconds(lambda: learner.train_step(*next(steps)), synchronise))
    return statistics.median(times[len(times) // 2 :])


def _stable(times: list[float]) -> bool:
    half = max(3, len(times) // 4)
    before, after = statistics.median(times[-2 * half : -half]), statistics.median(times[-half:])
    return abs(before - after) < STABLE * after


def _seconds(work: Callable[[], object], synchronise: Callable[[], None]) -> float:
    synchronise()
    start = time.perf_counter()
    work()
    synchronise()
    return time.perf_counter() - start


@dataclass
class _Life:
    """The life of the measured learner, phase after phase."""

    workshop: Workshop
    windows: Windows
    step_s: float

    def lead(self) -> None:
        """Go through all phases."""
        with self.windows.open(Phase.IDLE):
            time.sleep(max(self.workshop.job.cell.plan.idle_s, self.windows.length_s))
        for _ in range(OVERHEAD_WINDOWS):
            with self.windows.open(Phase.OVERHEAD):
                pass
        learner = self.workshop.construct()
        with self.windows.open(Phase.SETUP):
            self.workshop.set_up(learner)
        self._train(learner)
        self._calibrate(learner)
        self._infer(learner, self.workshop.job.cell.recipe.batch_size)
        self._infer(learner, 1)
        self._score(learner, Phase.INFER)

    def _train(self, learner: Learner) -> None:
        recipe = self.workshop.job.cell.recipe
        train = self.workshop.splits.train
        per_epoch = len(train.x) // recipe.batch_size
        steps = data.batches(train, recipe.batch_size, self.workshop.job.cell.seed)
        ends = tiles(recipe.epochs * per_epoch, self.windows.steps_each(self.step_s, recipe.epochs * per_epoch))
        scored = {min(ends, key=lambda end: abs(end - epoch * per_epoch)) for epoch in range(1, recipe.epochs + 1)}
        for stage in range(stages_of(learner)):
            enter_stage(learner, stage)
            start = 0
            for end in ends:
                with self.windows.open(Phase.TRAIN) as window:
                    for step in range(start, end):
                        if step % per_epoch == 0:
                            enter_epoch(learner, step // per_epoch, recipe.epochs)
                        learner.train_step(*next(steps))
                    window.samples, window.batch_size = (end - start) * recipe.batch_size, recipe.batch_size
                    window.stage, window.epoch = stage, end / per_epoch
                if end in scored:
                    self._score(learner, Phase.TRAIN, stage, end / per_epoch)
                start = end

    def _calibrate(self, learner: Learner) -> None:
        if not isinstance(learner, Calibrated):
            return
        held_out = self.workshop.splits.valid
        if held_out is None:
            raise FobenchError(
                f"{self.workshop.job.cell.label} calibrates on a validation split, and this data set has none"
            )
        with self.windows.open(Phase.CALIBRATE) as window:
            learner.calibrate(held_out.x, held_out.y)
            window.samples = len(held_out.x)

    def _infer(self, learner: Learner, batch_size: int) -> None:
        """Fill one window with whole predictions at one batch size; a few before it warm up."""
        inputs = self._inputs(batch_size)
        for _ in range(WARM_UP_STEPS[0]):
            learner.predict(next(inputs))
        with self.windows.open(Phase.INFER) as window:
            end = time.perf_counter() + self.windows.length_s
            while time.perf_counter() < end:
                learner.predict(next(inputs))
                window.samples += batch_size
            window.batch_size = batch_size

    def _inputs(self, batch_size: int) -> Iterator[Tensor]:
        test = self.workshop.splits.test
        if len(test.x) < batch_size:
            raise FobenchError(
                f"{len(test.x)} test samples do not fill one batch of {batch_size}; lower recipe.batch_size"
            )
        return (x for x, _ in data.in_order(test, batch_size))

    def _score(self, learner: Learner, phase: Phase, stage: int | None = None, epoch: float | None = None) -> None:
        test = self.workshop.splits.test
        with torch.no_grad():
            reading = scores.score(learner, self.workshop.task, test, self.workshop.job.cell.recipe.batch_size)
        self.windows.score(phase, reading, len(test.x), stage, epoch)
