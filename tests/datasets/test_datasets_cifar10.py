import hashlib
import io
import pickle
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from file_server import serve
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import DatasetError, Origin
from fobench.datasets import cifar_images
from fobench.datasets.cifar10 import CIFAR10
from fobench.datasets.cifar_batch import read_batch
from fobench.datasets.fetch import Download

BATCHES = [f"data_batch_{number}" for number in range(1, 6)]


def batch(rows, seed=0):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (rows, 3072), np.uint8)
    return {b"data": data, b"labels": [int(label) for label in np.arange(rows) % 10]}


def pickled(content):
    return pickle.dumps(content, protocol=2)


@pytest.fixture
def published(monkeypatch):
    """A small data set under the real names, published as it is."""
    files = {name: pickled(batch(20, seed)) for seed, name in enumerate([*BATCHES, "test_batch"])}
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(cifar_images, "TRAIN_IMAGES", 100)
    monkeypatch.setattr(cifar_images, "TEST_IMAGES", 20)
    publication = replace(
        CIFAR10.publication,
        archive=Download("cifar-10-python.tar.gz", f"sha256:{hashlib.sha256(archive.getvalue()).hexdigest()}"),
        train={name: md5[name] for name in BATCHES},
        test={"test_batch": md5["test_batch"]},
        genuine={},
    )
    monkeypatch.setattr(CIFAR10, "publication", publication)
    return archive.getvalue()


@pytest.fixture
def fetched(published, tmp_path):
    with serve({"cifar-10-python.tar.gz": published}) as server:
        CIFAR10().fetch(tmp_path, server.url)
    return tmp_path


def test_fetched_files_are_the_whole_data_set(fetched):
    assert CIFAR10().missing(fetched) is None
    splits = CIFAR10().load(fetched)
    assert splits.origin == Origin.REAL
    pixels = np.concatenate([batch(20, seed)[b"data"] for seed in range(5)])
    # a row of a batch is red, green, blue, each row by row
    assert np.array_equal(np.rint(splits.train.x.numpy() * 255).reshape(-1, 3072), pixels)
    assert splits.train.x[3, 1, 2, 5].item() == pytest.approx(pixels[3, 1024 + 2 * 32 + 5] / 255)
    assert splits.train.y.tolist() == [*range(10)] * 10
    assert len(splits.checksums) == 6


def test_some_of_the_batches_are_an_extract(fetched):
    for name in BATCHES[2:]:
        (fetched / "cifar10/cifar-10-batches-py" / name).unlink()
    splits = CIFAR10().load(fetched)
    assert (splits.origin, len(splits.train.y)) == (Origin.EXTRACT, 40)


def test_missing_files_are_named_with_the_command(fetched):
    (fetched / "cifar10/cifar-10-batches-py/test_batch").unlink()
    sentence = CIFAR10().missing(fetched)
    assert "test_batch not found" in sentence
    assert "`fobench data fetch cifar10" in sentence
    with pytest.raises(DatasetError, match="not found"):
        CIFAR10().load(fetched)


def test_one_changed_pixel_is_noticed(fetched):
    path = fetched / "cifar10/cifar-10-batches-py/data_batch_2"
    content = batch(20, 1)
    content[b"data"][3, 3] ^= 1
    path.write_bytes(pickled(content))
    with pytest.raises(DatasetError, match="data_batch_2 holds 20 images, but they are neither"):
        CIFAR10().load(fetched)


def test_truncated_archive_is_not_unpacked(published, tmp_path):
    with (
        serve({"cifar-10-python.tar.gz": published[:-100]}) as server,
        pytest.raises(DatasetError, match="other bytes"),
    ):
        CIFAR10().fetch(tmp_path, server.url)
    assert not list(tmp_path.rglob("data_batch_1"))


def broken(tmp_path, content):
    path = tmp_path / "batch"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        read_batch(path, b"labels", 10, "fetch it again")
    assert str(caught.value).endswith("fetch it again")
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_pickle_of_python_3_is_read_too(tmp_path):
    (tmp_path / "batch").write_bytes(pickle.dumps(batch(10), protocol=4))
    images, labels = read_batch(tmp_path / "batch", b"labels", 10, "")
    assert (images.shape, labels.tolist()) == ((10, 3, 32, 32), [*range(10)])


