"""What data sets of image files share: one folder for each class, read with Pillow into memory and split by a seed."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fobench.contracts import DatasetError, Origin, Splits, Task
from fobench.datasets.arrays import Array, as_split, stratified
from fobench.datasets.images import blob_images

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True)
class ImageFolder(ABC):
    """`images_per_class` takes the first files of each class only, by name, where memory is short; the origin is then `extract`.

    `seed` draws the split: the test part is the same share of every class.
    """

    images_per_class: int | None = None
    seed: int = 0

    name: ClassVar[str]
    folder: ClassVar[str]
    """Below the root, with a folder for each class in it."""
    classes: ClassVar[tuple[str, ...]]
    size: ClassVar[int]
    published_images: ClassVar[int]
    test_fraction: ClassVar[float]
    surrogate_per_class: ClassVar[int]

    def __post_init__(self) -> None:
        wanted = self.images_per_class
        if wanted is not None and (not isinstance(wanted, int) or wanted < self._least):
            raise DatasetError(
                f"images_per_class: {wanted!r}; a test part of {self.test_fraction:.0%} needs {self._least} or more"
            )

    @property
    def task(self) -> Task:
        """Classes of 3 x size x size values."""
        return Task("classification", (3, self.size, self.size), len(self.classes))

    def missing(self, root: Path) -> str | None:
        """Say which classes have no folder, or too few images for the split, under `root`."""
        absent = [name for name in self.classes if len(_files(root / self.folder / name)) < self._least]
        if not absent:
            return None
        return (
            f"{self.name}: {len(absent)} of {len(self.classes)} class folders with at least {self._least} images each not "
            f"found in {root / self.folder} (first: {absent[0]}); {self._remedy(root)}"
        )

    def load(self, root: Path) -> Splits:
        """Read every image, in RGB, its shorter side brought to `size` and its middle cut out."""
        if sentence := self.missing(root):
            raise DatasetError(sentence)
        files = {name: _files(root / self.folder / name)[: self.images_per_class] for name in self.classes}
        labels = np.repeat(np.arange(len(self.classes)), [len(paths) for paths in files.values()])
        pixels = read_images([path for paths in files.values() for path in paths], self.size, self._remedy(root))
        whole = self._is_whole({name: len(paths) for name, paths in files.items()})
        starts = np.flatnonzero(np.diff(labels, prepend=-1))
        checksums = {
            f"{self.folder}/{name}": hashlib.sha256(part.data).hexdigest()
            for name, part in zip(self.classes, np.split(pixels, starts[1:]), strict=True)
        }
        return self._splits(pixels, labels, Origin.REAL if whole else Origin.EXTRACT, checksums)

    def surrogate(self) -> Splits:
        """Generate blob images, far fewer than the real ones, as many of each class."""
        rng = np.random.default_rng(self.seed)
        labels = np.repeat(np.arange(len(self.classes)), self.images_per_class or self.surrogate_per_class)
        pixels = np.rint(blob_images(labels, self.size, rng, 3) * 255).astype(np.uint8)
        return self._splits(pixels, labels, Origin.SURROGATE, {})

    @property
    def _least(self) -> int:
        """Images that a class must have so that one of them, after rounding, is tested on."""
        return int(0.5 / self.test_fraction) + 1

    def _is_whole(self, counts: dict[str, int]) -> bool:
        return sum(counts.values()) == self.published_images

    @abstractmethod
    def _remedy(self, root: Path) -> str:
        """End a sentence with what brings the files."""

    def _scale(self, pixels: Array) -> Array:
        """Bring bytes to float32 values in [0, 1]."""
        scaled = pixels.astype(np.float32)
        scaled /= 255
        return scaled

    def _splits(self, pixels: Array, labels: Array, origin: Origin, checksums: dict[str, str]) -> Splits:
        parts = stratified(labels, self.test_fraction, np.random.default_rng(self.seed))
        train, test = (as_split(self._scale(pixels[part]), labels[part]) for part in parts)
        return Splits(train, test, None, origin, checksums)


def read_images(paths: Sequence[Path], size: int, remedy: str) -> Array:
    """Return N x 3 x size x size bytes; a file that is no whole image raises DatasetError, ending in `remedy`."""
    pixels = np.empty((len(paths), 3, size, size), np.uint8)
    for number, path in enumerate(paths):
        pixels[number] = _read(path, size, remedy)
    return pixels


def _read(path: Path, size: int, remedy: str) -> Array:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return _middle(image.convert("RGB"), size)
    except Exception as error:  # the reader raises whatever a broken file leads it to
        raise DatasetError(f"{path} cannot be read as an image ({error}); delete it, then {remedy}") from error


def _middle(image: Any, size: int) -> Array:
    """Bring the shorter side to `size` (bilinear, antialiased), then cut out the middle square, 3 x size x size."""
    from PIL.Image import Resampling

    shorter = min(image.size)
    width, height = (size * side // shorter for side in image.size)
    if shorter != size:
        image = image.resize((width, height), Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    square = np.asarray(image)[top : top + size, left : left + size]
    return square.transpose(2, 0, 1)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
