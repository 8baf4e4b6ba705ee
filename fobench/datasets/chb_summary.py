"""Parse the summary files of CHB-MIT: for each recording its seizures in seconds, and when it began and ended.

Summaries number seizures or not, write one or two spaces, list changed channels between recordings, count hours past 24 or
begin again at 0 after midnight, and (chb24) leave the times out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fobench.contracts import DatasetError

DAY_S = 86_400
FIELD = re.compile(
    r"(?P<file>File Name)|(?P<begin>File Start Time)|(?P<finish>File End Time)|(?P<count>Number of Seizures in File)"
    r"|Seizure\s*\d*\s*(?:(?P<start>Start)|(?P<end>End)) Time",
    re.IGNORECASE,
)
CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})")


@dataclass(frozen=True)
class Recording:
    """One EDF file: its seizures (start, end) in seconds from its start; `begin` and `end` in seconds on the patient's clock.

    The clock starts at midnight before the patient's first recording; it is None where the summary gives no times.
    """

    name: str
    seizures: tuple[tuple[int, int], ...]
    begin: int | None = None
    end: int | None = None


def read_summary(path: Path, remedy: str) -> tuple[Recording, ...]:
    """Return the recordings of one patient, in the order of the summary; a broken summary ends in `remedy`."""
    try:
        text = path.read_text(encoding="utf-8", errors="strict")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); {remedy}") from error
    recordings: list[Recording] = []
    for block in _blocks(text):
        recordings.append(_recording(block, recordings, f"{path}: {block['file'][0]}", remedy))
    if not recordings:
        raise DatasetError(f"{path} lists no recording (no line `File Name: ...`); {remedy}")
    return tuple(recordings)


def _blocks(text: str) -> list[dict[str, list[str]]]:
    """Collect the known fields from one `File Name` to the next, by the names of the groups in FIELD."""
    blocks: list[dict[str, list[str]]] = []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        match = FIELD.fullmatch(key.strip())
        if match is None:
            continue
        if match.lastgroup == "file":
            blocks.append({})
        if blocks:
            blocks[-1].setdefault(str(match.lastgroup), []).append(value.strip())
    return blocks


def _recording(block: dict[str, list[str]], before: list[Recording], where: str, remedy: str) -> Recording:
    try:
        starts, ends = ([int(value.split()[0]) for value in block.get(key, [])] for key in ("start", "end"))
        count = int(block["count"][0])
    except (KeyError, ValueError, IndexError) as error:
        raise DatasetError(f"{where}: number or times of seizures cannot be read ({error}); {remedy}") from error
    if not len(starts) == len(ends) == count:
        raise DatasetError(f"{where}: {count} seizures, but {len(starts)} starts and {len(ends)} ends; {remedy}")
    seizures = tuple(zip(starts, ends, strict=True))
    if any(start >= end for start, end in seizures):
        raise DatasetError(f"{where}: a seizure ends before it starts; {remedy}")
    begin, end = _times(block, before)
    return Recording(block["file"][0], seizures, begin, end)


def _times(block: dict[str, list[str]], before: list[Recording]) -> tuple[int | None, int | None]:
    """Put both times on the patient's clock: a recording that seems to begin before the last one belongs to the next day."""
    begin, end = (_seconds(block.get(key, [""])[0]) for key in ("begin", "finish"))
    if begin is None or end is None:
        return None, None
    earlier = next((recording.begin for recording in reversed(before) if recording.begin is not None), 0)
    begin += (max(earlier - begin, 0) + DAY_S - 1) // DAY_S * DAY_S
    return begin, begin + (end - begin) % DAY_S


def _seconds(clock: str) -> int | None:
    match = CLOCK.fullmatch(clock)
    if match is None:
        return None
    hours, minutes, seconds = map(int, match.groups())
    return (hours % 24) * 3600 + minutes * 60 + seconds
