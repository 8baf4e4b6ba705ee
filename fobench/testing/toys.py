"""Toy data for any task: separable classes, or normal and abnormal samples, in the shape that the task asks for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fobench.contracts import Prediction, Task

SPREAD = 2.0


def toy_data(task: Task, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return x and y in torch's default dtype: Gaussian clusters around one pattern per class.

    The patterns do not depend on `seed`. A reconstruction's normal samples (y = 0) lie near a plane, abnormal ones (every
    second, y = 1) are as large but lie anywhere.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, *task.input_shape, generator=generator)
    if task.kind == "classification":
        y = torch.randint(task.classes, (samples,), generator=generator)
        return SPREAD * _patterns(task, task.classes)[y] + noise, y
    y = torch.arange(samples) % 2
    plane = torch.randn(samples, 2, generator=generator) @ _patterns(task, 2).flatten(1)
    normal = plane.view_as(noise) + 0.1 * noise
    return torch.where(y.view(-1, *[1] * len(task.input_shape)) == 1, 2**0.5 * noise, normal), y


def _patterns(task: Task, count: int) -> Tensor:
    """Return fixed random patterns; on maps they are smooth, so that what pools still sees them."""
    generator = torch.Generator().manual_seed(99)
    if len(task.input_shape) != 3:
        return torch.randn(count, *task.input_shape, generator=generator)
    coarse = torch.randn(count, task.input_shape[0], 3, 3, generator=generator)
    return functional.interpolate(coarse, task.input_shape[1:], mode="bilinear", align_corners=True)


def score(task: Task, prediction: Prediction, y: Tensor) -> float:
    """Return the error of a classification, or the area under the ROC curve of a reconstruction's scores."""
    if task.kind == "classification":
        return float((prediction.scores.argmax(1) != y).double().mean())
    abnormal, normal = prediction.scores[y == 1], prediction.scores[y == 0]
    above = (abnormal[:, None] > normal).double() + 0.5 * (abnormal[:, None] == normal).double()
    return float(above.mean())
