"""Read one batch of CIFAR, a Python pickle, without running any code that it names."""

from __future__ import annotations

import codecs
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from fobench.contracts import DatasetError
from fobench.datasets.arrays import Array

VALUES = 3 * 32 * 32

RECONSTRUCT = np.ndarray(0).__reduce__()[0]
KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}
"""All that a pickled array of bytes needs."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        return KNOWN[module, name]


def read_batch(path: Path, key: bytes, classes: int, remedy: str) -> tuple[Array, Array]:
    """Return images (N x 3 x 32 x 32) and class numbers (N), both bytes; errors end in `remedy`."""
    try:
        batch = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        images, labels = np.asarray(batch[b"data"]), np.asarray(batch[key])
    except Exception as error:  # a broken pickle raises whatever it leads to
        raise DatasetError(f"{path} cannot be read as a batch of CIFAR ({error}); {remedy}") from error
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != VALUES:
        raise DatasetError(
            f"{path} holds {images.dtype} values of shape {images.shape}, expected bytes, {VALUES} an image; {remedy}"
        )
    if labels.shape != (len(images),) or labels.dtype.kind != "i" or not np.isin(labels, np.arange(classes)).all():
        raise DatasetError(f"{path} has no class number from 0 to {classes - 1} for each of its images; {remedy}")
    return images.reshape(-1, 3, 32, 32), labels.astype(np.uint8)
