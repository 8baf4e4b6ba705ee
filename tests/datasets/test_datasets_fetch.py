import hashlib
import shutil

import pytest
from chb_files import write_patient
from file_server import serve

from fobench.contracts import DatasetError
from fobench.datasets.chb_mit import CHBMIT
from fobench.datasets.fetch import Download, fetch_all, fetch_first, publisher_checksums, with_checksums
from fobench.datasets.mit_bih import MITBIH
from fobench.datasets.mitdb_beats import BEATS
from fobench.datasets.mnist import FILES, MNIST

CONTENT = bytes(range(256)) * 2000


def checksum(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


FILE = Download("a/file.dat", checksum(CONTENT))


@pytest.fixture
def server():
    with serve({"a/file.dat": CONTENT}) as running:
        yield running


def refused(folder, url, download=FILE):
    with pytest.raises(DatasetError) as caught:
        fetch_all([download], folder, url)
    assert not (folder / download.name).exists()
    return str(caught.value)


def left_over(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_file_arrives_under_its_name_and_nothing_else_is_left(server, tmp_path):
    fetch_all([FILE], tmp_path, server.url)
    assert (tmp_path / "a/file.dat").read_bytes() == CONTENT
    assert left_over(tmp_path) == ["file.dat"]


def test_file_that_is_there_is_not_asked_for_again(server, tmp_path):
    fetch_all([FILE], tmp_path, server.url)
    fetch_all([FILE], tmp_path, server.url)
    assert len(server.requests) == 1


def test_broken_file_that_is_there_is_replaced(server, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file.dat").write_bytes(CONTENT[:-1])
    fetch_all([FILE], tmp_path, server.url)
    assert (tmp_path / "a/file.dat").read_bytes() == CONTENT


def test_no_such_file(server, tmp_path):
    sentence = refused(tmp_path, server.url, Download("b.dat", checksum(b"")))
    assert f"{server.url}b.dat: the server says 404" in sentence
    assert left_over(tmp_path) == []


def test_half_a_file_is_resumed(server, tmp_path):
    server.cut["a/file.dat"] = 204_800
    sentence = refused(tmp_path, server.url)
    assert f"broke off after 204800 of {len(CONTENT)} bytes" in sentence
    assert "again" in sentence
    assert left_over(tmp_path) == ["file.dat.partial"]
    fetch_all([FILE], tmp_path, server.url)
    assert server.requests[-1] == ("a/file.dat", "bytes=204800-")
    assert (tmp_path / "a/file.dat").read_bytes() == CONTENT
    assert left_over(tmp_path) == ["file.dat"]


def test_server_without_ranges_sends_the_whole_file(server, tmp_path):
    server.ranges = False
    server.cut["a/file.dat"] = 204_800
    refused(tmp_path, server.url)
    fetch_all([FILE], tmp_path, server.url)
    assert (tmp_path / "a/file.dat").read_bytes() == CONTENT


def test_partial_file_that_is_too_long_is_begun_anew(server, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file.dat.partial").write_bytes(CONTENT + b"more")
    fetch_all([FILE], tmp_path, server.url)
    assert (tmp_path / "a/file.dat").read_bytes() == CONTENT


def test_wrong_bytes_are_not_kept(server, tmp_path):
    server.files["a/file.dat"] = CONTENT[:-1] + b"x"
    sentence = refused(tmp_path, server.url)
    assert "other bytes than the published ones" in sentence
    assert FILE.checksum in sentence
    assert left_over(tmp_path) == []


def test_wrong_partial_file_is_not_kept(server, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file.dat.partial").write_bytes(b"x" * 1000)
    assert "other bytes" in refused(tmp_path, server.url)
    fetch_all([FILE], tmp_path, server.url)
    assert (tmp_path / "a/file.dat").read_bytes() == CONTENT


def test_no_server(tmp_path):
    with serve({}) as stopped:
        url = stopped.url
    assert f"{url}a/file.dat: no answer" in refused(tmp_path, url)


def test_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "a").write_text("a file in place of the folder")
    with pytest.raises(DatasetError, match="cannot be written"):
        fetch_all([FILE], tmp_path, server.url)


def test_first_mirror_that_gives_the_files(server, tmp_path):
    with serve({}) as empty:
        fetch_first([FILE], tmp_path, (empty.url, server.url))
        assert (tmp_path / "a/file.dat").read_bytes() == CONTENT
        with pytest.raises(DatasetError, match="404"):
            fetch_first([Download("b", FILE.checksum)], tmp_path, (server.url, empty.url))


def test_publishers_list(server, tmp_path):
    server.files["SHA256SUMS.txt"] = f"{FILE.checksum[7:]} a/file.dat\n{'0' * 64} *b c.dat\n".encode()
    listed = publisher_checksums(tmp_path, server.url)
    assert listed == {"a/file.dat": FILE.checksum, "b c.dat": "sha256:" + "0" * 64}
    assert with_checksums(["a/file.dat"], listed, server.url) == [FILE]
    with pytest.raises(DatasetError, match="does not list d"):
        with_checksums(["d"], listed, server.url)


@pytest.mark.parametrize("text", ["", "<html>not found</html>"])
def test_list_that_is_none(server, tmp_path, text):
    server.files["SHA256SUMS.txt"] = text.encode()
    with pytest.raises(DatasetError, match="not a list of SHA-256"):
        publisher_checksums(tmp_path, server.url)


def test_list_that_is_not_there(server, tmp_path):
    with pytest.raises(DatasetError, match=r"SHA256SUMS\.txt: the server says 404"):
        publisher_checksums(tmp_path, server.url)


def with_list(files):
    lines = [f"{hashlib.sha256(content).hexdigest()} {name}" for name, content in files.items()]
    return {**files, "SHA256SUMS.txt": "\n".join(lines).encode()}


def test_mit_bih_brings_all_records(tmp_path):
    files = {
        f"{record}{suffix}": f"{record}{suffix}".encode() for record in BEATS for suffix in (".hea", ".dat", ".atr")
    }
    with serve(with_list(files)) as server:
        MITBIH().fetch(tmp_path, server.url)
    assert MITBIH().missing(tmp_path) is None
    assert (tmp_path / "mitdb/234.atr").read_bytes() == b"234.atr"


def test_chb_mit_brings_the_recordings_of_the_summaries(tmp_path):
    for patient in (3, 5):
        write_patient(tmp_path / "published", patient, [(0, 16, [(2, 6)]), (3600, 16, [(2, 6)])])
    folder = tmp_path / "published/chbmit"
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}
    with serve(with_list(files)) as server:
        CHBMIT(patients=[3]).fetch(tmp_path / "here", server.url)
    assert CHBMIT(patients=[3]).missing(tmp_path / "here") is None
    assert "there: chb03" in CHBMIT(patients=[3, 5]).missing(tmp_path / "here")


def test_mnist_refuses_other_files_than_the_published(tmp_path):
    with (
        serve({f"{name}.gz": b"something else" for name in FILES}) as server,
        pytest.raises(DatasetError, match="other bytes"),
    ):
        MNIST().fetch(tmp_path, server.url)
    assert left_over(tmp_path) == []


@pytest.mark.real_data
def test_real_mnist_is_what_the_checksums_say(real_root, tmp_path):
    with serve({f"{name}.gz": (real_root / f"mnist/{name}.gz").read_bytes() for name in FILES}) as server:
        MNIST().fetch(tmp_path, server.url)
    assert MNIST().missing(tmp_path) is None


@pytest.mark.real_data
def test_real_file_is_resumed(real_root, tmp_path):
    name = "t10k-images-idx3-ubyte.gz"
    content = (real_root / "mnist" / name).read_bytes()
    with serve({name: content}) as server:
        server.cut[name] = len(content) // 2
        download = Download(name, f"sha256:{FILES[name.removesuffix('.gz')].gzip}")
        refused(tmp_path, server.url, download)
        fetch_all([download], tmp_path, server.url)
    shutil.copy(real_root / "mnist" / name, tmp_path / "original")
    assert (tmp_path / name).read_bytes() == (tmp_path / "original").read_bytes()
