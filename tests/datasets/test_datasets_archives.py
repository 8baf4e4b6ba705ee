import io
import tarfile
import zipfile

import pytest

from fobench.contracts import DatasetError
from fobench.datasets.archives import unpack


def tar_of(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def zip_of(path, files):
    with zipfile.ZipFile(path, "w") as container:
        for name, content in files.items():
            container.writestr(name, content)


KINDS = pytest.mark.parametrize(("name", "pack"), [("a.tar.gz", tar_of), ("a.zip", zip_of)])


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@KINDS
def test_content_lies_beside_the_archive_and_replaces_what_was_there(tmp_path, name, pack):
    pack(tmp_path / name, {"b/c": b"new", "d": b"too"})
    (tmp_path / "b").mkdir()
    (tmp_path / "b/old").touch()
    (tmp_path / "other").touch()
    unpack(tmp_path / name)
    assert names(tmp_path) == sorted([name, "b/c", "d", "other"])
    assert (tmp_path / "b/c").read_bytes() == b"new"


@KINDS
def test_broken_archive_changes_nothing(tmp_path, name, pack):
    pack(tmp_path / name, {f"b/{number}": bytes(range(256)) * 100 for number in range(50)})
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / "b").mkdir()
    (tmp_path / "b/old").touch()
    with pytest.raises(DatasetError, match=r"a\..* cannot be unpacked .*fetch it again"):
        unpack(tmp_path / name)
    assert names(tmp_path) == sorted([name, "b/old"])


def test_nothing_is_written_outside(tmp_path):
    (tmp_path / "inside").mkdir()
    tar_of(tmp_path / "inside/a.tar.gz", {"../../outside": b"x"})
    with pytest.raises(DatasetError, match="cannot be unpacked"):
        unpack(tmp_path / "inside/a.tar.gz")
    zip_of(tmp_path / "inside/a.zip", {"../outside": b"x"})
    unpack(tmp_path / "inside/a.zip")
    assert names(tmp_path) == ["inside/a.tar.gz", "inside/a.zip", "inside/outside"]
