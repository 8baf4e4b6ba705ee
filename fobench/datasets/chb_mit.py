"""CHB-MIT scalp EEG: is a child in a seizure? Two classes of 4 s windows, interictal and ictal.

Shoeb, PhD thesis, MIT, 2009, doi:10.13026/C2K01R. The published loader of the forward-only papers is not public; from its use are
known 21 patients (1 to 24 without 6, 14, 16), 1,024 values and 5,091 + 530 examples, split within patients. Chosen here: channels
F7-T7 and F8-T8, windows without overlap from each seizure's onset, as many interictal ones, whole seizures on one side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError, Origin, Splits, Task
from fobench.datasets import eeg_model
from fobench.datasets.arrays import Array, as_split, stratified
from fobench.datasets.chb_edf import VALUES
from fobench.datasets.chb_splits import TEST_FRACTION, VALID_FRACTION, Indices, leave_one_out, subject, within_patients
from fobench.datasets.chb_summary import Recording, read_summary
from fobench.datasets.chb_windows import Windows, ictal_windows, patient_windows, together
from fobench.datasets.fetch import fetch_all, publisher_checksums, with_checksums
from fobench.datasets.options import one_of
from fobench.datasets.roots import fetch_command

BASE_URL = "https://physionet.org/files/chbmit/1.0.0/"
FOLDER = "chbmit"
PATIENTS = tuple(patient for patient in range(1, 25) if patient not in (6, 14, 16))
PUBLISHED_EXAMPLES = 5091 + 530
"""Training (validation included) and test."""

ICTAL_WINDOWS = {
    1: 108, 2: 42, 3: 99, 4: 93, 5: 138, 7: 80, 8: 228, 9: 67, 10: 109, 11: 201, 12: 354, 13: 150, 15: 489, 17: 72,
    18: 77, 19: 58, 20: 69, 21: 49, 22: 50, 23: 103, 24: 174,
}  # fmt: skip
"""Ictal windows of each patient by the publisher's summaries; 24 (summary not at hand): what the published sizes leave."""
UNVERIFIED = (24,)


