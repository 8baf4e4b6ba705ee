"""Positive and negative rows for Forward-Forward, and the norms that keep a layer from reading the goodness below it.

Labelled data: the label stands in the first C values of the flattened sample, or it is a wave over the whole sample, added to it;
the true one in a positive row, a wrong one in a negative row. Data without labels: a negative row is a hybrid of two samples,
`x o m + x' o (1 - m)`, where the mask m is one in large regions: random bits, blurred again and again by [1/4, 1/2, 1/4] along
rows and columns, then cut at 1/2 (Hinton, arXiv 2212.13345, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fobench.contracts import Task
from fobench.learners import checks
from fobench.learners.normalisation import least


def amplitude(default: float) -> Any:
    """Return a dataclass field for the value of a label: a number, or `max`, the largest value of the sample."""

    def check(name: str, value: Any) -> None:
        if value != "max" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise checks.LearnerError(f"{name} is {value!r}; expected a number or max, the largest value of the sample")

    return field(default=default, metadata={"check": check})


def fits(learner: Any, task: Task) -> None:
    """Raise for a network without layers, or an input that has no room for the label: a demand for `require`."""
    checks.hidden(learner, task)
    if task.inputs < task.classes:
        raise checks.LearnerError(
            f"{type(learner).__name__} writes the label into the first {task.classes} input values, the task has only "
            f"{task.inputs}; take a task with more inputs than classes"
        )


@dataclass
class Rows:
    """Makes the rows of a task: positive, negative and neutral ones, and one per label."""

    task: Task
    amplitude: float | str  # of a label; `max`: the sample's largest value
    blurs: int
    generator: torch.Generator
    patterns: Tensor | None = None  # C x shape, one per class; None: the label is in the first C values

    @property
    def labelled(self) -> bool:
        """Say whether samples have labels to be written into them."""
        return self.task.kind == "classification"

    def overlay(self, x: Tensor, labels: Tensor) -> Tensor:
        """Repeat the batch once per N `labels` and give each row its label: in its first C values, or as a pattern."""
        if self.patterns is not None:
            return self.added(x, self.patterns[labels])
        x, copies = x.flatten(1), len(labels) // len(x)
        rows = x.repeat(copies, 1)
        value = x.amax(1, keepdim=True).repeat(copies, 1) if self.amplitude == "max" else float(self.amplitude)
        rows[:, : self.task.classes] = 0
        return self.shaped(rows.scatter_(1, labels[:, None], value))

    def neutral(self, x: Tensor) -> Tensor:
        """Return a copy of the batch with 1/C in place of every label value, or with the mean pattern."""
        if self.patterns is not None:
            return self.added(x, self.patterns.mean(0).repeat(len(x), *[1] * len(self.task.input_shape)))
        rows = x.flatten(1).clone()
        rows[:, : self.task.classes] = 1 / self.task.classes
        return self.shaped(rows)

    def added(self, x: Tensor, rows: Tensor) -> Tensor:
        """Add each sample to `amplitude` times its patterns, as many per sample as `rows` holds, in place."""
        x = self.shaped(x)
        value = per_row(x.flatten(1).amax(1), x) if self.amplitude == "max" else float(self.amplitude)
        rows.view(-1, *x.shape).mul_(value).add_(x)
        return rows

    def wrong_labels(self, y: Tensor) -> Tensor:
        """Draw a label other than the true one, uniformly."""
        shift = torch.randint(1, self.task.classes, y.shape, generator=self.generator, device=y.device)
        return shift.add_(y).remainder_(self.task.classes)

    def hybrids(self, x: Tensor) -> Tensor:
        """Return N positive rows, the batch itself, then N hybrids of two samples each."""
        x = self.shaped(x)
        mask = blurred_bits(x.shape, self.blurs, self.generator, x.device)
        shift = int(torch.randint(1, max(len(x), 2), (), generator=self.generator, device=x.device))
        return mixed(x, mask, shift)

    def shaped(self, x: Tensor) -> Tensor:
        """Return flat samples in the shape that the network reads."""
        return x.view(-1, *self.task.input_shape)


def mixed(x: Tensor, mask: Tensor, shift: int) -> Tensor:
    """Return 2N rows: the batch, N x shape, then each sample where the mask is true, with the one `shift` before it elsewhere.

    A batch of one has no other sample: it is mixed with itself, back to front.
    """
    N = len(x)
    rows = x.new_empty(2 * N, *x.shape[1:])
    rows[:N] = x
    if N == 1:
        rows[1:] = x.flip(-1)
    else:
        rows[N : N + shift], rows[N + shift :] = x[N - shift :], x[: N - shift]
    torch.where(mask, x, rows[N:], out=rows[N:])
    return rows


def blurred_bits(shape: tuple[int, ...], blurs: int, generator: torch.Generator, device: Any) -> Tensor:
    """Draw a mask, N x shape, of large regions; channels share it, and a vector is one row.

    [1/4, 1/2, 1/4] is the sum of two neighbours, taken twice; the cut at 1/2 moves up instead of the sums down. Bits beyond
    the edge are drawn, too, and used up by the blur.
    """
    sides = shape[-2:] if len(shape) == 4 else (torch.Size(shape[1:]).numel(),)
    wide = [side + 2 * blurs for side in sides]
    steps = torch.empty(shape[0], *wide, device="meta").stride()
    largest = 2.0 ** (2 * blurs * len(sides))
    m = random_bits(shape[0] * steps[0], generator, device).to(torch.float32 if largest < 2.0**128 else torch.float64)
    for step in steps[1:]:
        for _ in range(2 * blurs):
            m = m[:-step] + m[step:]  # of all rows at once: what runs over from one into the next is beyond the edge
    mask = m.as_strided((shape[0], *sides), steps) > largest / 2
    return mask[:, None] if len(shape) == 4 else mask.view(shape)


def random_bits(count: int, generator: torch.Generator, device: Any) -> Tensor:
    """Draw as many values of 0 or 1: the lowest bit of each byte of random words."""
    words = torch.empty(-(-count // 8), dtype=torch.int64, device=device).random_(generator=generator)
    return words.view(torch.uint8)[:count].bitwise_and_(1)


def waves(task: Task, wavelength: float, generator: torch.Generator, device: Any) -> Tensor:
    """Draw a plane wave per class over the whole input, C x shape, of mean square 1, its channels out of step.

    Directions are half a turn / C apart, the first one is drawn. A vector has no directions: its waves are `wavelength` long
    at the shortest, and 1/C of that frequency apart.
    """
    is_map = len(task.input_shape) == 3
    channels, *sides = task.input_shape if is_map else (1, 1, task.inputs)
    turn = torch.empty((), device=device).uniform_(generator=generator)
    phase = torch.empty(task.classes, channels, 1, 1, device=device).uniform_(generator=generator)
    share = ((torch.arange(task.classes, device=device) + turn) / task.classes).view(-1, 1, 1, 1)
    rows, columns = (torch.arange(side, device=device) for side in sides)
    angle = torch.pi * share
    path = angle.cos() * columns + angle.sin() * rows[:, None] if is_map else share * columns
    return (2 * torch.pi * (path / wavelength + phase)).cos_().mul_(2**0.5).view(-1, *task.input_shape)


def goodness(Z: Tensor) -> Tensor:
    """Return the sum of squares of each row."""
    norm = lengths(Z)
    return norm.mul_(norm)


def lengths(Z: Tensor) -> Tensor:
    """Return the length of each row."""
    norm: Tensor = torch.linalg.vector_norm(Z.flatten(1), dim=1)
    return norm


def units(Z: Tensor) -> int:
    """Return how many values a row has."""
    return Z.numel() // len(Z)


def rms_(Z: Tensor) -> Tensor:
    """Divide each row by its root mean square, in place."""
    return Z.div_(per_row(lengths(Z).mul_(units(Z) ** -0.5).add_(least(1e-8, Z)), Z))


def length_(Z: Tensor) -> Tensor:
    """Divide each row by its length, in place."""
    return Z.div_(per_row(lengths(Z).add_(1e-4), Z))


def per_row(values: Tensor, Z: Tensor) -> Tensor:
    """Shape one value per row so that it meets all of the row's."""
    return values.view(-1, *[1] * (Z.dim() - 1))
