import numpy as np
import pytest
from learnable import nearest_mean_error
from PIL import Image

from fobench.contracts import DatasetError, Origin
from fobench.datasets.image_folder import read_images
from fobench.datasets.mini_imagenet import CLASSES, MiniImageNet


def write(root, classes=CLASSES, images=4, size=(84, 84)):
    for number, name in enumerate(classes):
        folder = root / "mini-imagenet" / name
        folder.mkdir(parents=True)
        for image in range(images):
            Image.new("RGB", size, (number, 2 * number, image)).save(folder / f"{name}{image:08}.png")


def test_folders_are_read_in_the_order_of_their_names(tmp_path):
    write(tmp_path)
    assert MiniImageNet().missing(tmp_path) is None
    splits = MiniImageNet().load(tmp_path)
    assert splits.origin == Origin.EXTRACT
    assert (splits.train.x.shape, splits.test.x.shape) == ((300, 3, 84, 84), (100, 3, 84, 84))
    for split in (splits.train, splits.test):
        assert split.x[:, 0, 0, 0].numpy() * 255 == pytest.approx(split.y.numpy(), abs=1e-4)
        assert split.x[:, 1].amax((1, 2)).numpy() * 255 == pytest.approx(2 * split.y.numpy(), abs=1e-4)
    assert splits.test.y.bincount().tolist() == [1] * 100
    drawn = [MiniImageNet(seed=seed).load(tmp_path).test.x[:, 2, 0, 0].sum().item() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_standardized_with_the_moments_of_imagenet(tmp_path):
    write(tmp_path)
    plain, standardized = (MiniImageNet(standardize=choice).load(tmp_path).train.x for choice in (False, True))
    for channel, (mean, deviation) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        expected = (plain[:, channel].numpy() - mean) / deviation
        assert np.abs(standardized[:, channel].numpy() - expected).max() < 1e-5


def test_fewer_images_of_each_class(tmp_path):
    write(tmp_path, images=7)
    splits = MiniImageNet(images_per_class=5).load(tmp_path)
    assert (len(splits.train.y), len(splits.test.y), splits.origin) == (400, 100, Origin.EXTRACT)
    assert max(splits.train.x[:, 2].max(), splits.test.x[:, 2].max()).item() == pytest.approx(4 / 255)


def test_missing_classes_are_counted_and_the_way_to_them_is_told(tmp_path):
    write(tmp_path, CLASSES[:98])
    sentence = MiniImageNet().missing(tmp_path)
    assert f"2 of 100 class folders with at least 4 images each not found in {tmp_path}" in sentence
    assert CLASSES[98] in sentence
    assert "by hand, see docs/datasets.md" in sentence
    with pytest.raises(DatasetError, match="2 of 100"):
        MiniImageNet().load(tmp_path)
    with pytest.raises(DatasetError, match=r"forbid redistribution; put the 100 class folders .*mini-imagenet by hand"):
        MiniImageNet().fetch(tmp_path)


def test_truncated_image_is_named(tmp_path):
    write(tmp_path)
    path = tmp_path / "mini-imagenet" / CLASSES[7] / f"{CLASSES[7]}00000002.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match=f"{path.name} cannot be read as an image"):
        MiniImageNet().load(tmp_path)


def test_six_hundred_of_each_are_the_whole():
    counts = dict.fromkeys(CLASSES, 600)
    assert MiniImageNet()._is_whole(counts)
    assert not MiniImageNet()._is_whole(counts | {CLASSES[0]: 601, CLASSES[1]: 599})


def test_middle_of_a_wide_grey_image(tmp_path):
    # 16 wide, 4 high, a column of each level; already at size 4, so the middle four columns are cut out
    level = np.tile(np.arange(16, dtype=np.uint8) * 10, (4, 1))
    Image.fromarray(level).save(tmp_path / "wide.png")
    assert read_images([tmp_path / "wide.png"], 4, "").tolist() == [[[[60, 70, 80, 90]] * 4] * 3]


def test_shorter_side_is_brought_to_size(tmp_path):
    # left half black, right half white, 40 x 80 (rows x columns): at size 20 the middle is half black, half white
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 40:] = 255
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    (image,) = read_images([tmp_path / "halves.png"], 20, "")
    assert image.shape == (3, 20, 20)
    assert (image[:, :, :9] == 0).all()
    assert (image[:, :, 11:] == 255).all()


@pytest.mark.parametrize("images", [0, 3, 4.5])
def test_too_few_images_for_a_test_part_are_refused(images):
    with pytest.raises(DatasetError, match=f"images_per_class: {images}; a test part of 15% needs 4"):
        MiniImageNet(images_per_class=images)


def test_surrogate_is_small_and_learnable():
    splits = MiniImageNet(images_per_class=10).surrogate()
    assert splits.origin == Origin.SURROGATE
    assert splits.train.y.bincount().tolist() == [8] * 100
    assert splits.test.x.shape == (200, *MiniImageNet().task.input_shape)
    assert nearest_mean_error(splits) < 0.1
