"""Stand-in images: each class is a few Gaussian blobs at its own places, each image a shifted, noisy copy of them."""

from __future__ import annotations

import numpy as np

from fobench.datasets.arrays import Array

BLOBS = 4
BATCH = 5000


def blob_images(labels: Array, size: int, rng: np.random.Generator, channels: int = 1) -> Array:
    """Generate one image per label, N x channels x size x size in [0, 1]; every class has its own places for its blobs.

    Each channel has blobs of its own. An image shifts each blob by about 4 % of its side and adds noise, so that classes overlap
    a little.
    """
    places = rng.uniform(0.2, 0.8, (int(labels.max()) + 1, channels, BLOBS, 2))
    images = np.empty((len(labels), channels, size, size), np.float32)
    for start in range(0, len(labels), BATCH):
        batch = labels[start : start + BATCH]
        centres = places[batch] + rng.normal(0, 0.04, (len(batch), channels, BLOBS, 2))
        images[start : start + BATCH] = _draw(centres.astype(np.float32), size)
        images[start : start + BATCH] += rng.normal(0, 0.1, (len(batch), channels, size, size)).astype(np.float32)
    return images.clip(0, 1, out=images)


def _draw(centres: Array, size: int) -> Array:
    """Sum Gaussian blobs of standard deviation 0.08 of the side; a Gaussian is the product of its two profiles."""
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    profiles = np.exp(-(((grid - centres[..., None]) / 0.08) ** 2) / 2)
    drawn: Array = np.einsum("...bi,...bj->...ij", profiles[..., 0, :], profiles[..., 1, :])
    return drawn
