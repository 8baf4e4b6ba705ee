"""Read one WFDB record (header, format-212 signal, reference annotations) from local files, and believe none of them unchecked.

The header says how many samples the signal has, its first value, and the sum of all samples modulo 2^16; all three are verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fobench.contracts import DatasetError
from fobench.datasets.arrays import Array

SUFFIXES = (".hea", ".dat", ".atr")
FORMAT = "212"
BYTES_PER_SAMPLE = 1.5
END_OF_ANNOTATIONS = b"\x00\x00"


@dataclass(frozen=True)
class Record:
    """One lead in the converter's units (N), and its annotations: sample number and symbol of each."""

    signal: Array
    samples: Array
    symbols: tuple[str, ...]


def read_record(stem: Path, lead: str | None, rate: int, remedy: str) -> Record:
    """Read the record at `stem` (path without ending), its `lead` (None: the first); errors end in `remedy`."""
    import wfdb

    names, checks = _header(stem, rate, remedy)
    if lead is not None and lead not in names:
        raise DatasetError(f"{stem}.hea names the leads {', '.join(names)}, expected {lead} among them; {remedy}")
    channel = 0 if lead is None else names.index(lead)
    try:
        digital = wfdb.rdrecord(str(stem), physical=False).d_signal
    except Exception as error:  # the reader raises whatever a broken file leads it to
        raise DatasetError(f"{stem}.dat cannot be read as its header says ({error}); {remedy}") from error
    _verify(digital, checks, stem, remedy)
    samples, symbols = _annotations(stem, len(digital), remedy)
    return Record(digital[:, channel].astype(np.float32), samples, symbols)


def _header(stem: Path, rate: int, remedy: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the names of the leads, and of each the first value and the checksum, once rate, format and size agree."""
    import wfdb

    name = f"{stem.name}.dat"
    try:
        header = wfdb.rdheader(str(stem))
        names, formats, files = (
            [str(word) for word in words] for words in (header.sig_name, header.fmt, header.file_name)
        )
        checks = [(int(header.init_value[channel]), int(header.checksum[channel])) for channel in range(header.n_sig)]
        size = header.sig_len * header.n_sig * BYTES_PER_SAMPLE
        found = stem.with_suffix(".dat").stat().st_size
    except Exception as error:  # as above
        raise DatasetError(f"{stem}.hea is not a WFDB header with all fields ({error}); {remedy}") from error
    if (header.fs, set(formats), set(files)) != (rate, {FORMAT}, {name}):
        raise DatasetError(
            f"{stem}.hea says {header.fs} Hz, format {', '.join(formats)} in {', '.join(files)}; "
            f"expected {rate} Hz, format {FORMAT} in {name}; {remedy}"
        )
    if found != size:
        raise DatasetError(
            f"{stem}.dat has {found} bytes, but its header says {header.sig_len} samples of {header.n_sig} signals, "
            f"which is {size:.0f} bytes; {remedy}"
        )
    return names, checks


def _verify(digital: Array, checks: list[tuple[int, int]], stem: Path, remedy: str) -> None:
    for channel, (initial, checksum) in enumerate(checks):
        first, total = int(digital[0, channel]), int(digital[:, channel].sum())
        if first != initial:
            raise DatasetError(
                f"{stem}.dat, signal {channel}: the first sample is {first}, its header says {initial}; {remedy}"
            )
        if (total - checksum) % 2**16:
            raise DatasetError(
                f"{stem}.dat, signal {channel}: the samples add up to {_signed(total)} modulo 2^16, its header says "
                f"{checksum}; {remedy}"
            )


def _annotations(stem: Path, length: int, remedy: str) -> tuple[Array, tuple[str, ...]]:
    import wfdb

    path = stem.with_suffix(".atr")
    try:
        whole = path.read_bytes().endswith(END_OF_ANNOTATIONS)
        annotation = wfdb.rdann(str(stem), "atr") if whole else None
    except Exception as error:  # as above
        raise DatasetError(f"{path} cannot be read as WFDB annotations ({error}); {remedy}") from error
    if annotation is None:
        raise DatasetError(f"{path} is cut off: it does not end in two zero bytes; {remedy}")
    samples = np.asarray(annotation.sample, np.int64)
    if len(samples) == 0 or samples.min() < 0 or samples.max() >= length:
        raise DatasetError(f"{path} has no annotations, or some outside the {length} samples of the signal; {remedy}")
    return samples, tuple(annotation.symbol)


def _signed(total: int) -> int:
    return (total + 2**15) % 2**16 - 2**15
