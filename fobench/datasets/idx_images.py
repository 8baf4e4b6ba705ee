"""What MNIST and its drop-in replacements share: four IDX files of 60,000 + 10,000 grey images of 28 x 28."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fobench.contracts import DatasetError, Origin, Splits, Task
from fobench.datasets.arrays import Array, as_split, hold_out
from fobench.datasets.fetch import Download, fetch_first
from fobench.datasets.idx import read_idx
from fobench.datasets.images import blob_images
from fobench.datasets.options import share_of
from fobench.datasets.roots import fetch_command

SHAPES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


@dataclass(frozen=True)
class Published:
    """SHA-256 of one file of the data set, as gzip and of the IDX content, taken from the genuine files."""

    gzip: str
    content: str


@dataclass(frozen=True)
class Publication:
    """Name (also of its folder), files, mirrors, class counts, and moments of the training images in [0, 1]."""

    name: str
    files: Mapping[str, Published]
    mirrors: tuple[str, ...]
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    mean: float
    deviation: float


@dataclass(frozen=True)
class IDXImages:
    """`standardize` takes off the training mean and divides by the training deviation.

    `validation` training images, drawn by `seed`, are held out; the published protocol has none.
    """

    standardize: bool = False
    seed: int = 0
    validation: int = 0

    publication: ClassVar[Publication]

    def __post_init__(self) -> None:
        share_of("validation", self.validation, sum(self.publication.train_counts))

    @property
    def task(self) -> Task:
        """Ten classes of 1 x 28 x 28 values."""
        return Task("classification", (1, 28, 28), 10)

    def missing(self, root: Path) -> str | None:
        """Name the files that lie in the data set's folder under `root` neither as `.gz` nor plain."""
        name = self.publication.name
        absent = [f"{file}.gz" for file in SHAPES if self._path(root, file) is None]
        if not absent:
            return None
        return f"{name}: {', '.join(absent)} not found in {root / name}; run {fetch_command(name, root)}"

    def load(self, root: Path) -> Splits:
        """Read the four files, each checked to be the published one to the last byte."""
        if sentence := self.missing(root):
            raise DatasetError(sentence)
        published = self.publication
        images, labels, test_images, test_labels = (self._read(root, file) for file in SHAPES)
        checksums = {f"{published.name}/{file}": published.files[file].content for file in SHAPES}
        x, test_x = (pixels[:, None] / np.float32(255) for pixels in (images, test_images))
        return self._splits((x, labels), (test_x, test_labels), Origin.REAL, checksums)

    def surrogate(self) -> Splits:
        """Generate blob images with the class counts of the real data."""
        rng = np.random.default_rng(self.seed)
        counts = (self.publication.train_counts, self.publication.test_counts)
        labels, test_labels = (rng.permutation(np.repeat(np.arange(10), part)) for part in counts)
        images = blob_images(np.concatenate([labels, test_labels]), 28, rng)
        train, test = (images[: len(labels)], labels), (images[len(labels) :], test_labels)
        return self._splits(train, test, Origin.SURROGATE, {})

    def fetch(self, root: Path, base_url: str | None = None) -> None:
        """Download the four files from the first mirror that gives them (or from `base_url` alone)."""
        published = self.publication
        downloads = [Download(f"{file}.gz", f"sha256:{published.files[file].gzip}") for file in SHAPES]
        fetch_first(downloads, root / published.name, published.mirrors if base_url is None else (base_url,))

    def _splits(
        self, train: tuple[Array, Array], test: tuple[Array, Array], origin: Origin, checksums: dict[str, str]
    ) -> Splits:
        ours, held_out = hold_out(self._scale(train[0]), train[1], self.validation, self.seed)
        return Splits(ours, as_split(self._scale(test[0]), test[1]), held_out, origin, checksums)

    def _scale(self, images: Array) -> Array:
        if not self.standardize:
            return images
        return (images - np.float32(self.publication.mean)) / np.float32(self.publication.deviation)

    def _path(self, root: Path, file: str) -> Path | None:
        folder = root / self.publication.name
        return next((path for path in (folder / f"{file}.gz", folder / file) if path.is_file()), None)

    def _read(self, root: Path, file: str) -> Array:
        path = self._path(root, file)
        assert path is not None
        remedy = f"delete it and run {fetch_command(self.publication.name, root)}"
        values = read_idx(path, SHAPES[file], remedy)
        header = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes()
        if hashlib.sha256(header + values.tobytes()).hexdigest() != self.publication.files[file].content:
            raise DatasetError(f"{path} is an IDX file of the right size, but not the published {file}; {remedy}")
        return values
