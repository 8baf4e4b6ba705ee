"""Choose and read the windows of one CHB-MIT patient: all ictal ones, and as many interictal ones far from any seizure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError
from fobench.datasets.arrays import Array
from fobench.datasets.chb_edf import VALUES, WINDOW_S, duration, read_windows
from fobench.datasets.chb_summary import Recording

APART_S = 60
"""Least distance of an interictal window from any seizure."""

INTERICTAL = -1
"""Stands for `no seizure` among the seizure numbers of windows."""


@dataclass(frozen=True)
class Windows:
    """Windows of one or more patients: `x` N x 1024 in microvolts, patient, seizure (-1 interictal), recording and start in s."""

    x: Array
    patient: Array
    seizure: Array
    recording: Array
    start: Array

    @property
    def y(self) -> Array:
        """Class numbers: 0 interictal, 1 ictal."""
        return np.asarray(self.seizure != INTERICTAL, np.int64)


def together(parts: Sequence[Windows]) -> Windows:
    """Join the windows of several patients."""
    names = ("x", "patient", "seizure", "recording", "start")
    return Windows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def patient_windows(folder: Path, recordings: Sequence[Recording], seed: int, remedy: str) -> Windows:
    """Read one patient's windows from `folder` (named chbNN); `seed` draws the interictal ones."""
    patient = int(folder.name[3:])
    ictal = ictal_windows(recordings)
    lengths = {recording.name: _length(folder, recording, remedy) for recording in recordings}
    candidates = [
        (recording.name, start)
        for recording in recordings
        for start in interictal_starts(recording, recordings, lengths[recording.name])
    ]
    if len(candidates) < len(ictal):
        raise DatasetError(
            f"{folder} has {len(candidates)} windows {APART_S} s away from any seizure, but {len(ictal)} in seizures, "
            f"and as many are wanted; {remedy}"
        )
    drawn = np.random.default_rng([seed, patient]).choice(len(candidates), len(ictal), replace=False)
    chosen = ictal + [(*candidates[index], INTERICTAL) for index in sorted(drawn)]
    names, starts, seizures = ([window[field] for window in chosen] for field in range(3))
    x = _read(folder, list(zip(names, starts, strict=True)), remedy)
    return Windows(x, np.full(len(chosen), patient), np.array(seizures), np.array(names), np.array(starts))


def ictal_windows(recordings: Sequence[Recording]) -> list[tuple[str, int, int]]:
    """Tile every seizure with windows from its onset: recording, start in s, number of the seizure; none sticks out."""
    seizures = [(recording.name, start, end) for recording in recordings for start, end in recording.seizures]
    return [
        (name, at, number)
        for number, (name, start, end) in enumerate(seizures)
        for at in range(start, end - WINDOW_S + 1, WINDOW_S)
    ]


def _length(folder: Path, recording: Recording, remedy: str) -> int:
    """Return the seconds of a recording, once its seizures lie within them."""
    seconds = duration(folder / recording.name, remedy)
    if any(start < 0 or end > seconds for start, end in recording.seizures):
        raise DatasetError(
            f"{folder / recording.name} lasts {seconds} s, but the summary has a seizure outside: {recording.seizures}; {remedy}"
        )
    return seconds


def interictal_starts(recording: Recording, recordings: Sequence[Recording], length: int) -> list[int]:
    """Return the starts (s) of all windows of a recording of `length` seconds that are far from any seizure.

    Seizures of other recordings count where the summary says when both took place.
    """
    seizures = list(recording.seizures)
    for other in recordings:
        if other is not recording and recording.begin is not None and other.begin is not None:
            shift = other.begin - recording.begin
            seizures += [(start + shift, end + shift) for start, end in other.seizures]
    near = [(start - APART_S - WINDOW_S, end + APART_S) for start, end in seizures]
    grid = range(0, length - WINDOW_S + 1, WINDOW_S)
    return [at for at in grid if not any(low < at < high for low, high in near)]


def _read(folder: Path, windows: list[tuple[str, int]], remedy: str) -> Array:
    """Read windows in their order, each recording opened once."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, (name, _) in enumerate(windows):
        places[name].append(place)
    x = np.empty((len(windows), VALUES), np.float32)
    for name, members in places.items():
        x[members] = read_windows(folder / name, [windows[place][1] for place in members], remedy)
    return x
