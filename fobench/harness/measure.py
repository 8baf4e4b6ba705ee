"""The measuring process of one cell: clock and energy over idle, overhead, setup, train, calibrate and infer; no tracer here.

The learner is built twice from the same seed: the *warmed* one takes steps until their time is stable and is thrown away;
the *measured* one lives once, from untouched weights.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from fobench.contracts import Calibrated, Context, FobenchError, Learner, Phase, Plan
from fobench.harness import data, profile, scores
from fobench.harness.diagnostics import Diagnostics
from fobench.harness.exits import exits
from fobench.harness.guards import open_guards
from fobench.harness.instruments import open_meters, slowest_period_s
from fobench.harness.job import Job
from fobench.harness.lives import Workshop, enter_epoch, enter_stage, synchroniser
from fobench.harness.training import Training
from fobench.harness.windows import PERIODS_PER_WINDOW, Window, Windows
from fobench.store import Writer

OVERHEAD_WINDOWS = 10
WARM_UP_S = 5.0
"""Longest warm-up in seconds, once a few steps are done."""
WARM_UP_STEPS = (6, 60)
"""Fewest and most steps of a warm-up."""
STABLE = 0.05
"""Two successive half-windows of steps whose medians differ by less than this share are stable."""


def measure(job: Job, writer: Writer) -> None:
    """Measure one cell from idle to idle and write its rows; the footer is the caller's."""
    workshop = Workshop.open(job)
    plan = job.cell.plan
    meters, instruments = open_meters(plan, Path(job.base))
    try:
        synchronise = synchroniser(job.cell.recipe.device)
        guards, notes = open_guards(plan)
        warmed = workshop.build()
        times = _warm_up(workshop, warmed, synchronise)
        notes += [_told(times), *_left_out(warmed, plan), *profile.notes()]
        diagnostics, described = Diagnostics.open(workshop, warmed)
        writer.header(workshop.header(warmed, {**instruments, **described}, notes))
        del warmed
        wished_s = max(plan.window_s, PERIODS_PER_WINDOW * slowest_period_s(instruments))
        windows = Windows(meters, writer, synchronise, wished_s, guards, plan.retries)
        _Life(workshop, windows, diagnostics, statistics.median(times[len(times) // 2 :])).lead()
    finally:
        for meter in meters.values():
            meter.close()


def _warm_up(workshop: Workshop, learner: Learner, synchronise: Callable[[], None]) -> list[float]:
    """Take steps until two successive half-windows agree; return the seconds of each."""
    recipe = workshop.job.cell.recipe
    steps = data.batches(workshop.splits.train, recipe.batch_size, workshop.job.cell.seed)
    enter_stage(learner, 0)
    enter_epoch(learner, 0, recipe.epochs)
    fewest, most = WARM_UP_STEPS
    times: list[float] = []
    while len(times) < fewest or (len(times) < most and sum(times) < WARM_UP_S and not _stable(times)):
        times.append(_seconds(lambda: learner.train_step(*next(steps)), synchronise))
    return times


def _told(times: list[float]) -> str:
    """Say how the warm-up ended."""
    end = "stable" if _stable(times) else f"not stable: its last two half-windows differ by more than {STABLE:.0%}"
    return f"warm-up: {len(times)} steps, {end}"


def _left_out(learner: Learner, plan: Plan) -> list[str]:
    """Say what a sampled training cannot be followed by."""
    if plan.training == "full":
        return []
    what = "calibration, inference or score" if isinstance(learner, Calibrated) else "score"
    return [f"training was sampled: no {what} was measured, since nothing was learned to the end"]


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
    diagnostics: Diagnostics
    step_s: float

    def lead(self) -> None:
        """Go through all phases, idle at both ends."""
        self.windows.repeat(self._idle)
        for _ in range(OVERHEAD_WINDOWS):
            self.windows.repeat(self._nothing)
        learner = self.workshop.construct()
        with self.windows.open(Phase.SETUP):
            self.workshop.set_up(learner)
        self._live(learner)
        self.windows.repeat(self._idle)
        self._count_exits(learner)

    def _live(self, learner: Learner) -> None:
        """Train, calibrate and infer; what depends on the trained weights only where they are trained to the end."""
        training = Training(self.workshop, self.windows, self.step_s)
        if self.workshop.job.cell.plan.training == "sampled":
            training.sampled(learner)
            if not isinstance(learner, Calibrated):
                self._infer_all(learner)
            return
        self._look(learner, Phase.TRAIN, 0, 0.0)
        training.full(learner, partial(self._look_and_score, learner))
        self._calibrate(learner)
        self._infer_all(learner)
        self._score(learner, Phase.INFER)
        self._look(learner, Phase.INFER)

    def _count_exits(self, learner: Learner) -> None:
        """Count what predictions cost on trained weights, where that depends on them."""
        cell = self.workshop.job.cell
        if isinstance(learner, Calibrated) and "macs" in cell.plan.tracers and cell.plan.training == "full":
            for context, readings in exits(learner, self.workshop.splits.test, cell.recipe.batch_size):
                self.windows.writer.rows(context, readings)

    def _idle(self) -> Window:
        with self.windows.open(Phase.IDLE) as window:
            time.sleep(max(self.workshop.job.cell.plan.idle_s, self.windows.length_s))
        return window

    def _nothing(self) -> Window:
        with self.windows.open(Phase.OVERHEAD) as window:
            pass
        return window

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

    def _infer_all(self, learner: Learner) -> None:
        """Predict at the recipe's batch size, then sample by sample; a few predictions before each warm up."""
        for batch_size in (self.workshop.job.cell.recipe.batch_size, 1):
            inputs = self._inputs(batch_size)
            for _ in range(WARM_UP_STEPS[0]):
                learner.predict(next(inputs))
            self.windows.repeat(partial(self._infer, learner, inputs, batch_size))

    def _infer(self, learner: Learner, inputs: Iterator[Tensor], batch_size: int) -> Window:
        """Fill one window with whole predictions."""
        with self.windows.open(Phase.INFER) as window:
            end = time.perf_counter() + self.windows.length_s
            while time.perf_counter() < end:
                learner.predict(next(inputs))
                window.samples += batch_size
            window.batch_size = batch_size
        return window

    def _inputs(self, batch_size: int) -> Iterator[Tensor]:
        test = self.workshop.splits.test
        if len(test.x) < batch_size:
            raise FobenchError(
                f"{len(test.x)} test samples do not fill one batch of {batch_size}; lower recipe.batch_size"
            )
        return (x for x, _ in data.in_order(test, batch_size))

    def _look_and_score(self, learner: Learner, stage: int, epoch: float) -> None:
        self._look(learner, Phase.TRAIN, stage, epoch)
        self._score(learner, Phase.TRAIN, stage, epoch)

    def _look(self, learner: Learner, phase: Phase, stage: int | None = None, epoch: float | None = None) -> None:
        for context, readings in self.diagnostics.look(learner, Context(phase, "", stage, epoch)):
            self.windows.writer.rows(context, readings)

    def _score(self, learner: Learner, phase: Phase, stage: int | None = None, epoch: float | None = None) -> None:
        test = self.workshop.splits.test
        with torch.no_grad():
            reading = scores.score(learner, self.workshop.task, test, self.workshop.job.cell.recipe.batch_size)
        self.windows.score(phase, reading, len(test.x), stage, epoch)
