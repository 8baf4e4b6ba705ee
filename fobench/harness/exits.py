"""What early exit costs and how deep it goes, counted on the trained and calibrated learner, after its last window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import torch

from fobench import plugins
from fobench.contracts import Context, Learner, Phase, Provenance, Reading, Split, Tracer

COUNTS = ("macs", "elementwise", "uncovered")
"""Quantities that a calibrated learner's predictions have on trained weights only."""


def exits(learner: Learner, split: Split, batch_size: int) -> Iterator[tuple[Context, list[Reading]]]:
    """Yield the operations of predicting a whole split in batches, summed, and how many samples left after which layer.

    They follow from weights and data, not from shapes alone, so they are measured and differ between seeds.
    """
    tracer: Tracer = plugins.load("macs", "tracers")()
    operations: Counter[tuple[str, str]] = Counter()
    depths: Counter[int] = Counter()
    samples = 0
    with torch.no_grad():
        for x in torch.split(split.x, batch_size):
            with tracer.trace(learner, (x,)):
                found = learner.predict(x)
            operations.update({(reading.quantity, reading.channel): reading.value for reading in tracer.readings()})
            depths.update([] if found.depth is None else found.depth.tolist())
            samples += len(x)
    context = Context(Phase.INFER, "macs", samples=samples, batch_size=batch_size)
    yield context, [Reading(name, value, Provenance.MEASURED, at) for (name, at), value in sorted(operations.items())]
    for depth, count in sorted(depths.items()):
        yield replace(context, meter="exits", samples=count), [Reading("depth", depth, Provenance.MEASURED, "exit")]
