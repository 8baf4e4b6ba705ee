"""How the weights of each layer are distributed: the tail of their magnitudes, and two moments that tell its shape."""

from __future__ import annotations

from torch import Tensor

from fobench.contracts import Learner, Provenance, Reading, Split, TracerError
from fobench.tracers.alignment import numbered

TAIL = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Shares of a layer's weights: the channel `W1/0.01` has the magnitude that one weight in a hundred exceeds."""


class Weights:
    """Of each layer the channels `W1/0.5` .. `W1/0.001`, `W1/absolute` (mean of |w|) and `W1/square` (root mean square)."""

    throughout = False

    def unavailable(self) -> str | None:
        """Say that it can always look."""
        return None

    def observe(self, learner: Learner, split: Split) -> list[Reading]:
        """Return the statistics of W1, W2, ...; raises TracerError for a learner whose state has no such symbol."""
        layers = numbered(learner.state(), "W")
        if not layers:
            raise TracerError("no weights W1, W2, ... in state()")
        return [reading for number, W in layers.items() for reading in _statistics(f"W{number}", W)]


def _statistics(symbol: str, W: Tensor) -> list[Reading]:
    sizes = W.flatten().double().abs().sort(descending=True).values
    found = {f"{share:g}": sizes[int(share * len(sizes))] for share in TAIL if share * len(sizes) >= 1}
    found |= {"absolute": sizes.mean(), "square": sizes.square().mean().sqrt()}
    return [Reading("weight", float(value), Provenance.MEASURED, f"{symbol}/{name}") for name, value in found.items()]
