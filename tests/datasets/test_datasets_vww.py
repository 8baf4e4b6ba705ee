import hashlib
import io
import tarfile

import pytest
from file_server import serve
from learnable import nearest_mean_error
from PIL import Image

from fobench.contracts import DatasetError, Origin
from fobench.datasets import vww
from fobench.datasets.fetch import Download
from fobench.datasets.vww import VisualWakeWords


def archive(images):
    """An archive of images of one grey level: 10 times their number without a person, 200 more with one."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, level in (("non_person", 0), ("person", 200)):
            for number in range(images):
                picture = io.BytesIO()
                Image.new("RGB", (96, 96), (level + number,) * 3).save(picture, "PNG")
                member = tarfile.TarInfo(f"vw_coco2014_96/{name}/COCO_{number:012}.png")
                member.size = len(picture.getvalue())
                tar.addfile(member, io.BytesIO(picture.getvalue()))
    return content.getvalue()


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    content = archive(20)
    download = Download(vww.ARCHIVE.name, f"sha256:{hashlib.sha256(content).hexdigest()}")
    monkeypatch.setattr(vww, "ARCHIVE", download)
    with serve({download.name: content}) as server:
        VisualWakeWords().fetch(tmp_path, server.url)
    return tmp_path


def test_a_person_is_class_one(fetched):
    assert VisualWakeWords().missing(fetched) is None
    splits = VisualWakeWords().load(fetched)
    for split in (splits.train, splits.test):
        assert ((split.x[:, 0, 0, 0] * 255 > 199).long() == split.y).all()
    assert (splits.train.x.shape, splits.test.y.bincount().tolist()) == ((36, 3, 96, 96), [2, 2])
    assert splits.origin == Origin.EXTRACT
    assert set(splits.checksums) == {"vww/vw_coco2014_96/non_person", "vww/vw_coco2014_96/person"}


def test_all_images_are_the_whole():
    assert VisualWakeWords()._is_whole({"non_person": 60_000, "person": 49_619})
    assert not VisualWakeWords()._is_whole({"non_person": 60_000, "person": 49_618})


def test_broken_image_is_named(fetched):
    path = fetched / "vww/vw_coco2014_96/person/COCO_000000000003.png"
    path.write_bytes(b"not an image")
    with pytest.raises(
        DatasetError, match=r"COCO_000000000003\.png cannot be read as an image .*fobench data fetch vww"
    ):
        VisualWakeWords().load(fetched)


def test_other_bytes_are_not_fetched(tmp_path):
    with serve({vww.ARCHIVE.name: archive(2)}) as server, pytest.raises(DatasetError, match="other bytes"):
        VisualWakeWords().fetch(tmp_path, server.url)
    assert not list(tmp_path.rglob("*.png"))


def test_surrogate_is_small_and_learnable():
    splits = VisualWakeWords(images_per_class=300).surrogate()
    assert (splits.origin, splits.train.x.shape) == (Origin.SURROGATE, (540, *VisualWakeWords().task.input_shape))
    assert splits.test.y.bincount().tolist() == [30, 30]
    assert nearest_mean_error(splits) < 0.05


@pytest.mark.real_data
def test_pictures_from_elsewhere_do_not_stand_in(real_root):
    sentence = VisualWakeWords().missing(real_root)
    assert "2 of 2 class folders" in sentence
    assert "no_person.bmp, person.bmp in" in sentence
    assert "are not from Visual Wake Words" in sentence
    with pytest.raises(DatasetError, match="not from Visual Wake Words"):
        VisualWakeWords().load(real_root)
