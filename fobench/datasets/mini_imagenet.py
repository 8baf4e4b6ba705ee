"""mini-ImageNet: 100 classes of ImageNet with 600 photographs each, as a folder for every class.

Vinyals et al., Matching Networks for One Shot Learning, NeurIPS 2016; the classes are those of Ravi, Larochelle, Optimization
as a Model for Few-Shot Learning, ICLR 2017. Used as in the forward-only papers: all 100 classes on both sides, 85 % of each for
training, the shorter side brought to 84 pixels and the middle cut out.

Departures: no augmentation (the released code turns and mirrors images at random, test images too, and splits without a seed).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError
from fobench.datasets.arrays import Array
from fobench.datasets.image_folder import ImageFolder

IMAGES_PER_CLASS = 600
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, in [0, 1]."""

# fmt: off
CLASSES = (
    "n01532829", "n01558993", "n01704323", "n01749939", "n01770081", "n01843383", "n01855672", "n01910747", "n01930112",
    "n01981276", "n02074367", "n02089867", "n02091244", "n02091831", "n02099601", "n02101006", "n02105505", "n02108089",
    "n02108551", "n02108915", "n02110063", "n02110341", "n02111277", "n02113712", "n02114548", "n02116738", "n02120079",
    "n02129165", "n02138441", "n02165456", "n02174001", "n02219486", "n02443484", "n02457408", "n02606052", "n02687172",
    "n02747177", "n02795169", "n02823428", "n02871525", "n02950826", "n02966193", "n02971356", "n02981792", "n03017168",
    "n03047690", "n03062245", "n03075370", "n03127925", "n03146219", "n03207743", "n03220513", "n03272010", "n03337140",
    "n03347037", "n03400231", "n03417042", "n03476684", "n03527444", "n03535780", "n03544143", "n03584254", "n03676483",
    "n03770439", "n03773504", "n03775546", "n03838899", "n03854065", "n03888605", "n03908618", "n03924679", "n03980874",
    "n03998194", "n04067472", "n04146614", "n04149813", "n04243546", "n04251144", "n04258138", "n04275548", "n04296562",
    "n04389033", "n04418357", "n04435653", "n04443257", "n04509417", "n04515003", "n04522168", "n04596742", "n04604644",
    "n04612504", "n06794110", "n07584110", "n07613480", "n07697537", "n07747607", "n09246464", "n09256479", "n13054560",
    "n13133613",
)
# fmt: on


@dataclass(frozen=True)
class MiniImageNet(ImageFolder):
    """Photographs of a hundred classes in [0, 1]; `standardize` uses ImageNet's mean and deviation of each channel."""

    standardize: bool = False

    name = "mini-imagenet"
    folder = "mini-imagenet"
    classes = CLASSES
    size = 84
    published_images = IMAGES_PER_CLASS * len(CLASSES)
    test_fraction = 0.15
    surrogate_per_class = 40

    def fetch(self, root: Path) -> None:
        """Refuse: ImageNet's terms do not allow redistribution, so there is no server to fetch from."""
        raise DatasetError(
            f"mini-imagenet cannot be fetched, ImageNet's terms forbid redistribution; {self._remedy(root)}"
        )

    def _is_whole(self, counts: dict[str, int]) -> bool:
        return all(count == IMAGES_PER_CLASS for count in counts.values())

    def _remedy(self, root: Path) -> str:
        return f"put the 100 class folders ({CLASSES[0]}, ...) into {root / self.folder} by hand, see docs/datasets.md"

    def _scale(self, pixels: Array) -> Array:
        images = super()._scale(pixels)
        if self.standardize:
            images -= np.array(MEAN, np.float32)[:, None, None]
            images /= np.array(DEVIATION, np.float32)[:, None, None]
        return images