@pytest.mark.parametrize("length", [0, 1, 100, 5000, -1])
def test_truncated_batch(tmp_path, length):
    assert "cannot be read as a batch" in broken(tmp_path, pickled(batch(10))[:length])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({b"data": np.zeros((10, 3071), np.uint8)}, r"shape (10, 3071), expected bytes, 3072 an image"),
        ({b"data": np.zeros((10, 3072))}, "holds float64"),
        ({b"labels": [0] * 9}, "no class number from 0 to 9 for each"),
        ({b"labels": [*range(1, 11)]}, "no class number from 0 to 9 for each"),
        ({b"labels": [0.5] * 10}, "no class number from 0 to 9 for each"),
    ],
)
def test_batch_of_other_content(tmp_path, change, words):
    assert words in broken(tmp_path, pickled(batch(10) | change))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_truncation_is_one_error(tmp_path_factory, data):
    content = pickled(batch(2))
    broken(tmp_path_factory.mktemp("batch"), content[: data.draw(st.integers(0, len(content) - 1))])


def test_batch_without_labels(tmp_path):
    assert "labels" in broken(tmp_path, pickled({b"data": np.zeros((1, 3072), np.uint8)}))


def test_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    assert "asks for" in broken(tmp_path, pickle.dumps(Evil(), protocol=2))
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": "chanels"}, "did you mean 'channels'"),
        ({"validation": 50_000}, "0 to 49999"),
        ({"validation": 0.5}, "whole number"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(DatasetError, match=words):
        CIFAR10(**options)


def test_scales(fetched):
    unit, half, channels = (CIFAR10(scale=scale).load(fetched).train.x for scale in ("unit", "half", "channels"))
    assert np.abs(half.numpy() - (2 * unit.numpy() - 1)).max() < 1e-6
    mean, deviation = (moment(unit.double().numpy(), (0, 2, 3), keepdims=True) for moment in (np.mean, np.std))
    assert np.abs(channels.numpy() - (unit.numpy() - mean) / deviation).max() < 1e-5


def test_validation_is_drawn_from_the_training_images(fetched):
    whole, parts = CIFAR10().load(fetched), CIFAR10(validation=30).load(fetched)
    together = np.concatenate([parts.train.x.numpy(), parts.valid.x.numpy()]).reshape(100, -1)
    assert len(parts.valid.y) == 30
    assert sorted(map(tuple, together)) == sorted(map(tuple, whole.train.x.numpy().reshape(100, -1)))
    assert parts.test.x.equal(whole.test.x)
    assert CIFAR10(validation=30).load(fetched).valid.x.equal(parts.valid.x)
    assert not CIFAR10(validation=30, seed=1).load(fetched).valid.x.equal(parts.valid.x)


def test_more_validation_than_an_extract_has_is_refused(fetched):
    for name in BATCHES[1:]:
        (fetched / "cifar10/cifar-10-batches-py" / name).unlink()
    with pytest.raises(DatasetError, match=r"validation: 30, but .* has 20 images"):
        CIFAR10(validation=30).load(fetched)


# --- the real extract -------------------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_extract(real_root):
    splits = CIFAR10().load(real_root)
    assert splits.origin == Origin.EXTRACT
    # class counts of data_batch_1 and of the first 1,000 test images, and the first labels, as published
    assert splits.train.y.bincount().tolist() == [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]
    assert splits.test.y.bincount().tolist() == [103, 89, 100, 103, 90, 86, 112, 102, 106, 109]
    assert splits.train.y[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    # moments of all training images: 0.4914 0.4822 0.4465 and 0.2470 0.2435 0.2616; a fifth of them is near
    assert splits.train.x.mean((0, 2, 3)).tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.005)
    assert splits.train.x.std((0, 2, 3)).tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=0.005)


@pytest.mark.real_data
@pytest.mark.parametrize("place", [1_000_000, 3_000])
def test_real_extract_with_a_changed_byte_is_refused(real_root, tmp_path, place):
    folder = tmp_path / "cifar10/cifar-10-batches-py"
    shutil.copytree(real_root / "cifar10/cifar-10-batches-py", folder)
    content = bytearray((folder / "test_batch").read_bytes())
    content[place] ^= 1
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(DatasetError, match="test_batch"):
        CIFAR10().load(tmp_path)
