"""Stand-in scalp EEG: a power-law background, and for seizures a 3 Hz spike-and-wave rhythm on top of it.

After Rankine, Stevenson, Mesbah, Boashash, A nonstationary model of newborn EEG, IEEE Trans. Biomed. Eng. 54(1):19-28, 2007: the
background has the spectrum 1/f^gamma with random gamma; the seizure is a sum of harmonics in phase with a piecewise linear
instantaneous frequency. The frequency of 3 Hz is that of spike-and-wave discharges, the root mean squares (40 uV between
seizures, 96 uV in one) are those of record chb01_03; both are this project's choice, as is one linear piece for 4 s.
"""

from __future__ import annotations

import numpy as np

from fobench.datasets.arrays import Array

RATE_HZ = 128
SAMPLES = 512
CHANNELS = 2
BACKGROUND_UV = 40.0
RHYTHM_UV = 87.0
"""With the background it makes 96 uV."""
HARMONICS = 5


def windows(labels: Array, rng: np.random.Generator) -> Array:
    """Generate a 4 s window for each label (0 interictal, 1 ictal), N x 1024 in microvolts: two channels one after the other."""
    signals = _background(len(labels), rng)
    ictal = np.flatnonzero(labels)
    signals[ictal] += _rhythm(len(ictal), rng)
    return signals.reshape(len(labels), CHANNELS * SAMPLES).astype(np.float32)


def _background(count: int, rng: np.random.Generator) -> Array:
    """Shape white noise to 1/f^gamma from 0.5 Hz on, gamma about 1.5, with a strength that differs between windows."""
    frequencies = np.fft.rfftfreq(SAMPLES, 1 / RATE_HZ)
    size = (count, CHANNELS, len(frequencies))
    gamma = rng.normal(1.5, 0.3, (count, 1, 1))
    spectrum = (rng.normal(size=size) + 1j * rng.normal(size=size)) * frequencies.clip(0.5) ** (-gamma / 2)
    spectrum[..., 0] = 0
    strength = BACKGROUND_UV * rng.lognormal(0, 0.3, (count, 1, 1))
    return _with_rms(np.fft.irfft(spectrum, SAMPLES), strength)


def _rhythm(count: int, rng: np.random.Generator) -> Array:
    """Sum harmonics of a frequency that slows from about 3.5 to 2.5 Hz; both channels share the phase, not the strength."""
    seconds = np.arange(SAMPLES) / RATE_HZ
    first = rng.normal(3.5, 0.2, (count, 1, 1))
    slope = rng.normal(-0.25, 0.05, (count, 1, 1))
    phase = 2 * np.pi * (first * seconds + slope * seconds**2 / 2) + rng.uniform(0, 2 * np.pi, (count, 1, 1))
    wave = sum(np.cos(harmonic * phase) / harmonic for harmonic in range(1, HARMONICS + 1))
    return _with_rms(
        np.broadcast_to(wave, (count, CHANNELS, SAMPLES)), RHYTHM_UV * rng.lognormal(0, 0.3, (count, 2, 1))
    )


def _with_rms(signals: Array, strength: Array) -> Array:
    scaled: Array = signals / np.sqrt((signals**2).mean(-1, keepdims=True)) * strength
    return scaled
