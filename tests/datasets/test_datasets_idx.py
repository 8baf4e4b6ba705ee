import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import DatasetError
from fobench.datasets.idx import read_idx

SHAPE = (3, 2, 4)
VALUES = np.arange(24, dtype=np.uint8)
IDX = struct.pack(">BBBB3I", 0, 0, 8, 3, *SHAPE) + VALUES.tobytes()


def broken(tmp_path, content):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        read_idx(path, SHAPE, "run `fobench data fetch mnist`")
    sentence = str(caught.value)
    assert str(path) in sentence
    assert sentence.endswith("run `fobench data fetch mnist`")
    return sentence


@pytest.mark.parametrize("content", [IDX, gzip.compress(IDX)], ids=["plain", "gzip"])
def test_values_in_row_order(tmp_path, content):
    path = tmp_path / "images"
    path.write_bytes(content)
    assert np.array_equal(read_idx(path, SHAPE, ""), VALUES.reshape(SHAPE))


def test_truncated_plain(tmp_path):
    assert "holds 23 values, but its header says 3 x 2 x 4 = 24" in broken(tmp_path, IDX[:-1])


def test_too_long(tmp_path):
    assert "holds 25 values" in broken(tmp_path, IDX + b"x")


def test_cut_in_the_header(tmp_path):
    assert "ends after 9 bytes" in broken(tmp_path, IDX[:9])


def test_empty(tmp_path):
    assert "ends after 0 bytes" in broken(tmp_path, b"")


def test_truncated_gzip(tmp_path):
    assert "cut off" in broken(tmp_path, gzip.compress(IDX)[:-10])


def test_corrupted_gzip(tmp_path):
    content = bytearray(gzip.compress(IDX))
    content[-6] ^= 1
    assert "CRC" in broken(tmp_path, bytes(content))


def test_wrong_magic(tmp_path):
    assert "begins with 00 00 0d 03" in broken(tmp_path, b"\0\0\x0d\x03" + IDX[4:])


def test_wrong_number_of_dimensions(tmp_path):
    assert "begins with 00 00 08 01" in broken(tmp_path, struct.pack(">BBBBI", 0, 0, 8, 1, 24) + VALUES.tobytes())


def test_wrong_count(tmp_path):
    content = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 2, 4) + VALUES[:16].tobytes()
    assert "says that it holds 2 x 2 x 4 values, expected 3 x 2 x 4" in broken(tmp_path, content)


def test_a_folder_in_place_of_the_file(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_idx(tmp_path, SHAPE, "")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(IDX) - 1), st.booleans())
def test_any_truncation_is_one_error(tmp_path_factory, length, compressed):
    path = tmp_path_factory.mktemp("idx") / "images"
    path.write_bytes(gzip.compress(IDX)[:length] if compressed else IDX[:length])
    if compressed and length >= len(gzip.compress(IDX)):
        return
    with pytest.raises(DatasetError):
        read_idx(path, SHAPE, "")
