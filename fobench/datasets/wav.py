"""Read a wav file of 16-bit mono sound at a known rate, and nothing else."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError
from fobench.datasets.arrays import Array

RATE_HZ = 16_000
WIDTH = 2
"""Bytes of a sample."""


def read_wav(source: Path | bytes, name: str, remedy: str) -> Array:
    """Return the samples as 16-bit integers; errors call the file `name` and end in `remedy`."""
    try:
        with wave.open(str(source) if isinstance(source, Path) else io.BytesIO(source)) as sound:
            found = sound.getnchannels(), sound.getsampwidth(), sound.getframerate()
            declared = sound.getnframes()
            content = sound.readframes(declared)
    except (OSError, EOFError, wave.Error) as error:
        raise DatasetError(f"{name} cannot be read as a wav file ({error}); {remedy}") from error
    if found != (1, WIDTH, RATE_HZ):
        raise DatasetError(
            f"{name} has {found[0]} channels of {8 * found[1]} bits at {found[2]} Hz, expected 1 of {8 * WIDTH} bits at "
            f"{RATE_HZ} Hz; {remedy}"
        )
    if len(content) != WIDTH * declared:
        raise DatasetError(f"{name} has {len(content) // WIDTH} samples, its header says {declared}; {remedy}")
    return np.frombuffer(content, "<i2")
