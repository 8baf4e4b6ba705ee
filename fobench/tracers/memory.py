"""Bytes of live tensors over one training step or prediction, split into what grows with the batch and what does not.

A dispatch mode keeps a ledger of the births and deaths of tensor storages. The same step is traced at batch B and at B+1;
storages are paired by birth order. A storage's batch-proportional bytes are (bytes at B+1 - bytes at B) * B, the rest is
constant. Each peak is the maximum over time of its own live sum: one peak is never subtracted from another.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from torch import Tensor

from fobench.contracts import Learner, Phase, Provenance, Reading, TracerError
from fobench.tracers.dispatch import Observed
from fobench.tracers.ledger import Ledger, Storage


class LiveTensors:
    """Ledger of storages: persistent state, three peaks and their time lines, in bytes.

    `persistent` are the constant bytes that live before the step, without the gradients that autograd left behind: those are
    the step's. The live sums `total` and `constant` are of what comes on top; `batch` are all batch-proportional bytes. So
    persistent + total is what lives altogether.
    """

    phases = (Phase.TRAIN, Phase.INFER)
    batch_offsets = (0, 1)
    steps = (1,)

    def __init__(self) -> None:
        self._runs: list[tuple[int, Ledger]] = []

    def unavailable(self) -> str | None:
        """Return None: the ledger needs nothing but torch."""
        return None

    @contextmanager
    def trace(self, learner: Learner, inputs: tuple[Tensor, ...]) -> Iterator[None]:
        """Keep the ledger of what happens inside the `with` block."""
        ledger = Ledger(learner, inputs)
        with _without_collector(), Observed(ledger):
            yield
        ledger.close()
        self._runs.append((len(inputs[0]), ledger))

    def readings(self) -> list[Reading]:
        """Return the readings of the step at offset 0; raises TracerError if the two steps ran different operations."""
        runs, self._runs = self._runs, []
        batches = [batch for batch, _ in runs]
        if len(runs) != 2 or batches[1] != batches[0] + 1:
            raise TracerError(f"live-tensors saw steps at batches {batches}; it needs one at B, then one at B+1")
        (batch, ledger), (_, larger) = runs
        slopes = _slopes(ledger, larger)
        persistent = sum(
            storage.sizes[0] - slope[0] * batch
            for storage, slope in zip(ledger.storages, slopes, strict=True)
            if storage.is_state
        )
        return _readings(_time_line(ledger, slopes, batch), persistent)


def step_peak(learner: Learner, step: Callable[[], Any]) -> int:
    """Return the most bytes alive at once within one call of `step`, beside what lived before it."""
    ledger = Ledger(learner, ())
    with _without_collector(), Observed(ledger):
        step()
    ledger.close()
    line = _time_line(ledger, [[0] * len(storage.sizes) for storage in ledger.storages], 0)
    return max(total for total, _ in line) - sum(storage.sizes[0] for storage in ledger.storages if storage.is_older)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python's cycle collector from choosing when storages die: its moment would not repeat."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _slopes(ledger: Ledger, larger: Ledger) -> list[list[int]]:
    """Return, for each storage and each of its sizes, the bytes that one more sample adds."""
    slopes = []
    for number, (one, other) in enumerate(zip_longest(ledger.storages, larger.storages)):
        if one is None or other is None or one.operation != other.operation or len(one.sizes) != len(other.sizes):
            raise TracerError(
                f"batches that differ by one sample ran different operations: storage {number} came from "
                f"{_origin(one)} at the smaller batch and from {_origin(other)} at the larger; "
                "what grows with the batch is known only for steps that do the same whatever the batch size"
            )
        slopes.append([after - before for before, after in zip(one.sizes, other.sizes, strict=True)])
    return slopes


def _origin(storage: Storage | None) -> str:
    if storage is None:
        return "nothing"
    resized = f" (resized {len(storage.sizes) - 1} times)" if len(storage.sizes) > 1 else ""
    return storage.operation + resized


Sums = tuple[int, int]
"""Live bytes: (all, batch-proportional)."""


def _time_line(ledger: Ledger, slopes: list[list[int]], batch: int) -> list[Sums]:
    """Return the live sums at the start and after each change."""
    alive = {
        number: (storage.sizes[0], slopes[number][0] * batch)
        for number, storage in enumerate(ledger.storages)
        if storage.is_older
    }
    line = [_sums(alive)]
    for changes in ledger.events:
        for number, position in changes:
            if position is None:
                del alive[number]
            else:
                alive[number] = (ledger.storages[number].sizes[position], slopes[number][position] * batch)
        line.append(_sums(alive))
    return line


def _sums(alive: dict[int, Sums]) -> Sums:
    return sum(total for total, _ in alive.values()), sum(growing for _, growing in alive.values())


def _readings(line: list[Sums], persistent: int) -> list[Reading]:
    lines = {
        "total": [total - persistent for total, _ in line],
        "batch": [growing for _, growing in line],
        "constant": [total - growing - persistent for total, growing in line],
    }
    moments = range(len(line))
    return [
        Reading("memory", persistent, Provenance.ANALYTICAL, "persistent"),
        *(Reading("memory_peak", max(sums), Provenance.ANALYTICAL, channel) for channel, sums in lines.items()),
        *(
            Reading("memory_live", sums[moment], Provenance.ANALYTICAL, channel)
            for moment in moments
            for channel, sums in lines.items()
        ),
    ]
