"""Synthetic results with known truth: every number below follows from the indices of label, data set, seed and window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fobench.contracts import (
    Cell,
    Context,
    Header,
    Origin,
    Part,
    Phase,
    Plan,
    Provenance,
    Reading,
    Recipe,
    Reference,
    Status,
)
from fobench.store import ResultStore

MEASURED, ESTIMATED, ANALYTICAL = Provenance.MEASURED, Provenance.ESTIMATED, Provenance.ANALYTICAL

RAPL_WATT = {"package-0": 12.0, "package-0/dram": 2.0, "package-0/core": 9.0, "psys": 30.0}
"""The total is package and DRAM: 14 W; core is inside the package, psys the whole board."""

CODECARBON_WATT = {"cpu": 8.0, "ram": 3.0}
"""The total is 8 W; RAM is a constant guess."""


@dataclass(frozen=True)
class Synthetic:
    """A suite of results; `seconds`, `error`, `macs`, ... are its truth."""

    labels: Sequence[str] = ("bp", "drtp", "ff")
    datasets: Sequence[str] = ("digits", "mit-bih")
    seeds: Sequence[int] = (0, 1, 2)
    meters: Sequence[str] = ("clock", "rapl", "codecarbon")
    suite: str = "synthetic"
    machine: str = "alpha"
    stages: int = 2
    windows: int = 3
    batch: int = 100
    device: str = "cpu"
    epochs: int = 1
    origin: Origin = Origin.REAL
    started_utc: str = "2026-01-01T00:00:00Z"
    invalid: dict[tuple[str, int], str] = field(default_factory=dict)
    """Reason by label and seed: the first training window of that cell is invalid."""
    fail: tuple[str, ...] = ()
    """Labels whose measuring process fails."""
    network: str = "64-200x2"
    infer: bool = True

    def seconds(self, label: str, dataset: str, seed: int) -> float:
        """Duration of one training window."""
        i, d = self.labels.index(label), self.datasets.index(dataset)
        return 2.0 * (1 + i) * (1 + d) * (1 + 0.02 * seed + 0.004 * ((3 * i + 2 * seed) % 5))

    def error(self, label: str, seed: int) -> float:
        """Final error, a share."""
        return 0.05 + 0.01 * self.labels.index(label) + 0.001 * seed

    def macs(self, label: str, dataset: str, stage: int) -> int:
        """Contractions per training sample of one stage."""
        return 10_000 * (1 + self.labels.index(label)) * (1 + self.datasets.index(dataset)) + 2_000 * stage

    def cell(self, label: str, dataset: str, seed: int) -> Cell:
        """The specification of one cell."""
        recipe = Recipe(epochs=self.epochs, batch_size=self.batch, device=self.device, train_samples=1200)
        plan = Plan(meters=tuple(Reference(name) for name in (*self.meters, "nvml")))
        return Cell(Reference(label), Reference(dataset), recipe, plan, seed)

    def header(self, part: Part, cell: Cell) -> Header:
        """The header of one file."""
        instruments = {
            name: {"channels": list(self.watts(name) or {"total": 0}), "update_period_s": 0.001} for name in self.meters
        }
        instruments["nvml"] = {"absent": "no NVIDIA driver; install one and try again"}
        return Header(
            part, cell, self.suite, self.machine, network=self.network, parameters=50_000 + 1000 * self.labels.index(cell.label),
            origin=self.origin, versions={"torch": "2.13.0", "numpy": "2.3.0"}, instruments=instruments,
            samples={"train": 1200, "test": 400}, started_utc=self.started_utc,
        )  # fmt: skip

    @staticmethod
    def watts(meter: str) -> dict[str, float]:
        """Power by channel of one meter."""
        return {"rapl": RAPL_WATT, "codecarbon": CODECARBON_WATT, "nvml": {"gpu-0": 100.0}}.get(meter, {})

    def readings(self, seconds: float) -> list[tuple[str, Reading]]:
        """What every meter says about a window of this length."""
        found = [("clock", Reading("duration", seconds, MEASURED))] if "clock" in self.meters else []
        for meter in self.meters:
            kind = ESTIMATED if meter == "codecarbon" else MEASURED
            found += [
                (meter, Reading("energy", watt * seconds, kind, channel)) for channel, watt in self.watts(meter).items()
            ]
        return [*found, ("host", Reading("foreign_cpu", 0.03, MEASURED))]

    def write(self, root: Path) -> Path:
        """Write all files below `root/SUITE/MACHINE`; return `root/SUITE`."""
        store = ResultStore(root, self.suite, self.machine)
        for label in self.labels:
            for dataset in self.datasets:
                self._trace(store, label, dataset)
                for seed in self.seeds:
                    self._measure(store, label, dataset, seed)
        return root / self.suite

    def _measure(self, store: ResultStore, label: str, dataset: str, seed: int) -> None:
        cell = self.cell(label, dataset, seed)
        with store.writer(cell, Part.MEASURE) as writer:
            writer.header(self.header(Part.MEASURE, cell))
            if label in self.fail:
                writer.footer(Status.FAILED, "Traceback\n  line\nValueError: diverged | at step 3")
                return
            self._window(writer, Phase.IDLE, 0, 5.0)
            self._window(writer, Phase.OVERHEAD, 0, 0.002)
            self._train(writer, label, dataset, seed)
            if self.infer:
                self._window(writer, Phase.INFER, 0, 0.5, samples=1000, batch_size=self.batch)
                self._window(writer, Phase.INFER, 1, 1.0, samples=200, batch_size=1)
            score = Context(Phase.INFER, "score", samples=400)
            writer.rows(score, [Reading("error", self.error(label, seed), MEASURED, "test")])
            writer.footer(Status.DONE)

    def _train(self, writer, label: str, dataset: str, seed: int) -> None:
        length = self.seconds(label, dataset, seed)
        for number in range(self.stages * self.windows):
            stage, place = divmod(number, self.windows)
            reason = self.invalid.get((label, seed), "") if number == 0 else ""
            where = {"stage": stage, "epoch": (place + 1) / self.windows, "invalid": reason, "samples": 400}
            self._window(writer, Phase.TRAIN, number, length, batch_size=self.batch, **where)

    def _window(self, writer, phase: Phase, number: int, seconds: float, **where) -> None:
        for meter, reading in self.readings(seconds):
            writer.rows(Context(phase, meter, window=number, **where), [reading])

    def _trace(self, store: ResultStore, label: str, dataset: str) -> None:
        cell = self.cell(label, dataset, 0)
        i = self.labels.index(label)
        with store.writer(cell, Part.TRACE) as writer:
            writer.header(self.header(Part.TRACE, cell))
            for stage in range(self.stages):
                macs = self.macs(label, dataset, stage) * self.batch
                self._traced(writer, Phase.TRAIN, stage, macs, 1000 * (1 + i) * (1 + stage))
            self._traced(writer, Phase.INFER, None, self.macs(label, dataset, 0) * self.batch // 4, 500)
            if label == "ff":
                fvcore = Context(Phase.INFER, "fvcore", samples=self.batch, batch_size=self.batch)
                writer.rows(
                    fvcore,
                    [Reading("macs", 123 * self.batch, ANALYTICAL), Reading("uncovered", 4, ANALYTICAL, "aten::exp")],
                )
            writer.footer(Status.DONE)

    def _traced(self, writer, phase: Phase, stage: int | None, macs: int, batch_bytes: int) -> None:
        where = {"stage": stage, "samples": self.batch, "batch_size": self.batch}
        forward = macs // 2
        writer.rows(Context(phase, "macs", **where), [
            Reading("macs", forward, ANALYTICAL, "train_step/forward"),
            Reading("macs", macs - forward, ANALYTICAL, "train_step/weight_update"),
            Reading("elementwise", 7 * self.batch, ANALYTICAL, "train_step/forward"),
        ])  # fmt: skip
        live = {"total": batch_bytes + 9000, "batch": batch_bytes, "constant": 8500}
        writer.rows(Context(phase, "live-tensors", **where), [
            Reading("memory", 40_000, ANALYTICAL, "persistent"),
            *(Reading("memory_peak", size, ANALYTICAL, channel) for channel, size in live.items()),
        ])  # fmt: skip
        for position, share in enumerate((0.2, 0.6, 1.0, 0.7, 0.1)):
            points = [Reading("memory_live", share * size, ANALYTICAL, channel) for channel, size in live.items()]
            writer.rows(Context(phase, "live-tensors", window=position, **where), points)
        writer.rows(Context(phase, "process-memory", **where), [Reading("memory_peak", 70_000, MEASURED, "step")])
