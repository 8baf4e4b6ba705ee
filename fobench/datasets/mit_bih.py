"""MIT-BIH Arrhythmia Database: heartbeats of 47 people in the five AAMI classes N, S, V, F, Q, cut from the original records.

Moody, Mark, IEEE Eng. in Med. and Biol. 20(3):45-50, 2001, doi:10.13026/C2F305. Beats after Kachuee, Fazeli, Sarrafzadeh,
ECG Heartbeat Classification, ICHI 2018 (arXiv:1805.00794): lead MLII at 125 Hz; a beat starts at its R sample and lasts 1.2 times
the median R-R interval of its 10 s, scaled to [0, 1], cut or zero-padded to 187 values.

Departures: R samples are the reference annotations, not detected peaks, so that no beat is lost; each beat is scaled by itself,
the whole of it before it is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError, Origin, Splits, Task
from fobench.datasets import ecg_model
from fobench.datasets.arrays import Array, as_split, sha256, stratified
from fobench.datasets.fetch import fetch_all, publisher_checksums, with_checksums
from fobench.datasets.mitdb_beats import AAMI, BEATS, CLASSES, DS1, DS2, WITHOUT_MLII
from fobench.datasets.options import one_of
from fobench.datasets.roots import fetch_command
from fobench.datasets.wfdb_record import SUFFIXES, Record, read_record

BASE_URL = "https://physionet.org/files/mitdb/1.0.0/"
FOLDER = "mitdb"
RATE_HZ = 360
UP, DOWN = 25, 72
"""From 360 to 125 Hz."""
WIDTH = 187
SEGMENT_S = 10
TEST_FRACTION = 0.2
VALID_FRACTION = 0.1


@dataclass(frozen=True)
class MITBIH:
    """Heartbeats. `split`: `intra` (by beat, a person may be on both sides) or `inter` (by person, DS1 against DS2).

    `balance: resample` gives every class the same number of training beats, the total unchanged: classes with more are thinned,
    those with fewer repeat beats. `crop` keeps the first values. `seed` draws splits and resamples.
    """

    split: str = "intra"
    balance: str = "none"
    crop: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("split", self.split, ("intra", "inter"))
        one_of("balance", self.balance, ("none", "resample"))
        if self.crop is not None and not 1 <= self.crop <= WIDTH:
            raise DatasetError(f"crop: {self.crop}; a beat has {WIDTH} values, so expected 1 to {WIDTH}")

    @property
    def task(self) -> Task:
        """Five classes of 187 values, or of `crop`."""
        return Task("classification", (self.crop or WIDTH,), len(CLASSES))

    @property
    def records(self) -> tuple[str, ...]:
        """The records that the split uses."""
        return tuple(BEATS) if self.split == "intra" else DS1 + DS2

    def missing(self, root: Path) -> str | None:
        """Count the files of the 48 records that are not under `root`/mitdb, and name the first."""
        names = [f"{record}{suffix}" for record in BEATS for suffix in SUFFIXES]
        absent = [name for name in names if not (root / FOLDER / name).is_file()]
        if not absent:
            return None
        return (
            f"mit-bih: {len(absent)} of {len(names)} files not found in {root / FOLDER} (first: {absent[0]}); "
            f"run {fetch_command('mit-bih', root)}"
        )

    def load(self, root: Path) -> Splits:
        """Read the records, each verified against its header and its published number of beats."""
        if sentence := self.missing(root):
            raise DatasetError(sentence)
        parts = [_beats(root, record) for record in self.records]
        beats, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        paths = [f"{FOLDER}/{record}{suffix}" for record in self.records for suffix in SUFFIXES]
        return self._splits(beats, labels, Origin.REAL, {path: sha256(root / path) for path in paths})

    def surrogate(self) -> Splits:
        """Generate beats of a signal model, record by record as many of each class as the real ones have."""
        labels = np.concatenate([np.repeat(np.arange(len(CLASSES)), BEATS[record]) for record in self.records])
        beats = ecg_model.beats(labels, WIDTH, np.random.default_rng(self.seed))
        return self._splits(beats, labels, Origin.SURROGATE, {})

    def fetch(self, root: Path, base_url: str = BASE_URL) -> None:
        """Download the 48 records, checked against PhysioNet's own SHA256SUMS.txt."""
        checksums = publisher_checksums(root / FOLDER, base_url)
        names = [f"{record}{suffix}" for record in BEATS for suffix in SUFFIXES]
        fetch_all(with_checksums(names, checksums, base_url), root / FOLDER, base_url)

    def _splits(self, beats: Array, labels: Array, origin: Origin, checksums: dict[str, str]) -> Splits:
        rng = np.random.default_rng(self.seed)
        if self.split == "intra":
            train, valid, test = by_beat(labels, rng)
        else:
            record_of = np.repeat(self.records, [sum(BEATS[record]) for record in self.records])
            train, valid, test = by_record(record_of, rng)
        if self.balance == "resample":
            train = resampled(train, labels, rng)
        kept = beats[:, : self.crop]
        ours, theirs, held_out = (as_split(kept[indices], labels[indices]) for indices in (train, test, valid))
        return Splits(ours, theirs, held_out, origin, checksums)


