"""What CIFAR-10 and CIFAR-100 share: pickled batches of 32 x 32 colour images, 50,000 + 10,000, and their scalings.

Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. No licence is stated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fobench.contracts import DatasetError, Origin, Splits, Task
from fobench.datasets.archives import unpack
from fobench.datasets.arrays import Array, as_split, hold_out, sha256
from fobench.datasets.cifar_batch import read_batch
from fobench.datasets.fetch import Download, fetch_all
from fobench.datasets.images import blob_images
from fobench.datasets.options import one_of, share_of
from fobench.datasets.roots import fetch_command

BASE_URL = "https://www.cs.toronto.edu/~kriz/"
SHAPE = (3, 32, 32)
TRAIN_IMAGES, TEST_IMAGES = 50_000, 10_000


@dataclass(frozen=True)
class Publication:
    """Name (also of its folder), archive, folder within it, key of the labels, and MD5 of each pickle file.

    `genuine` has, by file, the SHA-256 of pixels and labels of known parts of it in pickles written anew.
    """

    name: str
    classes: int
    archive: Download
    folder: str
    labels: bytes
    train: Mapping[str, str]
    test: Mapping[str, str]
    genuine: Mapping[str, str]


@dataclass(frozen=True)
class CIFARImages:
    """`scale`: `unit` ([0, 1]), `half` (mean and deviation 0.5: [-1, 1]), or `channels` (those of the training images).

    `validation` training images, drawn by `seed`, are held out; the published protocol has none.
    """

    scale: str = "unit"
    seed: int = 0
    validation: int = 0

    publication: ClassVar[Publication]

    def __post_init__(self) -> None:
        one_of("scale", self.scale, ("unit", "half", "channels"))
        share_of("validation", self.validation, TRAIN_IMAGES)

    @property
    def task(self) -> Task:
        """Classes of 3 x 32 x 32 values."""
        return Task("classification", SHAPE, self.publication.classes)

    def missing(self, root: Path) -> str | None:
        """Say that the test file, or every training file, is not under `root`; some training files are an extract."""
        published = self.publication
        if self._present(root, published.train) and self._present(root, published.test):
            return None
        names = ", ".join([*published.train, *published.test])
        return f"{published.name}: {names} not found in {self._folder(root)}; run {fetch_command(published.name, root)}"

    def load(self, root: Path) -> Splits:
        """Read the batches that are there, each checked to be a published one or a known part of one."""
        if sentence := self.missing(root):
            raise DatasetError(sentence)
        published = self.publication
        names = [*self._present(root, published.train), *self._present(root, published.test)]
        batches = [self._read(root, name) for name in names]
        (images, labels), test = (_together(part) for part in (batches[:-1], batches[-1:]))
        if self.validation >= len(labels):
            raise DatasetError(
                f"{published.name}: validation: {self.validation}, but {self._folder(root)} has {len(labels)} images"
            )
        whole = (len(labels), len(test[1])) == (TRAIN_IMAGES, TEST_IMAGES)
        checksums = {f"{published.name}/{name}": sha256(self._folder(root) / name) for name in names}
        return self._splits((images, labels), test, Origin.REAL if whole else Origin.EXTRACT, checksums)

    def surrogate(self) -> Splits:
        """Generate blob images, as many of each class as the whole data set has."""
        rng, classes = np.random.default_rng(self.seed), self.publication.classes
        labels, test_labels = (rng.permutation(np.arange(total) % classes) for total in (TRAIN_IMAGES, TEST_IMAGES))
        images = np.rint(blob_images(np.concatenate([labels, test_labels]), 32, rng, 3) * 255).astype(np.uint8)
        train, test = (images[:TRAIN_IMAGES], labels), (images[TRAIN_IMAGES:], test_labels)
        return self._splits(train, test, Origin.SURROGATE, {})

    def fetch(self, root: Path, base_url: str = BASE_URL) -> None:
        """Download the archive and unpack it."""
        folder, archive = root / self.publication.name, self.publication.archive
        fetch_all([archive], folder, base_url)
        unpack(folder / archive.name)

    def _splits(
        self, train: tuple[Array, Array], test: tuple[Array, Array], origin: Origin, checksums: dict[str, str]
    ) -> Splits:
        moments = self._moments(train[0])
        ours, held_out = hold_out(_scaled(train[0], *moments), train[1], self.validation, self.seed)
        return Splits(ours, as_split(_scaled(test[0], *moments), test[1]), held_out, origin, checksums)

    def _moments(self, images: Array) -> tuple[Array, Array]:
        """Return mean and deviation of each channel to scale by, for values in [0, 1]."""
        if self.scale == "channels":
            histograms = np.stack([np.bincount(images[:, channel].ravel(), minlength=256) for channel in range(3)])
            levels, share = np.arange(256) / 255, histograms / histograms.sum(1, keepdims=True)
            mean = share @ levels
            return mean, np.sqrt(share @ levels**2 - mean**2)
        mean, deviation = (0.5, 0.5) if self.scale == "half" else (0.0, 1.0)
        return np.full(3, mean), np.full(3, deviation)

    def _folder(self, root: Path) -> Path:
        return root / self.publication.name / self.publication.folder

    def _present(self, root: Path, names: Mapping[str, str]) -> list[str]:
        return [name for name in names if (self._folder(root) / name).is_file()]

    def _read(self, root: Path, name: str) -> tuple[Array, Array]:
        path, published = self._folder(root) / name, self.publication
        remedy = f"delete it and run {fetch_command(published.name, root)}"
        images, labels = read_batch(path, published.labels, published.classes, remedy)
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        content = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        if md5 != {**published.train, **published.test}[name] and content != published.genuine.get(name):
            raise DatasetError(
                f"{path} holds {len(labels)} images, but they are neither the published {name} nor a known part of it; "
                f"{remedy}"
            )
        return images, labels


def _together(batches: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _scaled(images: Array, mean: Array, deviation: Array) -> Array:
    """Bring bytes to [0, 1] and standardise each channel, in one copy."""
    scaled = images.astype(np.float32)
    scaled /= 255
    scaled -= mean.astype(np.float32)[:, None, None]
    scaled /= deviation.astype(np.float32)[:, None, None]
    return scaled
