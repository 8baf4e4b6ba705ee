"""How high an accuracy rises and how slowly: the plateau fit as published, and a robust one.

Model, after x epochs (Dellaferrera and Kreiman, ICML 2022; Bio-FO uses it on errors):

    acc(x) = acc_max x / (s + x)                                s, the slowness: epochs to half of the plateau
    acc(x) = acc_0 + (acc_inf - acc_0) x / (s + x)              robust: three free numbers

The published procedure puts the chance level in front of the curve, keeps the first `FIT_EPOCHS` points, fixes acc_max to
their maximum and fits s alone, from 0.5, on x = 0, 1, 2, ... The model gives 0 at x = 0, where the curve has chance, and the
observed maximum lies below the asymptote, so that this s is biased low.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import t as student

FIT_EPOCHS = 60
"""Points of the published fit, the chance level among them."""

START = 0.5
FEWEST = 5
"""Points that a fit of three numbers takes at least."""

LEVEL = 0.95

Array = NDArray[Any]
Model = Callable[..., Array]
Reader = Callable[[Array], tuple[float, float]]
"""From the fitted numbers, the slowness first, to plateau and slowness."""


@dataclass(frozen=True)
class Plateau:
    """Plateau (an accuracy, a share) and slowness (epochs); `half_width` of its 95 % interval, None if it is not known."""

    plateau: float
    slowness: float
    half_width: float | None = None


def published(accuracies: Sequence[float], chance: float) -> Plateau | str:
    """Return the published fit of one accuracy per epoch (from the first on), or why there is none."""
    y = np.array([chance, *accuracies][:FIT_EPOCHS])
    x = np.arange(len(y), dtype=float)
    plateau = float(y.max())
    if len(y) < 3:
        return "fewer than two epochs"
    return _fitted(lambda x, s: plateau * x / (s + x), (x, y), (START,), lambda p: (plateau, p[0]))


def robust(epochs: Sequence[float], accuracies: Sequence[float]) -> Plateau | str:
    """Return the fit of plateau, slowness and start to accuracies at these epochs, or why there is none."""
    x, y = np.array(epochs, dtype=float), np.array(accuracies, dtype=float)
    scores = len(set(x))
    if scores < FEWEST:
        return f"{scores} score{'s' * (scores > 1)}, a fit takes {FEWEST}"
    found = _fitted(
        lambda x, s, top, start: start + (top - start) * x / (s + x),
        (x, y),
        (START, float(y.max()), float(y.min())),
        lambda p: (p[1], p[0]),
    )
    if isinstance(found, str):
        return found
    if found.slowness > x.max():
        return f"half of the plateau lies beyond the last score ({found.slowness:.3g} epochs)"
    if found.half_width is not None and found.half_width >= found.slowness:
        return f"the interval of the slowness includes 0 ({found.slowness:.2g} ± {found.half_width:.2g} epochs)"
    if not 0 <= found.plateau <= 1:
        return f"the plateau lies at {100 * found.plateau:.0f} %"
    return found


def _fitted(model: Model, points: tuple[Array, Array], start: Sequence[float], read: Reader) -> Plateau | str:
    """Fit by least squares with s above 0; the half-width is Student's, from the residuals."""
    x, y = points
    if np.ptp(y) == 0:
        return "the curve is flat"
    lower = [1e-9, *[-np.inf] * (len(start) - 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", OptimizeWarning)
        try:
            found, covariance = curve_fit(model, x, y, p0=start, bounds=(lower, np.inf))
        except (RuntimeError, ValueError, OptimizeWarning):
            return "no least squares fit was found"
    plateau, slowness = read(found)
    free = len(x) - len(start)
    spread = float(np.sqrt(covariance[0][0])) * float(student.ppf((1 + LEVEL) / 2, free)) if free > 0 else None
    return Plateau(float(plateau), float(slowness), spread)
