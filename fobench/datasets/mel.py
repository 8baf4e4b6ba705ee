"""Spectra on the mel scale: the MFCC of keyword spotting and the log-mel energies of anomaly detection, as MLPerf Tiny has them.

Both: frames without padding at the ends, a periodic Hann window w(n) = 0.5 - 0.5 cos(2 pi n / N), a real FFT of the next power of
two, triangular filters with their corners evenly spaced in mel.
"""

from __future__ import annotations

import numpy as np

from fobench.datasets.arrays import Array

FLOOR = 1e-6
"""Added to the mel spectrum before the logarithm of the MFCC."""


def mfcc(signals: Array, rate: int) -> Array:
    """Return the first 10 coefficients of each 30 ms frame every 20 ms, N x frames x 10, of N signals.

    Magnitude spectrum; 40 filters of peak 1 from 20 to 4,000 Hz, triangular in mel = 1127 ln(1 + f / 700), none at 0 Hz; natural
    logarithm of mel + 1e-6; DCT-II times 1 / sqrt(2 x 40).
    """
    from scipy.fft import dct

    spectrum = np.abs(_spectra(signals, 30 * rate // 1000, 20 * rate // 1000))
    frequencies = np.linspace(0, rate / 2, spectrum.shape[-1])
    lowest, highest = _htk(np.array([20, 4000]))
    filters = _triangles(_htk(frequencies), np.linspace(lowest, highest, 40 + 2))
    filters[0] = 0
    coefficients: Array = dct(np.log(spectrum @ filters + FLOOR), type=2)[..., :10] / np.sqrt(2 * 40)
    return coefficients


def log_mel(signal: Array, rate: int) -> Array:
    """Return the energies of 128 bands in decibels, frames x 128, of frames of 1,024 samples every 512.

    Power spectrum; filters from 0 to half the rate, triangular in Hz with their corners on Slaney's mel scale, each of area 1;
    10 log10(mel + 2.2e-16).
    """
    spectrum = np.abs(_spectra(signal, 1024, 512)) ** 2
    frequencies = np.linspace(0, rate / 2, spectrum.shape[-1])
    corners = _from_slaney(np.linspace(0, _slaney_top(rate / 2), 128 + 2))
    filters = _triangles(frequencies, corners) * 2 / (corners[2:] - corners[:-2])
    energies: Array = 10 * np.log10(spectrum @ filters + np.finfo(np.float64).eps)
    return energies


def _spectra(signals: Array, width: int, step: int) -> Array:
    frames = np.lib.stride_tricks.sliding_window_view(signals, width, axis=-1)[..., ::step, :]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    size = 1 << (width - 1).bit_length()
    spectra: Array = np.fft.rfft(frames * window, size)
    return spectra


def _triangles(places: Array, corners: Array) -> Array:
    """Return the height of each triangle at each place, places x triangles; triangle i has corners i, i + 1, i + 2."""
    low, top, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (places[:, None] - low) / (top - low)
    falling = (high - places[:, None]) / (high - top)
    heights: Array = np.minimum(rising, falling).clip(0)
    return heights


def _htk(frequency: Array) -> Array:
    mel: Array = 1127 * np.log1p(frequency / 700)
    return mel


LINEAR_HZ = 200 / 3
"""Slaney's scale: a mel in Hz up to 1,000 Hz, which is mel 15; above it 27 mel for each factor of 6.4."""


def _slaney_top(frequency: float) -> float:
    return float(15 + 27 * np.log(frequency / 1000) / np.log(6.4))


def _from_slaney(mel: Array) -> Array:
    frequency: Array = np.where(mel < 15, mel * LINEAR_HZ, 1000 * 6.4 ** ((mel - 15) / 27))
    return frequency
