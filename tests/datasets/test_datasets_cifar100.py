import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
from file_server import serve
from learnable import nearest_mean_error

from fobench.contracts import DatasetError, Origin
from fobench.datasets import cifar_images
from fobench.datasets.cifar100 import CIFAR100


def write(root, name, labels):
    pixels = np.random.default_rng(len(labels)).integers(0, 256, (len(labels), 3072), np.uint8)
    content = {b"data": pixels, b"fine_labels": labels, b"coarse_labels": [label // 5 for label in labels]}
    path = root / "cifar100/cifar-100-python" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_fine_classes_are_read(tmp_path, monkeypatch):
    md5 = {
        name: write(tmp_path, name, labels) for name, labels in (("train", [*range(100)] * 2), ("test", [99, 0, 57]))
    }
    assert CIFAR100().missing(tmp_path) is None
    with pytest.raises(DatasetError, match="neither the published train nor a known part"):
        CIFAR100().load(tmp_path)
    publication = replace(CIFAR100.publication, train={"train": md5["train"]}, test={"test": md5["test"]})
    monkeypatch.setattr(CIFAR100, "publication", publication)
    splits = CIFAR100().load(tmp_path)
    assert splits.test.y.tolist() == [99, 0, 57]
    assert splits.train.x.shape == (200, *CIFAR100().task.input_shape)
    assert splits.origin == Origin.EXTRACT  # 203 images are not all


def test_missing(tmp_path):
    assert "cifar100: train, test not found" in CIFAR100().missing(tmp_path)
    assert "`fobench data fetch cifar100" in CIFAR100().missing(tmp_path)


def test_other_bytes_are_not_fetched(tmp_path):
    with serve({"cifar-100-python.tar.gz": b"x"}) as server, pytest.raises(DatasetError, match="other bytes"):
        CIFAR100().fetch(tmp_path, server.url)
    assert CIFAR100().missing(tmp_path)


def test_surrogate_has_as_many_of_every_class(monkeypatch):
    assert (cifar_images.TRAIN_IMAGES, cifar_images.TEST_IMAGES) == (50_000, 10_000)
    monkeypatch.setattr(cifar_images, "TRAIN_IMAGES", 5_000)  # a tenth, for speed
    monkeypatch.setattr(cifar_images, "TEST_IMAGES", 1_000)
    splits = CIFAR100(scale="half", validation=500).surrogate()
    assert (CIFAR100().task.classes, splits.origin) == (100, Origin.SURROGATE)
    assert (splits.train.y.bincount() + splits.valid.y.bincount()).tolist() == [50] * 100
    assert splits.test.y.bincount().tolist() == [10] * 100
    assert splits.train.x.shape == (4_500, 3, 32, 32)
    assert (splits.train.x.min(), splits.train.x.max()) == (-1, 1)
    assert nearest_mean_error(splits) < 0.1
