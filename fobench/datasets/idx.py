"""Read IDX files, plain or gzip-compressed: the format of MNIST, big-endian sizes before unsigned bytes.

Format: two zero bytes, one for the type (8 = unsigned byte), one for the number of dimensions, then one 32-bit size for each.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fobench.contracts import DatasetError

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8


def read_idx(path: Path, shape: tuple[int, ...], remedy: str) -> NDArray[np.uint8]:
    """Return the array of one IDX file; anything but a whole file of this shape raises DatasetError, ending in `remedy`."""
    content = _content(path, remedy)
    dimensions = len(shape)
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DatasetError(f"{path} ends after {len(content)} bytes, in its IDX header; {remedy}")
    if content[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise DatasetError(
            f"{path} begins with {content[:4].hex(' ')}, but an IDX file of bytes in {dimensions} dimensions begins with "
            f"00 00 08 {dimensions:02x}; {remedy}"
        )
    found = struct.unpack(f">{dimensions}I", content[4:header])
    if found != shape:
        raise DatasetError(f"{path} says that it holds {_times(found)} values, expected {_times(shape)}; {remedy}")
    if len(content) - header != math.prod(shape):
        raise DatasetError(
            f"{path} holds {len(content) - header} values, but its header says {_times(shape)} = {math.prod(shape)}; {remedy}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path, remedy: str) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw.startswith(GZIP_MAGIC) else raw
    except EOFError as error:
        raise DatasetError(f"{path} is cut off: its gzip stream has no end; {remedy}") from error
    except (OSError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read ({error}); {remedy}") from error


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
