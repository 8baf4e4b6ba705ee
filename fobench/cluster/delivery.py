"""Result files that arrive: verified whole, then named by an atomic rename; what does not verify leaves no trace."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from fobench.contracts import Cell, FobenchError, Part
from fobench.harness.job import Job
from fobench.store import Entry, StoreError, read

RESULTS = ".jsonl"


@dataclass(frozen=True)
class Parcel:
    """The files that one part of one cell left on a machine, by ending, and the checksum of the results among them."""

    machine: str
    stem: str
    files: dict[str, str]
    checksum: str


def checksum(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def deliver(parcel: Parcel, job: Job, results: Path) -> Entry:
    """Put a parcel's files into the machine's folder and return its results; raises StoreError if it is not what was asked."""
    folder = results / job.suite / parcel.machine
    folder.mkdir(parents=True, exist_ok=True)
    if parcel.stem != job.stem or checksum(parcel.files[RESULTS]) != parcel.checksum:
        raise StoreError(f"the results of {job.stem} came damaged from {parcel.machine}; run the suite again")
    for ending, text in parcel.files.items():
        if ending != RESULTS:
            (folder / (parcel.stem + ending)).write_text(text, encoding="utf-8")
    return place(parcel.files[RESULTS], folder / (parcel.stem + RESULTS), (job.part, job.cell))


def place(text: str, path: Path, expected: tuple[Part, Cell] | None = None) -> Entry:
    """Write a result file beside its place, read it back in full, and rename it; raises StoreError and leaves nothing."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        entry = read(partial)
        entry.rows()
        if expected is not None and (entry.header.part, entry.header.cell) != expected:
            raise StoreError(f"{path.name} came with the results of another cell; run the suite again")
        partial.rename(path)
    except (FobenchError, OSError):
        partial.unlink(missing_ok=True)
        raise
    return read(path)