@dataclass(frozen=True)
class CHBMIT:
    """Seizure windows, standardised by the training mean and deviation unless `raw` (microvolts).

    `split: within` puts about a tenth of each patient's seizures, whole, into the test; `leave-one-out` tests on `patient`, whose
    subject is not trained on. `patients` takes fewer than the 21. `seed` draws interictal windows and splits.
    """

    split: str = "within"
    patient: int | None = None
    patients: Sequence[int] | None = None
    raw: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("split", self.split, ("within", "leave-one-out"))
        if unknown := set(self.chosen) - set(PATIENTS):
            raise DatasetError(f"patients: {sorted(unknown)}; expected some of {', '.join(map(str, PATIENTS))}")
        if not self.chosen:
            raise DatasetError("patients: none; name at least one, or leave the option out for all")
        if (self.split == "leave-one-out") != (self.patient is not None):
            raise DatasetError("patient: name the one to test on with `split: leave-one-out`, and only then")
        if self.patient is not None and self.patient not in self.chosen:
            raise DatasetError(f"patient: {self.patient}; expected one of {', '.join(map(str, self.chosen))}")
        if self.patient is not None and len({subject(number) for number in self.chosen}) < 3:
            raise DatasetError("patients: leave-one-out needs three subjects: one each to train, validate and test on")

    @property
    def chosen(self) -> tuple[int, ...]:
        """The patients in use, in order."""
        return PATIENTS if self.patients is None else tuple(sorted(set(self.patients)))

    @property
    def task(self) -> Task:
        """Two classes of 1,024 values: 512 of F7-T7, then 512 of F8-T8."""
        return Task("classification", (VALUES,), 2)

    def missing(self, root: Path) -> str | None:
        """Say which patients' files are not under `root`/chbmit, or that those there cannot give the split."""
        absent = [patient for patient in self.chosen if not _summary(root, patient).is_file()]
        if absent:
            found = [patient for patient in self.chosen if patient not in absent]
            return (
                f"chb-mit: summaries of {len(absent)} of {len(self.chosen)} patients not found in {root / FOLDER} (first: "
                f"{_case(absent[0])}; there: {', '.join(map(_case, found)) or 'none'}); run {self._command(root)}"
            )
        try:
            return self._missing_recordings(root) or self._impossible(root)
        except DatasetError as error:
            return f"chb-mit: {error}"

    def windows(self, root: Path) -> Windows:
        """Read the windows of the chosen patients, ictal and interictal, without splitting them."""
        return together(
            [
                patient_windows(root / FOLDER / _case(patient), recordings, self.seed, self._remedy(root))
                for patient, recordings in self._recordings(root).items()
            ]
        )

    def load(self, root: Path) -> Splits:
        """Read all windows and split them; files that cannot give the split are refused."""
        if sentence := self.missing(root):
            raise DatasetError(sentence)
        windows = self.windows(root)
        checksums = {f"{FOLDER}/{_case(patient)}": self._checksum(root, windows, patient) for patient in self.chosen}
        rng = np.random.default_rng(self.seed)
        indices = (
            within_patients(windows, rng) if self.patient is None else leave_one_out(windows.patient, self.patient, rng)
        )
        return self._splits(windows.x, windows.y, indices, _origin(windows), checksums)

    def surrogate(self) -> Splits:
        """Generate EEG of a signal model: the published sizes within patients, else as many windows as the summaries tell of."""
        rng = np.random.default_rng(self.seed)
        patients = np.repeat(self.chosen, [2 * ICTAL_WINDOWS[patient] for patient in self.chosen])
        if self.chosen == PATIENTS and self.patient is None:
            patients = np.resize(patients, PUBLISHED_EXAMPLES)
        labels = np.arange(len(patients)) % 2
        if self.patient is None:
            rest, test = stratified(labels, TEST_FRACTION, rng)
            train, valid = stratified(labels[rest], VALID_FRACTION, rng)
            indices = rest[train], rest[valid], test
        else:
            indices = leave_one_out(patients, self.patient, rng)
        return self._splits(eeg_model.windows(labels, rng), labels, indices, Origin.SURROGATE, {})

    def fetch(self, root: Path, base_url: str = BASE_URL) -> None:
        """Download summaries and recordings of the chosen patients (40 GB for all), checked against SHA256SUMS.txt."""
        checksums = publisher_checksums(root / FOLDER, base_url)
        for patient in self.chosen:
            case = _case(patient)
            summary = with_checksums([f"{case}/{case}-summary.txt"], checksums, base_url)
            fetch_all(summary, root / FOLDER, base_url)
            recordings = read_summary(_summary(root, patient), self._remedy(root))
            names = [f"{case}/{recording.name}" for recording in recordings]
            fetch_all(with_checksums(names, checksums, base_url), root / FOLDER, base_url)

    def _splits(self, x: Array, y: Array, indices: Indices, origin: Origin, checksums: dict[str, str]) -> Splits:
        train, valid, test = indices
        if not self.raw:
            x = (x - x[train].mean(dtype=np.float64)) / x[train].std(dtype=np.float64)
        ours, held_out, theirs = (as_split(x[part], y[part]) for part in (train, valid, test))
        return Splits(ours, theirs, held_out, origin, checksums)

    def _recordings(self, root: Path) -> dict[int, tuple[Recording, ...]]:
        return {patient: read_summary(_summary(root, patient), self._remedy(root)) for patient in self.chosen}

    def _missing_recordings(self, root: Path) -> str | None:
        names = [
            f"{_case(patient)}/{recording.name}"
            for patient, recordings in self._recordings(root).items()
            for recording in recordings
        ]
        absent = [name for name in names if not (root / FOLDER / name).is_file()]
        if not absent:
            return None
        return (
            f"chb-mit: {len(absent)} of {len(names)} recordings not found in {root / FOLDER} (first: {absent[0]}); "
            f"run {self._command(root)}"
        )

    def _impossible(self, root: Path) -> str | None:
        """Say which patient has too few seizures for the split: for `within` one seizure cannot be on both sides."""
        least = 2 if self.split == "within" else 1
        for patient, recordings in self._recordings(root).items():
            seizures = {number for _, _, number in ictal_windows(recordings)}
            if len(seizures) < least:
                return (
                    f"chb-mit: {_summary(root, patient)} tells of {len(seizures)} seizure(s) of at least 4 s, the split needs "
                    f"{least}; one seizure cannot be split without leakage: run {self._command(root)} for the whole records"
                )
        return None

    def _checksum(self, root: Path, windows: Windows, patient: int) -> str:
        """Hash a patient's summary and the windows that were read: the whole recordings would take minutes."""
        digest = hashlib.sha256(_summary(root, patient).read_bytes())
        digest.update(windows.x[windows.patient == patient].tobytes())
        return digest.hexdigest()

    def _command(self, root: Path) -> str:
        patients = "" if self.patients is None else f" --patients {','.join(map(str, self.chosen))}"
        return fetch_command(f"chb-mit{patients}", root)

    def _remedy(self, root: Path) -> str:
        return f"delete it and run {self._command(root)}"


def _origin(windows: Windows) -> Origin:
    """Tell the whole data set, by its patients and the number of their ictal windows, from a part of it."""
    counts = {int(patient): int(windows.y[windows.patient == patient].sum()) for patient in np.unique(windows.patient)}
    whole = set(counts) == set(PATIENTS) and all(
        counts[patient] == ICTAL_WINDOWS[patient] for patient in PATIENTS if patient not in UNVERIFIED
    )
    return Origin.REAL if whole else Origin.EXTRACT


def _case(patient: int) -> str:
    return f"chb{patient:02d}"


def _summary(root: Path, patient: int) -> Path:
    return root / FOLDER / _case(patient) / f"{_case(patient)}-summary.txt"
