"""The shape of a distribution from two of its moments."""

from __future__ import annotations

import math

from scipy.optimize import brentq

SHAPES = (0.2, 20.0)
"""Exponents between which one is looked for."""


def magnitude_ratio(beta: float) -> float:
    """Return E|w| / sqrt(E w^2) of a generalised Gaussian, density ~ exp(-|w|^beta): sqrt(2/pi) for 2, sqrt(1/2) for 1."""
    logs = math.lgamma(2 / beta) - (math.lgamma(1 / beta) + math.lgamma(3 / beta)) / 2
    return math.exp(logs)


def shape(ratio: float) -> float | None:
    """Return the exponent of the generalised Gaussian with this ratio of mean magnitude to RMS; None above `SHAPES`.

    A ratio below that of the smallest exponent gives this exponent.
    """
    low, high = SHAPES
    if ratio >= magnitude_ratio(high):
        return None
    return float(brentq(lambda beta: magnitude_ratio(beta) - ratio, low, high)) if ratio > magnitude_ratio(low) else low
