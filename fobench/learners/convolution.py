"""Convolutions: of all channels, of each by itself, and of one position at a time.

Weights lie in memory channels last, and so do the maps that the kernels give: on a processor two to four times as fast as
channels first. What reads a map sees the same shape either way.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Role, role
from fobench.learners.activations import Activation
from fobench.learners.nodes import WeightedNode
from fobench.networks import Layer


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
        self.fan_in = layer.input_shape[0] // self.groups * math.prod(kernel)
        self.fan_out = channels // self.groups * math.prod(kernel)
        self.allocate((channels, layer.input_shape[0] // self.groups, *kernel), (channels,) if bias else None, device)
        self.W = self.W.to(memory_format=torch.channels_last)

    def padded(self, before: Tensor) -> Tensor:
        """Return the input with its margins of zeros, where the kernel does not pad by itself."""
        if not self.margins:
            return before
        framed = self.frame(before).zero_()
        self.inside(framed).copy_(before)
        return framed

    def frame(self, like: Tensor) -> Tensor:
        """Allocate a map with margins, for the batch of `like`."""
        top, bottom, left, right = self.layer.padding
        channels, rows, columns = self.layer.input_shape
        shape = (len(like), channels, top + rows + bottom, left + columns + right)
        return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)

    def inside(self, framed: Tensor) -> Tensor:
        """Return the part of such a map within its margins."""
        top, _, left, _ = self.layer.padding
        _, rows, columns = self.layer.input_shape
        return framed[:, :, top : top + rows, left : left + columns]

    @role(Role.FORWARD)
    def __call__(self, *before: Tensor) -> Tensor:
        """Return the convolution of the map with W, N x channels x rows x columns."""
        return torch.conv2d(self.padded(before[0]), self.W, self.b, self.stride, self.padding, 1, self.groups)

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
        # the same kernel as the gradient's, without a padded input that only its shape is read of
        spare = [size - ((n - 1) * step + k) for size, n, step, k in self._extents(delta)]
        framed = torch.ops.aten.convolution(delta, W, None, self.stride, (0, 0), (1, 1), True, spare, self.groups)
        return self.inside(framed)

    def _extents(self, delta: Tensor) -> list[tuple[int, int, int, int]]:
        """Return (framed size, positions, stride, kernel) of rows and of columns."""
        top, bottom, left, right = self.layer.padding
        _, rows, columns = self.layer.input_shape
        sizes = (top + rows + bottom, left + columns + right)
        return list(zip(sizes, delta.shape[2:], self.stride, self.W.shape[2:], strict=True))

    def correlation(self, delta: Tensor, before: Tensor) -> Tensor:
        """Return the correlation of D with the map, summed over samples and positions."""
        G: Tensor = self._gradients(delta, self.padded(before), self.W, [False, True, False])[1]
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
        return torch.mm(_rows(delta).T, _rows(before)).view(self.W.shape)

    def summed(self, delta: Tensor) -> Tensor:
        """Return the sum of D over samples and positions."""
        return _rows(delta).sum(0)


def convolution(layer: Layer, index: int, f: Activation, bias: bool, device: str) -> Conv:
    """Return the convolution of a record, a pointwise one where its windows are single positions next to each other."""
    windows = (networks.pair(layer.record["kernel"]), networks.strides(layer.record), layer.padding)
    pointwise = layer.kind == "conv" and windows == ((1, 1), (1, 1), (0, 0, 0, 0))
    return (Pointwise if pointwise else Conv)(layer, index, f, bias, device)


def _rows(H: Tensor) -> Tensor:
    """Return a map as (N x rows x columns) x channels: of a map in memory channels last, a view."""
    return H.permute(0, 2, 3, 1).reshape(-1, H.shape[1])


def _map(A: Tensor, like: Tensor) -> Tensor:
    """Return such rows as a map with the batch and the positions of `like`."""
    return A.view(len(like), *like.shape[2:], A.shape[1]).permute(0, 3, 1, 2)
