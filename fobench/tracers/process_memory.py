"""Memory of the whole tracing process as the operating system sees it: interpreter, libraries, kernels' workspace and all.

`process-memory` reads the kernel's own high-water mark of the resident set (VmHWM), set back before each step by writing 5
to /proc/self/clear_refs (Linux, proc(5)); `memory-profiler` samples the resident set through the package of that name.
"""

from __future__ import annotations

import os
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from fobench.contracts import Learner, Phase, Provenance, Reading

MALLOC_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Without these set in its environment, glibc keeps freed heap, and steps after the first seem to need no memory."""


class ProcessMemory:
    """Rise of the resident peak over its state before the step, in bytes.

    Channel `first-step` has what a process pays once (kernel caches, libraries), `step` is the median of the later ones.
    """

    phases = (Phase.TRAIN, Phase.INFER)
    batch_offsets = (0,)
    steps = (0, 1, 2, 3)

    def __init__(self, process: Path = Path("/proc/self")) -> None:
        self._process = process
        self._rises: list[int] = []

    def unavailable(self) -> str | None:
        """Refuse a system without resettable peaks, and a process whose allocator would hide them."""
        clear = self._process / "clear_refs"
        if not os.access(clear, os.W_OK):
            return f"{clear} cannot be written: peaks of a process can be reset on Linux only"
        unset = [name for name in MALLOC_VARIABLES if name not in os.environ]
        if unset:
            return f"{' and '.join(unset)} not set: start the process with both at 65536, or freed heap hides the peaks"
        return None

    @contextmanager
    def trace(self, learner: Learner, inputs: tuple[Tensor, ...]) -> Iterator[None]:
        """Reset the peak before the `with` block and read it after."""
        (self._process / "clear_refs").write_text("5")
        before = self._peak()
        yield
        self._rises.append(self._peak() - before)

    def readings(self) -> list[Reading]:
        """Return the rise of the first step and the median of the later ones, and forget them."""
        rises, self._rises = self._rises, []
        values = {"first-step": rises[:1], "step": rises[1:]}
        return [
            Reading("memory_peak", statistics.median(part), Provenance.MEASURED, channel)
            for channel, part in values.items()
            if part
        ]

    def _peak(self) -> int:
        """Return VmHWM in bytes; right after a reset it is the resident set."""
        lines = (self._process / "status").read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(kibibytes) * 1024


class MemoryProfiler:
    """Time line of the process's resident set over one step, in bytes, sampled by memory_profiler.

    The sampler is given the process, never a function: memory_profiler runs short functions again and again.
    """

    phases = (Phase.TRAIN, Phase.INFER)
    batch_offsets = (0,)
    steps = (1,)

    def __init__(self, interval_s: float = 0.001) -> None:
        self._interval_s = interval_s
        self._samples: list[float] = []

    def unavailable(self) -> str | None:
        """Ask for the package."""
        try:
            import memory_profiler  # noqa: F401
        except ImportError as error:
            return f"memory_profiler cannot be imported ({error}); pip install memory-profiler"
        return None

    @contextmanager
    def trace(self, learner: Learner, inputs: tuple[Tensor, ...]) -> Iterator[None]:
        """Sample before, throughout and after the `with` block."""
        done = threading.Event()
        sampler = threading.Thread(target=self._sample_until, args=(done,))
        self._sample()
        sampler.start()
        try:
            yield
        finally:
            done.set()
            sampler.join()
        self._sample()

    def readings(self) -> list[Reading]:
        """Return the time line, and forget it."""
        samples, self._samples = self._samples, []
        return [Reading("memory_live", value, Provenance.MEASURED, "process") for value in samples]

    def _sample_until(self, done: threading.Event) -> None:
        while not done.is_set():
            self._sample()

    def _sample(self) -> None:
        """Take one sample, and the interval's time."""
        from memory_profiler import memory_usage

        (mebibytes,) = memory_usage(os.getpid(), interval=self._interval_s)
        self._samples.append(mebibytes * 2**20)
