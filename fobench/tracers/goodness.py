"""The goodness that the layers of Forward-Forward give to test samples under their own and under a wrong label."""

from __future__ import annotations

import torch
from torch import Tensor

from fobench.contracts import Graded, Learner, Provenance, Reading, Split, TracerError

QUARTILES = (0.25, 0.5, 0.75)


class Goodness:
    """Of each layer `layer-1/positive/0.25` .. `0.75`, `layer-1/negative/...` and `layer-1/threshold`.

    The wrong label of a sample is the next class, of one sample in two the one before: no generator is asked.
    """

    throughout = False

    def unavailable(self) -> str | None:
        """Say that it can always look."""
        return None

    def observe(self, learner: Learner, split: Split) -> list[Reading]:
        """Return quartiles over samples and thresholds; raises TracerError for a learner without goodness or labels."""
        if not isinstance(learner, Graded):
            raise TracerError("this learner has no layer_goodness (see contracts.Graded)")
        positive = learner.layer_goodness(split.x, split.y)
        if not positive or not int(split.y.max()):
            raise TracerError("positive and negative samples take labels of at least two classes")
        negative = learner.layer_goodness(split.x, _wrong(split.y))
        return [
            Reading("goodness", value, Provenance.MEASURED, f"layer-{depth}/{name}")
            for depth, ((good, threshold), (bad, _)) in enumerate(zip(positive, negative, strict=True), 1)
            for name, value in [*_quartiles("positive", good), *_quartiles("negative", bad), ("threshold", threshold)]
        ]


def _wrong(y: Tensor) -> Tensor:
    step = 1 - 2 * (torch.arange(len(y), device=y.device) % 2)
    return (y + step) % (int(y.max()) + 1)


def _quartiles(sign: str, values: Tensor) -> list[tuple[str, float]]:
    levels = torch.tensor(QUARTILES, dtype=values.dtype, device=values.device)
    return [(f"{sign}/{level:g}", float(v)) for level, v in zip(QUARTILES, values.quantile(levels), strict=True)]
