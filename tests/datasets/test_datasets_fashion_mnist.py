import gzip
import shutil

import pytest
from file_server import serve

from fobench.contracts import DatasetError, Origin
from fobench.datasets.fashion_mnist import FILES, FashionMNIST


@pytest.mark.real_data
def test_published_counts_and_moments(real_root):
    splits = FashionMNIST().load(real_root)
    assert (splits.train.x.shape, splits.origin, splits.valid) == ((60_000, 1, 28, 28), Origin.REAL, None)
    # the publisher: 6,000 and 1,000 of each class
    assert splits.train.y.bincount().tolist() == [6000] * 10
    assert splits.test.y.bincount().tolist() == [1000] * 10
    assert splits.train.x.mean().item() == pytest.approx(0.2860, abs=5e-5)
    assert splits.train.x.std().item() == pytest.approx(0.3530, abs=5e-5)


@pytest.mark.real_data
def test_truncated_and_changed_files_are_refused(real_root, tmp_path):
    shutil.copytree(real_root / "fashion-mnist", tmp_path / "fashion-mnist")
    path = tmp_path / "fashion-mnist/t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[100] ^= 1
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DatasetError, match=r"t10k-labels-idx1-ubyte\.gz .* not the published"):
        FashionMNIST().load(tmp_path)
    path.write_bytes(gzip.compress(content)[:-20])
    with pytest.raises(DatasetError, match=r"cut off.*fobench data fetch fashion-mnist"):
        FashionMNIST().load(tmp_path)
    path.unlink()
    assert "t10k-labels-idx1-ubyte.gz not found" in FashionMNIST().missing(tmp_path)


@pytest.mark.real_data
def test_real_files_are_what_the_checksums_say(real_root, tmp_path):
    with serve({f"{name}.gz": (real_root / f"fashion-mnist/{name}.gz").read_bytes() for name in FILES}) as server:
        FashionMNIST().fetch(tmp_path, server.url)
    assert FashionMNIST().missing(tmp_path) is None


def test_other_bytes_are_not_fetched(tmp_path):
    with (
        serve({f"{name}.gz": b"something else" for name in FILES}) as server,
        pytest.raises(DatasetError, match="other bytes"),
    ):
        FashionMNIST().fetch(tmp_path, server.url)


def test_files_of_mnist_do_not_stand_in(tmp_path):
    (tmp_path / "mnist").mkdir()
    for name in FILES:
        (tmp_path / "mnist" / name).touch()
    assert "fashion-mnist: train-images-idx3-ubyte.gz" in FashionMNIST().missing(tmp_path)


def test_surrogate_and_validation():
    splits = FashionMNIST(validation=2_000, standardize=True).surrogate()
    assert splits.origin == Origin.SURROGATE
    assert (splits.train.y.bincount() + splits.valid.y.bincount()).tolist() == [6000] * 10
    assert splits.test.y.bincount().tolist() == [1000] * 10
    assert len(splits.valid.y) == 2_000
    assert splits.train.x.min().item() == pytest.approx(-0.2860 / 0.3530)


@pytest.mark.parametrize("validation", [-1, 60_000])
def test_impossible_validation_is_refused(validation):
    with pytest.raises(DatasetError, match="whole number from 0 to 59999"):
        FashionMNIST(validation=validation)
