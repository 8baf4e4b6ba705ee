"""CIFAR-10: 50,000 + 10,000 colour photographs of 32 x 32 pixels in ten classes, airplane to truck."""

from __future__ import annotations

from dataclasses import dataclass

from fobench.datasets.cifar_images import CIFARImages, Publication
from fobench.datasets.fetch import Download


@dataclass(frozen=True)
class CIFAR10(CIFARImages):
    """Photographs of ten classes."""

    publication = Publication(
        name="cifar10",
        classes=10,
        archive=Download(
            "cifar-10-python.tar.gz", "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
        ),
        folder="cifar-10-batches-py",
        labels=b"labels",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
        genuine={
            # all of it, and the first 1,000 images
            "data_batch_1": "ba52cb2d72c412975d7556bb26bd094956f1c002d1937053f6f1252f2ac17114",
            "test_batch": "2c7f1e2769a741f695dfd5f74aa4a4ef08a7d20b9ec8576214dabab76c75c784",
        },
    )
