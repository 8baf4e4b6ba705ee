"""The spectra against a transcription of their definitions, number by number."""

import cmath
import math

import numpy as np
import pytest

from fobench.datasets.mel import log_mel, mfcc

RATE = 16_000


def slow_spectrum(frame, size):
    """Magnitudes of the discrete Fourier transform of a frame under a periodic Hann window."""
    width = len(frame)
    weighted = [value * math.sin(math.pi * n / width) ** 2 for n, value in enumerate(frame)]
    return [
        abs(sum(value * cmath.exp(-2j * math.pi * k * n / size) for n, value in enumerate(weighted)))
        for k in range(size // 2 + 1)
    ]


def slow_mfcc(frame):
    def mel(frequency):
        return 1127 * math.log(1 + frequency / 700)

    spectrum = slow_spectrum(frame, 512)
    step = (mel(4000) - mel(20)) / 41
    logs = []
    for band in range(40):
        low = mel(20) + band * step
        energy = 0.0
        for k in range(1, 257):
            place = (mel(k * RATE / 512) - low) / step
            energy += spectrum[k] * max(0, 1 - abs(place - 1))
        logs.append(math.log(energy + 1e-6))
    return [
        sum(2 * value * math.cos(math.pi * c * (2 * m + 1) / 80) for m, value in enumerate(logs)) / math.sqrt(80)
        for c in range(10)
    ]


def slow_log_mel(frame):
    def hertz(mel):
        return mel * 200 / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)

    top = 15 + 27 * math.log(8) / math.log(6.4)
    corners = [hertz(top * number / 129) for number in range(130)]
    power = [magnitude**2 for magnitude in slow_spectrum(frame, 1024)]
    decibels = []
    for low, middle, high in zip(corners, corners[1:], corners[2:], strict=False):
        energy = 0.0
        for k, value in enumerate(power):
            frequency = k * RATE / 1024
            if low < frequency <= middle:
                energy += value * (frequency - low) / (middle - low)
            elif middle < frequency < high:
                energy += value * (high - frequency) / (high - middle)
        decibels.append(10 * math.log10(energy * 2 / (high - low) + 2.220446049250313e-16))
    return decibels


def test_mfcc_of_two_signals():
    rng = np.random.default_rng(0)
    signals = rng.uniform(-1, 1, (2, 1600)).cumsum(1) / 20
    found = mfcc(signals, RATE)
    assert found.shape == (2, 4, 10)
    for signal, frame in ((0, 0), (1, 0), (1, 3)):
        start = 320 * frame
        assert found[signal, frame] == pytest.approx(slow_mfcc(signals[signal, start : start + 480]), abs=1e-9)


def test_mfcc_of_a_second_has_49_frames_and_silence_a_closed_form():
    found = mfcc(np.zeros((1, RATE)), RATE)
    assert found.shape == (1, 49, 10)
    # 40 equal logarithms: only the first cosine does not cancel, 2 x 40 x ln(1e-6) / sqrt(80)
    assert found[0, :, 0] == pytest.approx(np.full(49, math.sqrt(80) * math.log(1e-6)))
    assert found[0, :, 1:] == pytest.approx(0, abs=1e-9)


def test_log_mel():
    signal = np.random.default_rng(1).normal(0, 0.1, 512 * 3)
    signal[100:] += 0.3 * np.sin(np.arange(1436) * 2 * np.pi * 440 / RATE)
    found = log_mel(signal, RATE)
    assert found.shape == (2, 128)
    for frame in range(2):
        assert found[frame] == pytest.approx(slow_log_mel(signal[512 * frame : 512 * frame + 1024]), abs=1e-8)


def test_a_tone_lifts_the_band_that_holds_it():
    # Slaney's scale is linear up to 1,000 Hz: band m is centred on mel (m + 1) / 129 of the top
    top = 15 + 27 * math.log(8) / math.log(6.4)
    tone = np.sin(np.arange(1024) * 2 * np.pi * 750 / RATE)
    assert log_mel(tone, RATE)[0].argmax() == round(750 / (200 / 3) * 129 / top) - 1
