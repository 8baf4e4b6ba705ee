"""What a learner is given to learn the toy task with, and the error that says what it did wrong."""

from __future__ import annotations

from dataclasses import dataclass

from fobench.contracts import FobenchError


@dataclass(frozen=True)
class Budget:
    """Epochs per stage over so many toy samples, and the score on as many others that counts as learned."""

    epochs: int = 10
    samples: int = 300
    batch_size: int = 25
    error: float = 0.2
    auc: float = 0.8


class ConformanceError(FobenchError, AssertionError):
    """A learner that does not keep its contract; one sentence per failed check."""
