import gzip
import shutil

import numpy as np
import pytest

from fobench.contracts import DatasetError, Origin
from fobench.datasets.mnist import FILES, MNIST, TEST_COUNTS, TRAIN_COUNTS


@pytest.fixture(scope="module")
def real(real_root):
    return MNIST().load(real_root)


@pytest.fixture
def copy(real_root, tmp_path):
    shutil.copytree(real_root / "mnist", tmp_path / "mnist")
    return tmp_path


@pytest.mark.real_data
def test_published_counts_and_moments(real):
    assert (real.train.x.shape, real.test.x.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    # class counts of the published data set
    assert real.train.y.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert real.test.y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert real.train.x.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert real.train.x.std().item() == pytest.approx(0.3081, abs=5e-5)
    assert (real.train.x.min(), real.train.x.max(), real.origin, real.valid) == (0, 1, Origin.REAL, None)


@pytest.mark.real_data
def test_standardized_training_images_have_no_mean_and_unit_deviation(real_root):
    x = MNIST(standardize=True).load(real_root).train.x
    assert x.mean().item() == pytest.approx(0, abs=1e-3)
    assert x.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.real_data
def test_plain_files_are_read_like_compressed_ones(copy, real):
    for name in FILES:
        compressed = copy / "mnist" / f"{name}.gz"
        (copy / "mnist" / name).write_bytes(gzip.decompress(compressed.read_bytes()))
        compressed.unlink()
    splits = MNIST().load(copy)
    assert splits.train.x.equal(real.train.x)
    assert splits.checksums == real.checksums


@pytest.mark.real_data
def test_one_changed_pixel_is_noticed(copy):
    path = copy / "mnist/t10k-images-idx3-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[1000] ^= 1
    path.write_bytes(gzip.compress(content, 1))
    with pytest.raises(DatasetError, match=r"t10k-images-idx3-ubyte\.gz .* not the published"):
        MNIST().load(copy)


@pytest.mark.real_data
def test_truncated_file_gives_one_sentence(copy):
    path = copy / "mnist/train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:5_000_000])
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte\.gz is cut off.*fobench data fetch mnist"):
        MNIST().load(copy)


def test_missing_files_are_named_with_the_command(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist/train-labels-idx1-ubyte").touch()
    sentence = MNIST().missing(tmp_path)
    assert "t10k-labels-idx1-ubyte.gz" in sentence
    assert "train-labels" not in sentence
    assert "`fobench data fetch mnist" in sentence
    with pytest.raises(DatasetError, match="not found"):
        MNIST().load(tmp_path)


def test_surrogate_has_the_shape_and_counts_of_the_real_one():
    splits = MNIST().surrogate()
    assert splits.origin == Origin.SURROGATE
    assert splits.train.y.bincount().tolist() == list(TRAIN_COUNTS)
    assert splits.test.y.bincount().tolist() == list(TEST_COUNTS)
    assert splits.train.x.shape == (60000, *MNIST().task.input_shape)
    assert np.isfinite(splits.train.x.numpy()).all()
