"""Read 4 s windows of channels F7-T7 and F8-T8 from one EDF recording of CHB-MIT, in microvolts.

The size of the file is checked against its header first. EDF: Kemp et al., Electroenceph. Clin. Neurophysiol. 82:391-393, 1992.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fobench.contracts import DatasetError
from fobench.datasets.arrays import Array

RATE_HZ = 256
WINDOW_S = 4
EVERY = 2
"""Every second value is kept."""
CHANNELS = (("F7", "T7"), ("F8", "T8"))
VALUES = WINDOW_S * RATE_HZ // EVERY * len(CHANNELS)
HEADER_BYTES = 256
SIGNAL_HEADER_BYTES = 256
COUNTS_OFFSET = 216
"""Where, per signal of the header, the fields before `samples in each record` end: 16 + 80 + 5 x 8 + 80 bytes."""


def duration(path: Path, remedy: str) -> int:
    """Return the length of a recording in seconds, once its size agrees with its header; errors end in `remedy`."""
    try:
        with path.open("rb") as file:
            fixed = file.read(HEADER_BYTES)
            signals = int(fixed[252:256])
            rest = file.read(signals * SIGNAL_HEADER_BYTES)
        records = int(fixed[236:244])
        seconds = int(records * float(fixed[244:252]))
        counts = [int(rest[signals * COUNTS_OFFSET + 8 * i :][:8]) for i in range(signals)]
    except (OSError, ValueError, OverflowError) as error:
        raise DatasetError(f"{path} has no whole EDF header ({error}); {remedy}") from error
    expected = HEADER_BYTES + signals * SIGNAL_HEADER_BYTES + 2 * records * sum(counts)
    found = path.stat().st_size
    if found != expected:
        raise DatasetError(
            f"{path} has {found} bytes, but its header says {records} records of {signals} signals, which is {expected} "
            f"bytes; {remedy}"
        )
    return seconds


def read_windows(path: Path, starts: Sequence[int], remedy: str) -> Array:
    """Return the windows that begin at `starts` (seconds), N x 1024: 512 values of F7-T7, then 512 of F8-T8, in microvolts."""
    import pyedflib

    duration(path, remedy)
    try:
        reader = pyedflib.EdfReader(str(path))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read as EDF ({error}); {remedy}") from error
    with reader:
        derivations = [_derivation(reader, pair, path, remedy) for pair in CHANNELS]
        windows = [np.concatenate([each.read(reader, start) for each in derivations]) for start in starts]
    return np.asarray(windows, np.float32).reshape(-1, VALUES)


@dataclass(frozen=True)
class _Derivation:
    """A bipolar channel: one signal of the file, or the difference of two with a common reference."""

    plus: int
    minus: int | None

    def read(self, reader: Any, start: int) -> Array:
        first, length = start * RATE_HZ, WINDOW_S * RATE_HZ
        signal: Array = reader.readSignal(self.plus, first, length)
        if self.minus is not None:
            signal = signal - reader.readSignal(self.minus, first, length)
        return signal[::EVERY]


def _derivation(reader: Any, pair: tuple[str, str], path: Path, remedy: str) -> _Derivation:
    labels = [label.strip().upper() for label in reader.getSignalLabels()]
    found = _find(labels, *pair)
    if found is None:
        raise DatasetError(
            f"{path} has no channel {'-'.join(pair)}, and not both electrodes against one reference, among "
            f"{', '.join(labels)}; {remedy}"
        )
    for channel in (found.plus, found.minus):
        if channel is None:
            continue
        rate, unit = reader.getSampleFrequency(channel), reader.getPhysicalDimension(channel).strip()
        if (rate, unit.lower()) != (RATE_HZ, "uv"):
            raise DatasetError(
                f"{path}, channel {labels[channel]}: {rate:g} Hz in {unit!r}, expected {RATE_HZ} Hz in 'uV'; {remedy}"
            )
    return found


def _find(labels: list[str], plus: str, minus: str) -> _Derivation | None:
    """Find the channel under its own name (the first, where names repeat), or both electrodes with the same reference."""
    if f"{plus}-{minus}" in labels:
        return _Derivation(labels.index(f"{plus}-{minus}"), None)
    for label in labels:
        electrode, dash, reference = label.partition("-")
        if electrode == plus and f"{minus}{dash}{reference}" in labels:
            return _Derivation(labels.index(label), labels.index(f"{minus}{dash}{reference}"))
    return None
