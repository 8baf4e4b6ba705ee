"""Networks that have a name."""

from __future__ import annotations

from fobench.contracts import Task
from fobench.networks.records import Record, add, conv, dense, depthwise, flatten, local, pool


def named_networks() -> dict[str, list[Record]]:
    """Return every named network; like all networks, without the output layer, which is the rule's own.

    The convolutional net of the PEPITA papers (`learning_rules` 8.5); the locally connected net and the convolutions of
    VGG16 of Bio-FO (17.7); the four nets of MLCommons-Tiny (`mlcommons_tiny` 5), batch normalisation folded into biases.
    """
    return {
        "pepita-conv": [conv(32, kernel=5), pool(2), flatten()],
        "biofo-local": [local(channels, padding=1) for channels in (16, 32, 64)],
        "vgg16-conv": _vgg((64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)),
        "ds-cnn": [
            conv(64, kernel=[10, 4], stride=2, padding="same"),
            *_separable(4 * [(64, 1)]),
            pool([25, 5], mode="mean"),
            flatten(),
        ],
        "mobilenet-v1-0.25": [
            conv(8, stride=2, padding="same"),
            *_separable([(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *5 * [(128, 1)], (256, 2), (256, 1)]),
            pool(3, mode="mean"),
            flatten(),
        ],
        "resnet8": _resnet8(),
        "autoencoder": [dense(units) for units in (128, 128, 128, 128, 8, 128, 128, 128, 128)],
    }


def named_tasks() -> dict[str, Task]:
    """Return the task that each of the four nets of MLCommons-Tiny was made for."""
    return {
        "ds-cnn": Task("classification", (1, 49, 10), 12),
        "mobilenet-v1-0.25": Task("classification", (3, 96, 96), 2),
        "resnet8": Task("classification", (3, 32, 32), 10),
        "autoencoder": Task("reconstruction", (640,)),
    }


def _vgg(channels: tuple[int, ...]) -> list[Record]:
    return [conv(count, padding=1) if count else pool(2) for count in channels]


def _separable(stages: list[tuple[int, int]]) -> list[Record]:
    """Depthwise 3x3 with the stage's stride, then pointwise 1x1 to its channels."""
    return [
        record
        for channels, stride in stages
        for record in (depthwise(3, stride=stride, padding="same"), conv(channels, kernel=1))
    ]


def _resnet8() -> list[Record]:
    """Three residual blocks; the second and third halve the map, and their shortcut is a 1x1 convolution."""
    records = [conv(16, padding="same"), conv(16, padding="same"), conv(16, padding="same", activate=False)]
    records.append(add(0, activate=True))
    for channels in (32, 64):
        block = len(records) - 1
        records += [
            conv(channels, stride=2, padding="same"),
            conv(channels, padding="same", activate=False),
            conv(channels, kernel=1, stride=2, source=block, activate=False),
            add(block + 2, activate=True),
        ]
    return [*records, pool(8, mode="mean"), flatten()]
