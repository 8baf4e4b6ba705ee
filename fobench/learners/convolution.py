"""Convolutions: of all channels, of each by itself, and of one position at a time.

Weights lie in memory channels last, and so do the maps that the kernels give: on a processor two to four times as fast as
channels first. What reads a map sees the same shape either way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Role, role
from fobench.learners.activations import Activation
from fobench.learners.nodes import WeightedNode
from fobench.networks import Layer

BANDS = 4
"""In how many bands of rows a signal comes back to a padded map, and an input that is `LARGE` is padded: all of it at once would
be what a step needs most of."""
LARGE = 2**15
"""Values of an input from which on that is worth the time, if the result has fewer."""


class Conv(WeightedNode):
    """Convolution, of all channels or (`depthwise`) of each by itself: `W` channels x (inputs or 1) x rows x columns."""

    def __init__(self, layer: Layer, index: int, f: Activation, bias: bool, device: str) -> None:
        super().__init__(layer, index, f)
        channels, kernel = layer.output_shape[0], networks.pair(layer.record["kernel"])
        self.groups = layer.input_shape[0] if layer.kind == "depthwise" else 1
        self.stride = networks.strides(layer.record)
        top, bottom, left, right = layer.padding
        even = top == bottom and left == right
        self.padding = (top, left) if even else (0, 0)  # what the kernel pads by itself
        self.margins = not even  # a padded copy is made
        self.bands = BANDS if self.margins and layer.inputs > max(layer.units, LARGE) else 1
        self.fan_in = layer.input_shape[0] // self.groups * math.prod(kernel)
        self.fan_out = channels // self.groups * math.prod(kernel)
        self.allocate((channels, layer.input_shape[0] // self.groups, *kernel), (channels,) if bias else None, device)
        self.W = self.W.to(memory_format=torch.channels_last)

    def padded(self, before: Tensor) -> Tensor:
        """Return the input with its margins of zeros, where the kernel does not pad by itself."""
        return self.band(before, 0, self.layer.output_shape[1]) if self.margins else before

    def band(self, before: Tensor, first: int, last: int) -> Tensor:
        """Return what the positions of the rows from `first` to before `last` see of the padded input."""
        channels, _, columns = self.layer.input_shape
        left, right = self.layer.padding[2:]
        height, seen, within = self.sight(first, last)
        band = channels_last(before, channels, height, left + columns + right)
        band[:, :, within, left : left + columns] = before[:, :, seen]
        for margin in (
            band[:, :, : within.start],
            band[:, :, within.stop :],
            band[..., :left],
            band[..., left + columns :],
        ):
            margin.zero_()
        return band

    def sight(self, first: int, last: int) -> tuple[int, slice, slice]:
        """Return what `rows_seen` does, of the rows of positions from `first` to before `last`."""
        return rows_seen(self.layer, self.stride[0], self.W.shape[2], first, last)

    def in_bands(self, bands: int) -> Iterator[tuple[int, int]]:
        """Yield, for each of some bands, its first row of positions and the one after its last."""
        rows = self.layer.output_shape[1]
        size = -(-rows // bands)
        return ((first, min(first + size, rows)) for first in range(0, rows, size))

    def convolved(self, padded: Tensor) -> Tensor:
        """Return the convolution of an input with its margins."""
        return torch.conv2d(padded, self.W, self.b, self.stride, self.padding, 1, self.groups)

    @role(Role.FORWARD)
    def __call__(self, *before: Tensor) -> Tensor:
        """Return the convolution of the map with W, N x channels x rows x columns."""
        if self.bands == 1 or torch.is_grad_enabled():  # autograd keeps the padded copy in any case
            return self.convolved(self.padded(before[0]))
        A = channels_last(before[0], *self.layer.output_shape)
        for first, last in self.in_bands(self.bands):
            A[:, :, first:last] = self.convolved(self.band(before[0], first, last))
        return A

    def _gradients(self, delta: Tensor, padded: Tensor, W: Tensor, wanted: list[bool]) -> Any:
        return torch.ops.aten.convolution_backward(
            delta, padded, W, None, self.stride, self.padding, (1, 1), False, (0, 0), self.groups, wanted
        )

    @role(Role.INPUT_GRADIENT)
    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return the transposed convolution of D with W, N x the source's shape."""
        W = self.W if W is None else W
        if not self.margins:
            whole: Tensor = self._gradients(delta, before, W, [True, False, False])[0]
            return whole
        signal, done = channels_last(delta, *self.layer.input_shape), 0
        for first, last in self.in_bands(BANDS):
            _, seen, within = self.sight(first, last)
            sent = self._sent(delta[:, :, first:last], W)[:, :, within]
            shared = max(done - seen.start, 0)  # rows that the band before has sent to as well
            signal[:, :, done : seen.start] = 0
            signal[:, :, seen.start : seen.start + shared] += sent[:, :, :shared]
            signal[:, :, seen.start + shared : seen.stop] = sent[:, :, shared:]
            done = seen.stop
            del sent  # before the next band is worked on
        signal[:, :, done:] = 0
        return signal

    def _sent(self, delta: Tensor, W: Tensor) -> Tensor:
        """Return what some rows of D send to the padded rows that they see, within the map's columns."""
        # the same kernel as the gradient's, without a padded input that only its shape is read of
        left, right = self.layer.padding[2:]
        columns = self.layer.input_shape[2]
        spare = left + columns + right - ((delta.shape[3] - 1) * self.stride[1] + W.shape[3])
        sent = torch.ops.aten.convolution(delta, W, None, self.stride, (0, 0), (1, 1), True, (0, spare), self.groups)
        return sent[:, :, :, left : left + columns]  # type: ignore[no-any-return]

    def correlation(self, delta: Tensor, before: Tensor) -> Tensor:
        """Return the correlation of D with the map, summed over samples and positions."""
        if self.bands == 1:
            return self._correlation(delta, self.padded(before))
        shares = (
            self._correlation(delta[:, :, first:last], self.band(before, first, last))
            for first, last in self.in_bands(self.bands)
        )
        return reduce(Tensor.add_, shares)

    def _correlation(self, delta: Tensor, padded: Tensor) -> Tensor:
        G: Tensor = self._gradients(delta, padded, self.W, [False, True, False])[1]
        return G

    def summed(self, delta: Tensor) -> Tensor:
        """Return the sum of D over samples and positions."""
        return delta.sum((0, 2, 3))


