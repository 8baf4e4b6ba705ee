"""The 1,797 handwritten digits of 8 x 8 grey values that come with scikit-learn: real data without any file to fetch.

Alpaydin, Kaynak, Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998 (its test part).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import Origin, Splits, Task
from fobench.datasets.arrays import Array, as_split, stratified
from fobench.datasets.images import blob_images

COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Digits:
    """Digits in [0, 1], four fifths for training, one fifth for testing, stratified; `seed` draws the split."""

    seed: int = 0

    @property
    def task(self) -> Task:
        """Ten classes of 1 x 8 x 8 values."""
        return Task("classification", (1, 8, 8), 10)

    def missing(self, root: Path) -> str | None:
        """Nothing: the data are part of scikit-learn."""
        return None

    def load(self, root: Path) -> Splits:
        """Take the digits out of scikit-learn; `root` is not used."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        checksum = hashlib.sha256(digits.images.astype(np.uint8).tobytes()).hexdigest()
        images = digits.images[:, None] / 16
        return self._split(images, digits.target, Origin.REAL, {"sklearn.datasets.load_digits": checksum})

    def surrogate(self) -> Splits:
        """Generate blob images with the class counts of the real digits."""
        labels = np.repeat(np.arange(10), COUNTS)
        images = blob_images(labels, 8, np.random.default_rng(self.seed))
        return self._split(images, labels, Origin.SURROGATE, {})

    def fetch(self, root: Path) -> None:
        """Do nothing: the data are part of scikit-learn."""

    def _split(self, images: Array, labels: Array, origin: Origin, checksums: dict[str, str]) -> Splits:
        rest, part = stratified(labels, TEST_FRACTION, np.random.default_rng(self.seed))
        return Splits(
            as_split(images[rest], labels[rest]), as_split(images[part], labels[part]), None, origin, checksums
        )
