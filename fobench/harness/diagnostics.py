"""What a learner has become, read by the state tracers of a plan between windows, where scores are taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fobench import plugins
from fobench.contracts import Context, Json, Learner, Phase, Reading, Split, StateTracer, TracerError
from fobench.harness.lives import Workshop

SAMPLES = 1000
"""Test samples that state tracers see at most."""


@dataclass(frozen=True)
class Diagnostics:
    """The state tracers, by name, that have something to say about a learner, and the samples that they see."""

    tracers: Mapping[str, StateTracer]
    split: Split

    @classmethod
    def open(cls, workshop: Workshop, warmed: Learner) -> tuple[Diagnostics, dict[str, dict[str, Json]]]:
        """Try every state tracer of the plan on a learner that is thrown away; describe all, the absent ones too."""
        test = workshop.splits.test
        split = Split(test.x[:SAMPLES], test.y[:SAMPLES])
        tracers: dict[str, StateTracer] = {}
        described: dict[str, dict[str, Json]] = {}
        for name in workshop.job.cell.plan.tracers:
            tracer = plugins.load(name, "tracers", Path(workshop.job.base))()
            if not isinstance(tracer, StateTracer):
                continue
            try:
                parts = {reading.channel.partition("/")[0] for reading in _observed(tracer, warmed, split)}
            except TracerError as error:
                described[name] = {"absent": str(error)}
                continue
            tracers[name] = tracer
            described[name] = {"channels": sorted(parts)}
        return cls(tracers, split), described

    def look(self, learner: Learner, where: Context) -> Iterator[tuple[Context, list[Reading]]]:
        """Yield what each tracer reads: before the first step, and at every score or after the last one."""
        for name, tracer in self.tracers.items():
            due = where.phase == Phase.TRAIN if tracer.throughout else where.phase == Phase.INFER
            if due or where.epoch == 0:
                yield replace(where, meter=name), _observed(tracer, learner, self.split)


def _observed(tracer: StateTracer, learner: Learner, split: Split) -> list[Reading]:
    reason = tracer.unavailable()
    if reason:
        raise TracerError(reason)
    with torch.no_grad():
        return tracer.observe(learner, split)
