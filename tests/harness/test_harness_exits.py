"""Operations and exit depths of a calibrated learner, counted on its predictions."""

from __future__ import annotations

import torch

from fobench.contracts import Phase, Prediction, Provenance, Split
from fobench.harness.exits import exits


class TwoLayers:
    """Samples with a negative first value go through a second layer of 6 x 6."""

    def __init__(self):
        self.W1, self.W2 = torch.eye(6), torch.eye(6)

    def state(self):
        return {"W1": self.W1, "W2": self.W2}

    def predict(self, x):
        H = x @ self.W1.T
        deep = H[:, 0] < 0
        H[deep] = H[deep] @ self.W2.T
        return Prediction(H, 1 + deep.long())


def test_counts_are_those_of_the_samples_that_went_on() -> None:
    x = torch.ones(25, 6)
    x[:7, 0] = -1
    (context, operations), *histogram = exits(TwoLayers(), Split(x, torch.zeros(25, dtype=torch.int64)), 10)
    assert (context.phase, context.meter, context.samples, context.batch_size) == (Phase.INFER, "macs", 25, 10)
    assert sum(reading.value for reading in operations if reading.quantity == "macs") == 25 * 36 + 7 * 36
    assert {reading.provenance for reading in operations} == {Provenance.MEASURED}
    found = [
        (context.meter, context.samples, [reading.value for reading in readings]) for context, readings in histogram
    ]
    assert found == [("exits", 18, [1]), ("exits", 7, [2])]
