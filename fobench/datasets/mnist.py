"""MNIST: 60,000 + 10,000 handwritten digits of 28 x 28 grey values, in [0, 1].

LeCun, Cortes, Burges, The MNIST database of handwritten digits, 1998; LeCun et al., Proc. IEEE 86(11):2278-2324, 1998.
"""

from __future__ import annotations

from dataclasses import dataclass

from fobench.datasets.idx_images import IDXImages, Publication, Published

FILES = {
    "train-images-idx3-ubyte": Published(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": Published(
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": Published(
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": Published(
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)


@dataclass(frozen=True)
class MNIST(IDXImages):
    """Handwritten digits; `standardize` uses mean 0.1307 and deviation 0.3081."""

    publication = Publication(
        name="mnist",
        files=FILES,
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        train_counts=TRAIN_COUNTS,
        test_counts=TEST_COUNTS,
        mean=0.1307,
        deviation=0.3081,
    )