def by_beat(labels: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return the indices of training, validation and test, drawn within each class."""
    rest, test = stratified(labels, TEST_FRACTION, rng)
    train, valid = stratified(labels[rest], VALID_FRACTION, rng)
    return rest[train], rest[valid], test


def by_record(record_of: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return the indices of training and validation (records of DS1, a tenth of them held out) and of test (DS2)."""
    drawn = rng.choice(DS1, round(len(DS1) * VALID_FRACTION), replace=False)
    validates = np.isin(record_of, drawn)
    members = (np.isin(record_of, DS1) & ~validates, validates, np.isin(record_of, DS2))
    train, valid, test = (rng.permutation(np.flatnonzero(mask)) for mask in members)
    return train, valid, test


def resampled(train: Array, labels: Array, rng: np.random.Generator) -> Array:
    """Draw as many training beats of every class; a class with fewer is drawn from with replacement."""
    share = len(train) // len(CLASSES)
    by_class = [train[labels[train] == label] for label in range(len(CLASSES))]
    return rng.permutation(np.concatenate([rng.choice(part, share, replace=len(part) < share) for part in by_class]))


def _beats(root: Path, name: str) -> tuple[Array, Array]:
    """Return the beats (N x 187) and class numbers of one record."""
    stem = root / FOLDER / name
    remedy = f"delete it and run {fetch_command('mit-bih', root)}"
    record = read_record(stem, None if name in WITHOUT_MLII else "MLII", RATE_HZ, remedy)
    chosen = np.array([symbol in AAMI for symbol in record.symbols])
    labels = np.array([AAMI[symbol] for symbol in record.symbols if symbol in AAMI], np.int64)
    found = tuple(int(count) for count in np.bincount(labels, minlength=len(CLASSES)))
    if found != BEATS[name]:
        raise DatasetError(
            f"{stem}.atr holds {found} beats of the classes {', '.join(CLASSES)}, expected {BEATS[name]}; {remedy}"
        )
    return cut(record, record.samples[chosen]), labels


def cut(record: Record, r_samples: Array) -> Array:
    """Cut a record into beats at its R samples (in samples of 360 Hz), N x 187 in [0, 1]."""
    from scipy.signal import resample_poly

    signal = resample_poly(record.signal, UP, DOWN)
    starts = np.rint(r_samples * UP / DOWN).astype(np.int64)
    lengths = np.rint(median_intervals(r_samples) * 6 * UP / (5 * DOWN)).astype(np.int64)  # 1.2 = 6/5, kept exact
    offsets = np.arange(max(WIDTH, lengths.max()))
    places = starts[:, None] + offsets
    inside = (offsets < lengths[:, None]) & (places < len(signal))
    return ecg_model.unit_range(signal[places.clip(max=len(signal) - 1)], inside)[:, :WIDTH].astype(np.float32)


def median_intervals(r_samples: Array) -> Array:
    """Return, for every beat, the median R-R interval in its 10 s of the record, in samples of 360 Hz.

    An interval belongs to the 10 s that hold both its beats; 10 s without one take the median of the whole record.
    """
    segments = r_samples // (SEGMENT_S * RATE_HZ)
    intervals = np.diff(r_samples)
    within = segments[1:] == segments[:-1]
    medians: Array = np.full(segments.max() + 1, np.median(intervals))
    for segment in np.unique(segments[1:][within]):
        medians[segment] = np.median(intervals[within & (segments[1:] == segment)])
    return np.asarray(medians[segments])
