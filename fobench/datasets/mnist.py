"""MNIST: 60,000 + 10,000 handwritten digits of 28 x 28 grey values, in [0, 1].

LeCun, Cortes, Burges, The MNIST database of handwritten digits, 1998; LeCun et al., Proc. IEEE 86(11):2278-2324, 1998.
The published protocol has no validation split.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError, Origin, Splits, Task
from fobench.datasets.arrays import Array, as_split
from fobench.datasets.fetch import Download, fetch_first
from fobench.datasets.idx import read_idx
from fobench.datasets.images import blob_images
from fobench.datasets.roots import fetch_command

MEAN, DEVIATION = 0.1307, 0.3081
"""Of the training images in [0, 1]."""

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


@dataclass(frozen=True)
class Published:
    """One file of the data set: shape, SHA-256 of its gzip file and of the IDX content, taken from the genuine files."""

    shape: tuple[int, ...]
    gzip: str
    content: str


FILES = {
    "train-images-idx3-ubyte": Published(
        (60_000, 28, 28),
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": Published(
        (60_000,),
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": Published(
        (10_000, 28, 28),
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": Published(
        (10_000,),
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)


@dataclass(frozen=True)
class MNIST:
    """Handwritten digits; `standardize` takes off the training mean and divides by the training deviation."""

    standardize: bool = False
    seed: int = 0

    @property
    def task(self) -> Task:
        """Ten classes of 1 x 28 x 28 values."""
        return Task("classification", (1, 28, 28), 10)

    def missing(self, root: Path) -> str | None:
        """Name the files that lie under `root`/mnist neither as `.gz` nor plain."""
        absent = [f"{name}.gz" for name in FILES if _path(root, name) is None]
        if not absent:
            return None
        return f"mnist: {', '.join(absent)} not found in {root / 'mnist'}; run {fetch_command('mnist', root)}"

    def load(self, root: Path) -> Splits:
        """Read the four files, each checked to be the published one to the last byte."""
        if sentence := self.missing(root):
            raise DatasetError(sentence)
        arrays = [_read(root, name) for name in FILES]
        checksums = {f"mnist/{name}": published.content for name, published in FILES.items()}
        images, labels, test_images, test_labels = arrays
        train, test = (self._scale(pixels[:, None] / np.float32(255)) for pixels in (images, test_images))
        return Splits(as_split(train, labels), as_split(test, test_labels), None, Origin.REAL, checksums)

    def surrogate(self) -> Splits:
        """Generate blob images with the class counts of the real digits."""
        rng = np.random.default_rng(self.seed)
        train, test = (rng.permutation(np.repeat(np.arange(10), counts)) for counts in (TRAIN_COUNTS, TEST_COUNTS))
        images = self._scale(blob_images(np.concatenate([train, test]), 28, rng))
        return Splits(
            as_split(images[: len(train)], train), as_split(images[len(train) :], test), None, Origin.SURROGATE
        )

    def fetch(self, root: Path, base_url: str | None = None) -> None:
        """Download the four files from the first mirror that gives them (or from `base_url` alone)."""
        downloads = [Download(f"{name}.gz", f"sha256:{published.gzip}") for name, published in FILES.items()]
        fetch_first(downloads, root / "mnist", MIRRORS if base_url is None else (base_url,))

    def _scale(self, images: Array) -> Array:
        return (images - np.float32(MEAN)) / np.float32(DEVIATION) if self.standardize else images


def _path(root: Path, name: str) -> Path | None:
    candidates = (root / "mnist" / f"{name}.gz", root / "mnist" / name)
    return next((path for path in candidates if path.is_file()), None)


def _read(root: Path, name: str) -> Array:
    path = _path(root, name)
    assert path is not None
    published = FILES[name]
    remedy = f"delete it and run {fetch_command('mnist', root)}"
    values = read_idx(path, published.shape, remedy)
    header = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes()
    if hashlib.sha256(header + values.tobytes()).hexdigest() != published.content:
        raise DatasetError(f"{path} is an IDX file of the right size, but not the published {name}; {remedy}")
    return values
