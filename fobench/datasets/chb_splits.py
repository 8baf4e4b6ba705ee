"""Divide the windows of CHB-MIT without leakage: whole seizures within a patient, whole subjects between patients."""

from __future__ import annotations

import numpy as np

from fobench.contracts import DatasetError
from fobench.datasets.arrays import Array, stratified
from fobench.datasets.chb_windows import INTERICTAL, Windows

SAME_SUBJECT = {21: 1}
"""Case chb21 is the subject of chb01, one and a half years later."""

TEST_FRACTION = 530 / 5621
"""The published share of test examples."""
VALID_FRACTION = 0.1

Indices = tuple[Array, Array, Array]
"""Which windows are for training, validation and test."""


def subject(patient: int) -> int:
    """Return the number of the first case of a patient's subject."""
    return SAME_SUBJECT.get(patient, patient)


def within_patients(windows: Windows, rng: np.random.Generator) -> Indices:
    """Put whole seizures of every patient, and as many interictal windows, into the test; a tenth of the rest validates."""
    in_test = np.zeros(len(windows.y), bool)
    for patient in np.unique(windows.patient):
        ours = np.flatnonzero(windows.patient == patient)
        ictal = _test_seizures(windows.seizure[ours], int(patient), rng)
        interictal = ours[windows.seizure[ours] == INTERICTAL]
        in_test[ours[ictal]] = True
        in_test[rng.choice(interictal, ictal.sum(), replace=False)] = True
    rest, test = np.flatnonzero(~in_test), rng.permutation(np.flatnonzero(in_test))
    train, valid = stratified(windows.y[rest], VALID_FRACTION, rng)
    return rest[train], rest[valid], test


def _test_seizures(seizure: Array, patient: int, rng: np.random.Generator) -> Array:
    """Mark the windows of drawn seizures that fit into the published share of one patient's; if none fits, the shortest's."""
    numbers, sizes = np.unique(seizure[seizure != INTERICTAL], return_counts=True)
    if len(numbers) < 2:
        raise DatasetError(
            f"chb{patient:02d} has windows in {len(numbers)} seizure(s), and one cannot be on both sides"
        )
    wanted = TEST_FRACTION * sizes.sum()
    chosen: list[int] = []
    for place in rng.permutation(len(numbers)):
        if sizes[[*chosen, place]].sum() <= wanted:
            chosen.append(place)
    return np.isin(seizure, numbers[chosen or sizes.argmin()])


def leave_one_out(patients: Array, tested: int, rng: np.random.Generator) -> Indices:
    """Test on one patient, validate on a tenth of the other subjects, train on the rest, without the tested one's other case."""
    subjects = np.array([subject(int(patient)) for patient in patients])
    others = np.setdiff1d(subjects, subject(tested))
    held_out = rng.choice(others, max(1, round(len(others) * VALID_FRACTION)), replace=False)
    validates = np.isin(subjects, held_out)
    trains = np.isin(subjects, others) & ~validates
    members = (np.flatnonzero(mask) for mask in (trains, validates, patients == tested))
    train, valid, test = (rng.permutation(indices) for indices in members)
    return train, valid, test
