"""The forward count of fvcore, to stand beside the MAC ledger where fvcore can trace the learner.

fvcore counts one multiply-accumulate as one. It sees the forward pass only, adds batch norm and pooling to the total, and
rounds einsum to four digits; operations that it has no formula for are listed as `uncovered`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Learner, Phase, Provenance, Reading, TracerError
from fobench.tracers.ledger import reachable_tensors


class FVCore:
    """Counts the MACs of one prediction by tracing it with torch.jit, as fvcore does."""

    phases = (Phase.INFER,)
    batch_offsets = (0,)
    steps = (1,)

    def __init__(self) -> None:
        self._readings: list[Reading] = []

    def unavailable(self) -> str | None:
        """Ask for the package."""
        try:
            import fvcore.nn  # noqa: F401
        except ImportError as error:
            return f"fvcore cannot be imported ({error}); pip install fvcore"
        return None

    @contextmanager
    def trace(self, learner: Learner, inputs: tuple[Tensor, ...]) -> Iterator[None]:
        """Analyse a prediction of its own before the `with` block; raises TracerError where fvcore cannot trace it."""
        try:
            total, unsupported = _analyse(learner, inputs[0])
        except Exception as error:
            reason = str(error).strip().splitlines() or [""]
            name = type(learner).__name__
            raise TracerError(f"fvcore cannot trace {name}.predict: {type(error).__name__}: {reason[0]}") from None
        self._readings = [Reading("macs", total, Provenance.ANALYTICAL)]
        self._readings += [
            Reading("uncovered", calls, Provenance.ANALYTICAL, name) for name, calls in sorted(unsupported.items())
        ]
        yield

    def readings(self) -> list[Reading]:
        """Return fvcore's total and what it could not count, and forget them."""
        readings, self._readings = self._readings, []
        return readings


class _Predict(torch.nn.Module):
    """A learner's prediction in the shape that fvcore asks for."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self._learner = learner

    def forward(self, x: Tensor) -> Tensor:
        return self._learner.predict(x).scores


def _analyse(learner: Learner, x: Tensor) -> tuple[float, dict[str, int]]:
    from fvcore.nn import FlopCountAnalysis

    with torch.no_grad(), _silence(), _constant(learner):
        analysis: Any = FlopCountAnalysis(_Predict(learner), x)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return analysis.total(), dict(analysis.unsupported_ops())


@contextmanager
def _constant(learner: Learner) -> Iterator[None]:
    """Take the learner's tensors out of autograd for a while: torch.jit refuses constants that require gradients."""
    tensors = [tensor for tensor in reachable_tensors(learner) if tensor.is_leaf and tensor.requires_grad]
    for tensor in tensors:
        tensor.requires_grad_(False)
    try:
        yield
    finally:
        for tensor in tensors:
            tensor.requires_grad_(True)


@contextmanager
def _silence() -> Iterator[None]:
    logger = logging.getLogger("fvcore")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
