"""Speech Commands v0.02: ten words, silence and unknown words, as 49 x 10 mel-frequency cepstral coefficients of a second.

Warden, arXiv:1804.03209, 2018; splits and features as in MLPerf Tiny's keyword spotting (Banbury et al., NeurIPS 2021):
84,843 + 668 clips to train on, 9,981 + 121 to validate, 4,890 to test, the second number seconds of background noise.

Departures: no noise is mixed into the training clips; coefficients are standardised unless `raw`; a clip without positive samples
is not divided by its peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError, Origin, Split, Splits, Task
from fobench.datasets import sound_model
from fobench.datasets.arrays import Array, as_split, sha256
from fobench.datasets.fetch import Download, fetch_all
from fobench.datasets.roots import fetch_command
from fobench.datasets.speech_archive import CLASSES, NOISE, Clips, read_archive, speaker

BASE_URL = "https://storage.googleapis.com/download.tensorflow.org/data/"
FOLDER = "speech_commands"
WHOLE = Download(
    "speech_commands_v0.02.tar.gz", "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
)
TEST = Download(
    "speech_commands_test_set_v0.02.tar.gz", "sha256:cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df"
)
TEST_SUBSET = "speech_commands_test_set_v0.02_subset.tar.gz"
"""Some clips of the test set: an extract."""
VALIDATION_NOISE = f"{NOISE}/running_tap.wav/"

FRAMES, COEFFICIENTS = 49, 10
COUNTS = {
    "train": (3134, 3106, 3037, 3130, 2970, 3086, 3019, 3111, 2948, 3228, 668, 54074),
    "valid": (377, 372, 352, 406, 373, 363, 363, 350, 350, 397, 121, 6278),
    "test": (406, 402, 412, 405, 402, 396, 396, 411, 425, 419, 408, 408),
}
"""Clips of each class; surrogates have as many."""
EXTRACT_TEST_FRACTION = 0.2

Part = tuple[Array, Array]


@dataclass(frozen=True)
class SpeechCommands:
    """Spoken words, each coefficient standardised by its training mean and deviation unless `raw`.

    `seed` draws the split of an extract by speaker; the published splits are lists of names.
    """

    raw: bool = False
    seed: int = 0

    @property
    def task(self) -> Task:
        """Twelve classes of 1 x 49 frames x 10 coefficients."""
        return Task("classification", (1, FRAMES, COEFFICIENTS), len(CLASSES))

    def missing(self, root: Path) -> str | None:
        """Name the archives that are not under `root`; the test archive, or a part of it, alone is an extract."""
        folder = root / FOLDER
        absent = [name for name in (WHOLE.name, TEST.name) if not (folder / name).is_file()]
        if TEST.name not in absent or (WHOLE.name in absent and (folder / TEST_SUBSET).is_file()):
            return None
        command = fetch_command("speech-commands", root)
        return f"speech-commands: {', '.join(absent)} not found in {folder}; run {command}"

    def load(self, root: Path) -> Splits:
        """Read both archives, each checked to be the published one, or split the clips of a test archive alone."""
        if sentence := self.missing(root):
            raise DatasetError(sentence)
        folder = root / FOLDER
        if (folder / WHOLE.name).is_file():
            return self._published(root)
        path = folder / TEST.name if (folder / TEST.name).is_file() else folder / TEST_SUBSET
        clips = read_archive(path, self._remedy(root))
        train, test = self._by_speaker(clips, path)
        return self._splits(train, test, None, Origin.EXTRACT, {f"{FOLDER}/{path.name}": sha256(path)})

    def surrogate(self) -> Splits:
        """Generate maps of a signal model, standardised, as many of each class as the published splits have."""
        rng = np.random.default_rng(self.seed)
        labels = {part: rng.permutation(np.repeat(np.arange(len(CLASSES)), COUNTS[part])) for part in COUNTS}
        maps = sound_model.words(np.concatenate(list(labels.values())), FRAMES, COEFFICIENTS, rng)
        ends = np.cumsum([len(y) for y in labels.values()])
        train, valid, test = zip(np.split(maps, ends[:-1]), labels.values(), strict=True)
        return self._splits(train, test, valid, Origin.SURROGATE, {})

    def fetch(self, root: Path, base_url: str = BASE_URL) -> None:
        """Download both archives (2.5 GB); they are read as they are."""
        fetch_all([WHOLE, TEST], root / FOLDER, base_url)

    def _published(self, root: Path) -> Splits:
        checksums = {f"{FOLDER}/{archive.name}": self._verified(root, archive) for archive in (WHOLE, TEST)}
        clips = read_archive(root / FOLDER / WHOLE.name, self._remedy(root))
        test = read_archive(root / FOLDER / TEST.name, self._remedy(root))
        validates = np.isin(clips.names, list(clips.lists["validation_list.txt"]))
        validates |= np.char.startswith(clips.names, VALIDATION_NOISE)
        trains = ~validates & ~np.isin(clips.names, list(clips.lists["testing_list.txt"]))
        train, valid = ((clips.x[chosen], clips.y[chosen]) for chosen in (trains, validates))
        return self._splits(train, (test.x, test.y), valid, Origin.REAL, checksums)

    def _verified(self, root: Path, archive: Download) -> str:
        path = root / FOLDER / archive.name
        found = sha256(path)
        if f"sha256:{found}" != archive.checksum:
            raise DatasetError(f"{path} has other bytes than the published archive; {self._remedy(root)}")
        return found

    def _by_speaker(self, clips: Clips, path: Path) -> tuple[Part, Part]:
        """Put whole speakers into the test part until it has a fifth of the clips; nobody is on both sides."""
        speakers, who, spoken = np.unique(
            [speaker(str(name)) for name in clips.names], return_inverse=True, return_counts=True
        )
        order = np.random.default_rng(self.seed).permutation(len(speakers))
        before = np.cumsum(spoken[order]) - spoken[order]
        tests = np.isin(who, order[before < EXTRACT_TEST_FRACTION * len(clips.names)])
        train, test = ((clips.x[chosen], clips.y[chosen]) for chosen in (~tests, tests))
        for part in (train, test):
            if len(np.unique(part[1])) < len(CLASSES):
                raise DatasetError(
                    f"{path} has too few clips or speakers for all {len(CLASSES)} classes on both sides of a split; "
                    f"run {fetch_command('speech-commands', path.parent.parent)} for all of them"
                )
        return train, test

    def _splits(self, train: Part, test: Part, valid: Part | None, origin: Origin, checksums: dict[str, str]) -> Splits:
        maps = train[0].reshape(-1, COEFFICIENTS)
        mean, deviation = (0.0, 1.0) if self.raw else (maps.mean(0, dtype=np.float64), maps.std(0, dtype=np.float64))

        def split(part: Part) -> Split:
            x, y = part
            return as_split(((x - mean) / deviation).reshape(-1, 1, FRAMES, COEFFICIENTS), y)

        return Splits(split(train), split(test), valid and split(valid), origin, checksums)

    def _remedy(self, root: Path) -> str:
        return f"delete it and run {fetch_command('speech-commands', root)}"
