"""Stand-in features of sound: words as patterns in time and coefficient, a machine as a spectrum that few causes move."""

from __future__ import annotations

import numpy as np

from fobench.datasets.arrays import Array

WAVES = 4
CAUSES = 4


def words(labels: Array, frames: int, coefficients: int, rng: np.random.Generator) -> Array:
    """Generate one feature map per label, N x 1 x frames x coefficients, of mean 0 and deviation about 1.

    Each class has, for every coefficient, a sum of four cosines over time; a word starts up to three frames early or late.
    """
    amplitudes = rng.normal(0, 0.5 / np.sqrt(WAVES), (int(labels.max()) + 1, WAVES, coefficients))
    starts = rng.integers(-3, 4, len(labels))
    maps = rng.normal(0, 0.9, (len(labels), 1, frames, coefficients)).astype(np.float32)
    for start in range(-3, 4):
        chosen = np.flatnonzero(starts == start)
        times = (np.arange(frames) - start + 0.5) / frames
        waves = np.sqrt(2) * np.cos(np.pi * np.arange(WAVES)[:, None] * times)
        patterns = np.einsum("kt,cks->cts", waves, amplitudes)
        maps[chosen, 0] += patterns[labels[chosen]].astype(np.float32)
    return maps


def machine(abnormal: Array, frames: int, bands: int, rng: np.random.Generator) -> Array:
    """Generate stacked spectra of a machine, N x (frames * bands), of mean about 0; `abnormal` ones have a squeal.

    Four causes of their own random strength each move smooth parts of the spectrum; a squeal lifts an eighth of the bands.
    """
    places = (np.arange(bands) + 0.5) / bands
    parts = np.cos(np.pi * np.arange(1, CAUSES + 1)[:, None] * places)
    strengths = rng.normal(0, 0.8, (len(abnormal), CAUSES))
    spectra = strengths @ parts
    squeal = np.abs(places - rng.uniform(0.1, 0.9, (len(abnormal), 1))) < 1 / 16
    spectra += squeal * np.asarray(abnormal)[:, None]
    stacked = rng.normal(0, 0.5, (len(abnormal), frames, bands)).astype(np.float32)
    stacked += spectra[:, None].astype(np.float32)
    return stacked.reshape(len(abnormal), frames * bands)
