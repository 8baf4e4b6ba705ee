"""CIFAR-100: 50,000 + 10,000 colour photographs of 32 x 32 pixels in a hundred (fine) classes."""

from __future__ import annotations

from dataclasses import dataclass

from fobench.datasets.cifar_images import CIFARImages, Publication
from fobench.datasets.fetch import Download


@dataclass(frozen=True)
class CIFAR100(CIFARImages):
    """Photographs of a hundred classes; the twenty coarse ones are not used."""

    publication = Publication(
        name="cifar100",
        classes=100,
        archive=Download(
            "cifar-100-python.tar.gz", "sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
        ),
        folder="cifar-100-python",
        labels=b"fine_labels",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        genuine={},
    )
