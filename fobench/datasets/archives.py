"""Unpack a fetched archive: all of it or nothing, and never a file outside the folder."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from fobench.contracts import DatasetError

UNPACKING = ".unpacking"
"""Folder in which an archive lies until all of it is there."""


def unpack(archive: Path) -> None:
    """Put the content of a `.zip` or `.tar.gz` beside it, in place of what has the same names there."""
    staging = archive.parent / UNPACKING
    shutil.rmtree(staging, ignore_errors=True)
    try:
        _extract(archive, staging)
        for entry in staging.iterdir():
            _replace(archive.parent / entry.name, entry)
    except (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{archive} cannot be unpacked ({error}); delete it and fetch it again") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as container:
            container.extractall(folder)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def _replace(target: Path, entry: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    entry.replace(target)
