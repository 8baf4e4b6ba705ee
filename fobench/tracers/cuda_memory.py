"""Peak of torch's CUDA caching allocator over one training step or prediction, in bytes (torch.cuda memory statistics)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from fobench.contracts import Learner, Phase, Provenance, Reading, TracerError


class CUDAMemory:
    """Channels `allocated` (bytes in tensors) and `reserved` (bytes held from the driver), weights and data included."""

    phases = (Phase.TRAIN, Phase.INFER)
    batch_offsets = (0,)
    steps = (1,)

    def __init__(self) -> None:
        self._peaks: dict[str, int] = {}

    def unavailable(self) -> str | None:
        """Ask torch for a CUDA device."""
        if torch.cuda.is_available():
            return None
        return (
            "torch finds no CUDA device; install a CUDA build of torch on a machine with an NVIDIA GPU and its driver"
        )

    @contextmanager
    def trace(self, learner: Learner, inputs: tuple[Tensor, ...]) -> Iterator[None]:
        """Reset the allocator's peaks before the `with` block and read them after; raises TracerError off CUDA."""
        device = inputs[0].device
        if device.type != "cuda":
            raise TracerError(f"the batch is on {device}, where CUDA allocates nothing; set recipe.device to cuda")
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield
        torch.cuda.synchronize(device)
        self._peaks = {
            "allocated": torch.cuda.max_memory_allocated(device),
            "reserved": torch.cuda.max_memory_reserved(device),
        }

    def readings(self) -> list[Reading]:
        """Return the peaks of the last step, and forget them."""
        peaks, self._peaks = self._peaks, {}
        return [Reading("memory_peak", value, Provenance.MEASURED, channel) for channel, value in peaks.items()]
