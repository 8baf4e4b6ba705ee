"""Visual Wake Words: is a person in the picture? Photographs of COCO 2014 at 96 x 96 pixels, as MLPerf Tiny trains on them.

Chowdhery et al., Visual Wake Words Dataset, arXiv:1906.05721, 2019; Banbury et al., MLPerf Tiny Benchmark, NeurIPS 2021. Each
photograph has the licence that its photographer gave it.

Departures: the tenth that is tested on is drawn by `seed` within each class, where the reference training holds out a part by
file order and MLPerf Tiny scores 1,000 images of its own choice; no augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fobench.datasets.archives import unpack
from fobench.datasets.fetch import Download, fetch_all
from fobench.datasets.image_folder import SUFFIXES, ImageFolder
from fobench.datasets.roots import fetch_command

BASE_URL = "https://www.silabs.com/public/files/github/machine_learning/benchmarks/datasets/"
ARCHIVE = Download("vw_coco2014_96.tar.gz", "sha256:f8746b9e44f8a7a4293f73be9ba6e8da9239fe69798d42364aae62b915cfab58")
OUTER = "vww"


@dataclass(frozen=True)
class VisualWakeWords(ImageFolder):
    """Photographs in [0, 1], without and with a person; all of them take 12 GB of memory, 16 GB while they are read."""

    name = "vww"
    folder = f"{OUTER}/vw_coco2014_96"
    classes = ("non_person", "person")
    size = 96
    published_images = 109_619
    test_fraction = 0.1
    surrogate_per_class = 1000

    def missing(self, root: Path) -> str | None:
        """Say what is not there, and that images lying about in the outer folder are not of this data set."""
        sentence = super().missing(root)
        strays = sorted(path.name for path in (root / OUTER).glob("*") if path.suffix.lower() in SUFFIXES)
        if sentence and strays:
            return (
                f"{sentence}; {', '.join(strays[:3])} in {root / OUTER} are not from Visual Wake Words and are not used"
            )
        return sentence

    def fetch(self, root: Path, base_url: str = BASE_URL) -> None:
        """Download the archive (235 MB) and unpack its 109,619 images."""
        fetch_all([ARCHIVE], root / OUTER, base_url)
        unpack(root / OUTER / ARCHIVE.name)

    def _remedy(self, root: Path) -> str:
        return f"run {fetch_command(self.name, root)}"
