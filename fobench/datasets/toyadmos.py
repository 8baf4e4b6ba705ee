"""ToyADMOS, toy car: does a machine sound abnormal? Log-mel frames, to be reconstructed, as in MLPerf Tiny's anomaly detection.

Koizumi et al., ToyADMOS, WASPAA 2019; released as the toy car of DCASE 2020 Challenge Task 2 (Koizumi et al., arXiv:2006.05822)
under CC BY-NC-SA 4.0: no commercial use. Of each clip 200 frames, five consecutive ones to a vector: 196 vectors of 640 values.

Departures: the AUC is taken over vectors, where MLPerf Tiny averages the errors of a clip first and then the AUC of the four
machines; 4,000 clips to train on, where its script adds 3,000 of other machines; values are standardised unless `raw`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError, Origin, Splits, Task
from fobench.datasets import sound_model
from fobench.datasets.archives import unpack
from fobench.datasets.arrays import Array, as_split
from fobench.datasets.fetch import Download, fetch_all
from fobench.datasets.mel import log_mel
from fobench.datasets.roots import fetch_command
from fobench.datasets.wav import RATE_HZ, read_wav

BASE_URL = "https://zenodo.org/records/3678171/files/"
ARCHIVE = Download("dev_data_ToyCar.zip", "md5:4dec75ca8d9f666aa9e4c1894a740501")
FOLDER = "toyadmos"
PUBLISHED = {("train", "normal"): 4000, ("test", "normal"): 1400, ("test", "anomaly"): 1059}

BANDS, STACKED = 128, 5
FIRST, LAST = 512 * (50 - 1), 512 * (249 + 1)
"""Samples that frames 50 to 249 cover when frame t has 512 samples on each side of sample 512 t."""
VECTORS = 196
SURROGATE_CLIPS = {("train", "normal"): 100, ("test", "normal"): 15, ("test", "anomaly"): 10}


@dataclass(frozen=True)
class ToyADMOS:
    """Vectors of five log-mel frames, standardised by the training mean and deviation unless `raw` (decibels)."""

    raw: bool = False
    seed: int = 0

    @property
    def task(self) -> Task:
        """Reconstruct 640 values: 128 bands of the first frame, then of the next."""
        return Task("reconstruction", (STACKED * BANDS,))

    def missing(self, root: Path) -> str | None:
        """Say which part has no clips under `root`; some of each kind are an extract."""
        clips = _clips(root)
        absent = [f"{part}/{kind}_id_*.wav" for (part, kind), paths in clips.items() if not paths]
        if not absent:
            return None
        return f"toyadmos: {', '.join(absent)} not found in {_folder(root)}; run {fetch_command('toyadmos', root)}"

    def load(self, root: Path) -> Splits:
        """Read all clips; every vector of an abnormal clip counts as abnormal."""
        if sentence := self.missing(root):
            raise DatasetError(sentence)
        clips = _clips(root)
        whole = all(len(paths) == PUBLISHED[key] for key, paths in clips.items())
        vectors = {key: _read(root, paths) for key, paths in clips.items()}
        checksums = {
            f"{FOLDER}/ToyCar/{part}/{kind}": hashlib.sha256(x.data).hexdigest() for (part, kind), x in vectors.items()
        }
        train = vectors.pop(("train", "normal"))
        tests = vectors["test", "normal"], vectors["test", "anomaly"]
        return self._splits(train, tests, Origin.REAL if whole else Origin.EXTRACT, checksums)

    def surrogate(self) -> Splits:
        """Generate the vectors of far fewer clips (100 to train on, 25 to test on) of a machine that may squeal."""
        rng = np.random.default_rng(self.seed)
        train, normal, abnormal = (
            sound_model.machine(np.full(clips * VECTORS, kind == "anomaly"), STACKED, BANDS, rng)
            for (_, kind), clips in SURROGATE_CLIPS.items()
        )
        return self._splits(train, (normal, abnormal), Origin.SURROGATE, {})

    def fetch(self, root: Path, base_url: str = BASE_URL) -> None:
        """Download the archive (1.8 GB) and unpack it."""
        fetch_all([ARCHIVE], root / FOLDER, base_url)
        unpack(root / FOLDER / ARCHIVE.name)

    def _splits(self, train: Array, tests: tuple[Array, Array], origin: Origin, checksums: dict[str, str]) -> Splits:
        test = np.concatenate(tests)
        if not self.raw:
            mean, deviation = train.mean(dtype=np.float64), train.std(dtype=np.float64)
            for part in (train, test):
                part -= np.float32(mean)
                part /= np.float32(deviation)
        abnormal = np.repeat([0, 1], [len(part) for part in tests])
        return Splits(as_split(train, np.zeros(len(train))), as_split(test, abnormal), None, origin, checksums)


def _folder(root: Path) -> Path:
    return root / FOLDER / "ToyCar"


def _clips(root: Path) -> dict[tuple[str, str], list[Path]]:
    return {(part, kind): sorted((_folder(root) / part).glob(f"{kind}_id_*.wav")) for part, kind in PUBLISHED}


def _read(root: Path, paths: list[Path]) -> Array:
    """Return the vectors of all clips, one after the other, (196 * clips) x 640."""
    remedy = f"delete it and run {fetch_command('toyadmos', root)}"
    vectors = np.empty((len(paths), VECTORS, STACKED, BANDS), np.float32)
    for number, path in enumerate(paths):
        samples = read_wav(path, str(path), remedy)
        if len(samples) < LAST:
            raise DatasetError(f"{path} has {len(samples)} samples, expected {LAST} or more; {remedy}")
        vectors[number] = stack(log_mel(samples[FIRST:LAST] / 32768, RATE_HZ))
    return vectors.reshape(-1, STACKED * BANDS)


def stack(frames: Array) -> Array:
    """Return every five consecutive frames, (frames - 4) x 5 x bands."""
    return np.lib.stride_tricks.sliding_window_view(frames, STACKED, axis=0).swapaxes(1, 2)
