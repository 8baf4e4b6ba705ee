"""Synthetic results of whole lives: errors on a known curve, angles, weights, goodness and exits beside the totals."""

from __future__ import annotations

from dataclasses import dataclass, replace

from synthetic_results import MEASURED, Synthetic

from fobench.contracts import Context, Header, Phase, Reading

SLOWNESS = 2.0
"""Epochs; the plateau of label number i is 0.95 - 0.05 i, of accuracies that begin at 0."""


@dataclass(frozen=True)
class Living(Synthetic):
    """One window and one score in every epoch."""

    classes: int | None = 10

    def header(self, part, cell) -> Header:
        return replace(super().header(part, cell), classes=self.classes)

    def plateau(self, label: str) -> float:
        return 0.95 - 0.05 * self.labels.index(label)

    def accuracy(self, label: str, epoch: float) -> float:
        """Accuracy after so many epochs of all stages."""
        return self.plateau(label) * epoch / (SLOWNESS + epoch)

    def _train(self, writer, label: str, dataset: str, seed: int) -> None:
        length = self.seconds(label, dataset, seed)
        for number in range(self.stages * self.epochs):
            where = {"stage": number // self.epochs, "epoch": number % self.epochs + 1.0, "samples": 1200}
            self._window(writer, Phase.TRAIN, number, length, batch_size=self.batch, **where)
        self._state(writer, Context(Phase.TRAIN, "", 0, 0.0), 90.0 + seed)
        for stage in range(self.stages):
            for epoch in range(1, self.epochs + 1):
                error = 1 - self.accuracy(label, stage * self.epochs + epoch)
                where = Context(Phase.TRAIN, "score", stage, float(epoch), 0, 400)
                writer.rows(where, [Reading("error", error, MEASURED, "test")])
                self._angles(writer, replace(where, meter="alignment", samples=0), 90.0 + seed - 5 * epoch)
        self._state(writer, Context(Phase.INFER, ""), None)
        for depth, count in ((1, 300), (3, 100)):
            writer.rows(Context(Phase.INFER, "exits", samples=count), [Reading("depth", depth, MEASURED, "exit")])

    def _angles(self, writer, where: Context, degrees: float) -> None:
        writer.rows(where, [Reading("angle", degrees, MEASURED, symbol) for symbol in ("B2", "B3")])

    def _state(self, writer, where: Context, degrees: float | None) -> None:
        if degrees is not None:
            self._angles(writer, replace(where, meter="alignment"), degrees)
        scale = 1.0 if degrees is not None else 3.0
        laplace = {"0.5": 0.693, "0.1": 2.303, "0.01": 4.605, "absolute": 1.0, "square": 2**0.5}
        weights = [Reading("weight", scale * value, MEASURED, f"W1/{name}") for name, value in laplace.items()]
        writer.rows(replace(where, meter="weights"), weights)
        goodness = {"positive/0.25": 5, "positive/0.5": 7, "positive/0.75": 9, "negative/0.25": 1, "negative/0.5": 2,
                    "negative/0.75": 3, "threshold": 4}  # fmt: skip
        for layer in (1, 2):
            found = [Reading("goodness", value, MEASURED, f"layer-{layer}/{name}") for name, value in goodness.items()]
            writer.rows(replace(where, meter="goodness"), found)
