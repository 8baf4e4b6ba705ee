"""Speech Commands v0.02 as published: two archives of wav files, read as they are, one clip after the other.

Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv:1804.03209, 2018. Licence: CC BY 4.0.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from fobench.contracts import DatasetError
from fobench.datasets.arrays import Array
from fobench.datasets.mel import mfcc
from fobench.datasets.wav import RATE_HZ, read_wav

WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
SILENCE, UNKNOWN = "_silence_", "_unknown_"
CLASSES = (*WORDS, SILENCE, UNKNOWN)
NOISE = "_background_noise_"
SAMPLES = RATE_HZ
"""Of one clip: a second."""
BATCH = 256


@dataclass
class Clips:
    """Features (N x 49 x 10) of the clips of an archive, their class numbers, names, and the archive's lists of names."""

    x: Array
    y: Array
    names: Array
    lists: dict[str, set[str]] = field(default_factory=dict)


def read_archive(path: Path, remedy: str) -> Clips:
    """Read every clip; background noise is cut into seconds, one every half second. Errors end in `remedy`."""
    names, features, batch = [], [], []
    lists: dict[str, set[str]] = {}
    for name, content in _members(path, remedy):
        if name.endswith("_list.txt"):
            lists[name] = set(content.decode(errors="replace").split())
        elif name.endswith(".wav"):
            for clip_name, clip in _clips(name, read_wav(content, f"{name} in {path}", remedy)):
                names.append(clip_name)
                batch.append(clip)
        if len(batch) >= BATCH:
            features.append(_features(batch))
            batch = []
    if batch:
        features.append(_features(batch))
    if not features:
        raise DatasetError(f"{path} has no wav files; {remedy}")
    return Clips(np.concatenate(features), np.array([_label(name) for name in names]), np.array(names), lists)


def _members(path: Path, remedy: str) -> Iterator[tuple[str, bytes]]:
    """Yield the path below the archive's root and the content of each file."""
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None:
                    yield str(PurePosixPath(member.name)), file.read()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DatasetError(f"{path} cannot be read as a tar archive ({error}); {remedy}") from error


def _clips(name: str, samples: Array) -> Iterator[tuple[str, Array]]:
    """Yield clips of one second: a word, padded with zeros or cut, or the pieces of a recording of noise."""
    if not name.startswith(NOISE):
        yield name, np.pad(samples[:SAMPLES], (0, max(0, SAMPLES - len(samples))))
        return
    for start in range(0, len(samples) - SAMPLES, SAMPLES // 2):
        yield f"{name}/{start}", samples[start : start + SAMPLES]


def _features(clips: list[Array]) -> Array:
    """Return the MFCC of clips, each divided by its largest sample (one without positive samples stays as it is)."""
    signals = np.stack(clips).astype(np.float64)
    peaks = signals.max(1, keepdims=True)
    return mfcc(signals / np.where(peaks > 0, peaks, 1), RATE_HZ).astype(np.float32)


def _label(name: str) -> int:
    folder = name.split("/")[0]
    if folder == NOISE:
        return CLASSES.index(SILENCE)
    return CLASSES.index(folder if folder in CLASSES else UNKNOWN)


def speaker(name: str) -> str:
    """Return who speaks in a clip, by its name `word/speaker_nohash_0.wav` or `_unknown_/word_speaker_nohash_0.wav`.

    A clip without a speaker, of silence, stands for itself.
    """
    before, marker, _ = name.rpartition("/")[2].partition("_nohash_")
    return before.rpartition("_")[2] if marker else name