class Pointwise(Conv):
    """Convolution of one position at a time, of every one: a dense layer whose rows are positions."""

    @role(Role.FORWARD)
    def __call__(self, *before: Tensor) -> Tensor:
        """Return `A = H W^T + b`, N x channels x rows x columns."""
        H, W = _rows(before[0]), self.W.flatten(1)
        return _map(torch.mm(H, W.T) if self.b is None else torch.addmm(self.b, H, W.T), before[0])

    @role(Role.INPUT_GRADIENT)
    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return `D W`, N x the source's shape."""
        return _map(torch.mm(_rows(delta), (self.W if W is None else W).flatten(1)), delta)

    def correlation(self, delta: Tensor, before: Tensor) -> Tensor:
        """Return `D^T H` over all rows, shaped as W."""
        return torch.mm(_rows(delta).T, _rows(before)).as_strided(self.W.shape, self.W.stride())

    def summed(self, delta: Tensor) -> Tensor:
        """Return the sum of D over samples and positions."""
        return _rows(delta).sum(0)


def convolution(layer: Layer, index: int, f: Activation, bias: bool, device: str) -> Conv:
    """Return the convolution of a record, a pointwise one where its windows are single positions next to each other."""
    windows = (networks.pair(layer.record["kernel"]), networks.strides(layer.record), layer.padding)
    pointwise = layer.kind == "conv" and windows == ((1, 1), (1, 1), (0, 0, 0, 0))
    return (Pointwise if pointwise else Conv)(layer, index, f, bias, device)


def rows_seen(layer: Layer, stride: int, kernel: int, first: int, last: int) -> tuple[int, slice, slice]:
    """Return how many padded rows some rows of positions see, which rows of the map, and where they lie among those."""
    start = first * stride - layer.padding[0]
    stop = (last - 1) * stride - layer.padding[0] + kernel
    above = max(start, 0)
    below = max(above, min(stop, layer.input_shape[1]))  # all that is seen may lie in the margin
    return stop - start, slice(above, below), slice(above - start, below - start)


def channels_last(like: Tensor, *shape: int) -> Tensor:
    """Allocate a map for the batch of `like`, channels last in memory."""
    return torch.empty((len(like), *shape), dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _rows(H: Tensor) -> Tensor:
    """Return a map as (N x rows x columns) x channels: of a map in memory channels last, a view."""
    return H.permute(0, 2, 3, 1).reshape(-1, H.shape[1])


def _map(A: Tensor, like: Tensor) -> Tensor:
    """Return such rows as a map with the batch and the positions of `like`."""
    return A.view(len(like), *like.shape[2:], A.shape[1]).permute(0, 3, 1, 2)
