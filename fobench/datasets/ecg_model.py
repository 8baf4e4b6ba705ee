"""Stand-in heartbeats from the dynamical ECG model of McSharry et al., in closed form.

Along one cycle of the phase theta the trace is a sum of five Gaussians, P, Q, R, S and T: the solution of
dz/dtheta = -sum_i a_i dtheta_i exp(-dtheta_i^2 / 2 b_i^2) is z = sum_i a_i b_i^2 exp(-dtheta_i^2 / 2 b_i^2).
McSharry, Clifford, Tarassenko, Smith, IEEE Trans. Biomed. Eng. 50(3):289-294, 2003, table I for normal beats. What the other
classes do to the five waves is this project's own, after their textbook shapes.
"""

from __future__ import annotations

import numpy as np

from fobench.datasets.arrays import Array

ANGLES = np.pi * np.array([-1 / 3, -1 / 12, 0, 1 / 12, 1 / 2], np.float32)
HEIGHTS = np.array([1.2, -5.0, 30.0, -7.5, 0.75], np.float32)
WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4], np.float32)

AMPLITUDES = np.array(
    [
        [1, 1, 1, 1, 1],  # N
        [-0.6, 1, 0.9, 1, 0.6],  # S: inverted P wave, flat T wave
        [0, 0.5, 1.2, 2.5, -2.5],  # V: no P wave, T wave against the QRS complex
        [0.5, 0.8, 1.1, 1.8, -0.8],  # F: half way between N and V
        [0, 3, 0.7, 3.5, -1.5],  # Q: paced, deep S wave
    ],
    np.float32,
)
"""Height of the waves P, Q, R, S, T in the classes N, S, V, F, Q, relative to a normal beat."""

BREADTHS = np.array(
    [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1.2], [1, 2.5, 2.5, 2.5, 1.2], [1, 1.7, 1.7, 1.7, 1], [1, 1, 1.5, 3, 1]],
    np.float32,
)
"""Their widths, likewise: beats from the ventricles are broad."""

RATE_HZ = 125
LENGTH_IN_CYCLES = 1.2
BATCH = 10_000


def beats(labels: Array, width: int, rng: np.random.Generator) -> Array:
    """Generate one beat per label, N x width in [0, 1]: from its R peak over 1.2 cycles of 0.8 +- 0.1 s, then zeros.

    Heights vary by 15 %, widths by 10 %, noise has 3 % of a normal R wave.
    """
    made = np.zeros((len(labels), width), np.float32)
    for start in range(0, len(labels), BATCH):
        made[start : start + BATCH] = _batch(labels[start : start + BATCH], width, rng)
    return made


def _batch(labels: Array, width: int, rng: np.random.Generator) -> Array:
    size = (len(labels), len(ANGLES))
    widths = WIDTHS * BREADTHS[labels] * _around_one(0.1, size, rng).clip(0.5)
    heights = HEIGHTS * WIDTHS**2 * AMPLITUDES[labels] * _around_one(0.15, size, rng)
    cycle = np.float32(0.8 * RATE_HZ) * _around_one(0.125, len(labels), rng).clip(0.6, 1.5)
    samples = np.arange(width, dtype=np.float32)
    theta = np.float32(2 * np.pi) * samples / cycle[:, None]
    trace = 0.03 * HEIGHTS[2] * WIDTHS[2] ** 2 * rng.standard_normal(theta.shape, np.float32)
    for wave, angle in enumerate(ANGLES):
        distance = np.abs(theta - angle)
        distance = np.minimum(distance, np.abs(distance - np.float32(2 * np.pi)))  # from the nearer of two beats
        trace += heights[:, wave, None] * np.exp(-((distance / widths[:, wave, None]) ** 2) / 2)
    return unit_range(trace, samples < LENGTH_IN_CYCLES * cycle[:, None])


def _around_one(deviation: float, size: int | tuple[int, ...], rng: np.random.Generator) -> Array:
    factors: Array = 1 + deviation * rng.standard_normal(size, np.float32)
    return factors


def unit_range(values: Array, inside: Array) -> Array:
    """Scale each row's values `inside` to [0, 1] and set the others to 0; a constant row becomes 0."""
    low = np.where(inside, values, np.inf).min(1, keepdims=True)
    high = np.where(inside, values, -np.inf).max(1, keepdims=True)
    span = np.where(high > low, high - low, 1)
    scaled: Array = np.where(inside, (values - low) / span, 0)
    return scaled
