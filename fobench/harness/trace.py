"""The tracing process of one cell: exact counts and bytes of single steps and predictions; no meter here."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from fobench import plugins
from fobench.contracts import Calibrated, Context, Json, Phase, Reading, StateTracer, Tracer, TracerError
from fobench.harness.exits import COUNTS
from fobench.harness.job import Job
from fobench.harness.lives import Workshop, enter_epoch, enter_stage, stages_of
from fobench.store import Writer

Rows = list[tuple[Context, list[Reading]]]


def trace(job: Job, writer: Writer) -> None:
    """Trace every phase and stage of one cell with every tracer of its plan; the footer is the caller's."""
    workshop = Workshop.open(job)
    rows: Rows = []
    instruments: dict[str, dict[str, Json]] = {}
    for name in job.cell.plan.tracers:
        if isinstance(plugins.load(name, "tracers", Path(job.base))(), StateTracer):
            continue  # it needs a life, which the measuring process leads
        found, reasons = _trace_with(name, workshop)
        channels = sorted({reading.channel for _, readings in found for reading in readings})
        instruments[name] = {"channels": channels, "notes": reasons} if found else {"absent": "; ".join(reasons)}
        rows += found
    writer.header(workshop.header(workshop.build(), instruments))
    for context, readings in rows:
        for number, reading in _numbered(readings):
            writer.rows(replace(context, window=number), [reading])


def _trace_with(name: str, workshop: Workshop) -> tuple[Rows, list[str]]:
    """Return what one tracer observed, phase by phase, and why it could not observe a phase."""
    tracer_class = plugins.load(name, "tracers", Path(workshop.job.base))
    reason = tracer_class().unavailable()
    if reason:
        return [], [reason]
    stages = stages_of(workshop.build())
    rows: Rows = []
    reasons: list[str] = []
    for phase in tracer_class().phases:
        try:
            for stage in range(stages) if phase == Phase.TRAIN else [stages - 1]:
                rows.append(_trace_stage(name, tracer_class(), workshop, phase, stage))
        except TracerError as error:
            reasons.append(f"{phase}: {error}")
    return rows, reasons


def _trace_stage(
    name: str, tracer: Tracer, workshop: Workshop, phase: Phase, stage: int
) -> tuple[Context, list[Reading]]:
    batch_size = workshop.job.cell.recipe.batch_size
    for offset in tracer.batch_offsets:
        _observe(tracer, workshop, phase, stage, batch_size + offset)
    context = Context(phase, name, samples=batch_size, batch_size=batch_size)
    readings = tracer.readings()
    if phase == Phase.TRAIN:
        return replace(context, stage=stage), readings
    if isinstance(workshop.construct(), Calibrated):  # its predictions are counted on trained weights, see `exits`
        readings = [reading for reading in readings if reading.quantity not in COUNTS]
    return context, readings


def _observe(tracer: Tracer, workshop: Workshop, phase: Phase, stage: int, batch_size: int) -> None:
    """Build the learner anew, turn it to a stage, and take steps (or predictions), the tracer's own ones inside it."""
    learner = workshop.build()
    for earlier in range(stage + 1):
        enter_stage(learner, earlier)
    enter_epoch(learner, 0, workshop.job.cell.recipe.epochs)
    for step in range(max(tracer.steps) + 1):
        x, y = _batch(workshop, step, batch_size)
        with tracer.trace(learner, (x, y)) if step in tracer.steps else nullcontext():
            if phase == Phase.TRAIN:
                learner.train_step(x, y)
            else:
                learner.predict(x)


def _batch(workshop: Workshop, step: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return consecutive training samples, from the start again where the split ends."""
    train = workshop.splits.train
    chosen = (x % len(train.x) for x in itertools.count(step * batch_size))
    index = list(itertools.islice(chosen, batch_size))
    return train.x[index], train.y[index]


def _numbered(readings: Iterable[Reading]) -> Iterable[tuple[int | None, Reading]]:
    """Number the points of time lines, channel by channel."""
    counts: Counter[str] = Counter()
    for reading in readings:
        if reading.quantity == "memory_live":
            counts[reading.channel] += 1
            yield counts[reading.channel] - 1, reading
        else:
            yield None, reading
