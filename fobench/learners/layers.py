"""Layers from layer records, with the verbs that every rule is written in.

    call            A_l = H_{l-1} W_l^T + b_l, or the convolution that stands for it
    adjoint         D_l W_l, the signal one layer down (rules with a backward path only)
    accumulate_     W_l takes its step along D_l^T H_{l-1} / N, fused into the weight or its buffer

Rows are samples. Maps are N x channels x rows x columns; a dense layer flattens what it reads. Pools, `flatten` and `add`
have no weights. The same record is the same layer for every rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fobench import networks
from fobench.contracts import Role, Task, role
from fobench.learners.activations import Activation
from fobench.learners.checks import lookup
from fobench.learners.convolution import convolution, rows_seen
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.nodes import Node, WeightedNode
from fobench.learners.optimizers import Optimizer, Pair
from fobench.learners.parts import in_parts, samples_at_once
from fobench.networks import Layer

__all__ = ["Dense", "Local", "Node", "Pool", "WeightedNode", "build", "symbols", "weighted", "weights", "with_output"]


class Dense(WeightedNode):
    """Fully connected: `W` units x inputs."""

    def __init__(self, layer: Layer, index: int, f: Activation, bias: bool, device: str) -> None:
        super().__init__(layer, index, f)
        self.fan_in, self.fan_out = layer.inputs, layer.units
        self.allocate((layer.units, layer.inputs), (layer.units,) if bias else None, device)

    @role(Role.FORWARD)
    def __call__(self, *before: Tensor) -> Tensor:
        """Return `A = H W^T + b`, N x units."""
        H = before[0].flatten(1)
        return torch.mm(H, self.W.T) if self.b is None else torch.addmm(self.b, H, self.W.T)

    @role(Role.INPUT_GRADIENT)
    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return `D W`, N x the source's shape."""
        return torch.mm(delta, self.W if W is None else W).view(len(delta), *self.layer.input_shape)

    def step_(self, delta: Tensor, before: Tensor, optimizer: Optimizer, over: float, minus: Pair | None) -> None:
        """Let W step along `D^T H / over`, without forming it where the optimizer allows."""
        less = None if minus is None else (minus[0], minus[1].flatten(1))
        optimizer.correlate_(self.W, delta, before.flatten(1), over, less)


class Local(WeightedNode):
    """Convolution with weights of its own at every position: `W` rows x columns x channels x (inputs x kernel).

    One row of positions is worked on at a time, in bands of the map with the samples innermost: neither a padded map nor the
    windows of a whole map, kernel-size times its bytes, ever exist.
    """

    def __init__(self, layer: Layer, index: int, f: Activation, bias: bool, device: str) -> None:
        super().__init__(layer, index, f)
        self.kernel, self.stride = networks.pair(layer.record["kernel"]), networks.strides(layer.record)
        channels, rows, columns = layer.output_shape
        self.fan_in = layer.input_shape[0] * math.prod(self.kernel)
        self.fan_out = channels * math.prod(self.kernel)
        self.allocate((rows, columns, channels, self.fan_in), layer.output_shape if bias else None, device)

    def band(self, samples: int, row: int) -> tuple[Tensor, Tensor, slice]:
        """Return a band of zeros as high as the kernel, the part of it that lies on the map, and the map's rows there.

        The band is inputs x kernel rows x padded columns x N, the part inputs x rows x columns x N.
        """
        inputs, _, columns = self.layer.input_shape
        left, right = self.layer.padding[2:]
        height, seen, within = rows_seen(self.layer, self.stride[0], self.kernel[0], row, row + 1)
        band = self.W.new_zeros(inputs, height, left + columns + right, samples)
        return band, band[:, within, left : left + columns], seen

    def windows(self, before: Tensor, row: int) -> Tensor:
        """Return what the positions of one row see: columns x (inputs x kernel) x N."""
        band, part, rows = self.band(len(before), row)
        part.copy_(before[:, :, rows].permute(1, 2, 3, 0))
        seen = band.unfold(2, self.kernel[1], self.stride[1])
        return seen.permute(2, 0, 1, 4, 3).reshape(seen.shape[2], self.fan_in, len(before))

    @role(Role.FORWARD)
    def __call__(self, *before: Tensor) -> Tensor:
        """Return A, N x channels x rows x columns."""
        A = before[0].new_empty(len(before[0]), *self.layer.output_shape)
        for row, W in enumerate(self.W):
            A[:, :, row] = torch.bmm(W, self.windows(before[0], row)).permute(2, 1, 0)
        return A if self.b is None else A.add_(self.b)

    @role(Role.INPUT_GRADIENT)
    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return the signal, each position's D through its own weights, N x the source's shape."""
        signal = torch.zeros_like(before)
        columns = delta.shape[3]
        for row, weights in enumerate(self.W if W is None else W):
            shares = torch.bmm(weights.mT, delta[:, :, row].permute(2, 1, 0))
            shares = shares.view(columns, len(signal[0]), *self.kernel, len(delta)).permute(1, 2, 0, 3, 4)
            band, part, rows = self.band(len(delta), row)
            for v in range(self.kernel[1]):
                band[:, :, v : v + (columns - 1) * self.stride[1] + 1 : self.stride[1]] += shares[:, :, :, v]
            signal[:, :, rows] += part.permute(3, 0, 1, 2)
        return signal

    def correlation(self, delta: Tensor, before: Tensor) -> Tensor:
        """Return each position's correlation of D with its window, summed over samples."""
        G = torch.empty_like(self.W)
        for row, place in enumerate(G):
            torch.bmm(delta[:, :, row].permute(2, 1, 0), self.windows(before, row).mT, out=place)
        return G


TOGETHER = 2**17
"""Values of a map whose maxima are taken at once: torch finds the place of each with it, in eight bytes."""
aten = torch.ops.aten
find = aten.max_pool2d_with_indices.out


class Pool(Node):
    """Maximum or mean over windows; the places of the maxima are found again when something else is to pass there."""

    def __init__(self, layer: Layer, index: int, f: Activation) -> None:
        super().__init__(layer, index, f)
        top, _, left, _ = layer.padding
        self.largest = layer.record["mode"] == "max"
        self.window = (networks.pair(layer.record["kernel"]), networks.strides(layer.record), (top, left))

    @property
    def over_all(self) -> bool:
        """Say whether it takes the mean of a whole map."""
        return not self.largest and self.window[0] == self.layer.input_shape[1:] and not any(self.layer.padding)

    def __call__(self, *before: Tensor) -> Tensor:
        """Return the pooled map."""
        if not self.largest:
            return functional.avg_pool2d(before[0], *self.window)
        if torch.is_grad_enabled():  # autograd keeps all places in any case
            return functional.max_pool2d(before[0], *self.window)
        pooled = self._like(before[0], before[0].dtype)
        samples, places = self._room(before[0])
        for H, part in in_parts(samples, before[0], pooled):
            find(H, *self.window, out=part, indices=places[: len(H)])
        return pooled

    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return the signal: at the maximum of each window, or spread evenly over it."""
        if not self.largest:
            spread: Tensor = aten.avg_pool2d_backward(delta, self._shape(before), *self.window, False, True, None)
            return spread
        signal, back = torch.empty_like(before), aten.max_pool2d_with_indices_backward.grad_input
        samples, places = self._room(before)
        maxima = torch.empty_like(places, dtype=before.dtype)
        for H, D, part in in_parts(samples, before, delta, signal):
            n = len(H)
            find(H, *self.window, out=maxima[:n], indices=places[:n])
            back(D, H, *self.window, (1, 1), False, places[:n], grad_input=part)
        return signal

    def taken(self, D: Tensor, before: Tensor) -> Tensor:
        """Return the values of a map D, of the shape of `before`, at the maxima of `before`."""
        pooled = self._like(before, before.dtype)
        samples, places = self._room(before)
        for H, values, part in in_parts(samples, before, D, pooled):
            n = len(H)
            find(H, *self.window, out=part, indices=places[:n])
            torch.gather(values.flatten(2), 2, places[:n].flatten(2), out=part.flatten(2))
        return pooled

    def _room(self, before: Tensor) -> tuple[int, Tensor]:
        """Return how many samples are pooled at once, and room for the places of their maxima."""
        samples = samples_at_once(before, TOGETHER)
        return samples, self._like(before[:samples], torch.int64)

    def _like(self, before: Tensor, dtype: torch.dtype) -> Tensor:
        """Allocate a pooled map that lies in memory as `before` does."""
        last = before.is_contiguous(memory_format=torch.channels_last)
        order = torch.channels_last if last else torch.contiguous_format
        shape = (len(before), *self.layer.output_shape)
        return torch.empty(shape, dtype=dtype, device=before.device, memory_format=order)

    def _shape(self, before: Tensor) -> Tensor:
        """Return a map of the source's shape, which is all that a mean's adjoint reads; `before` where it has it."""
        shape = (len(before), *self.layer.input_shape)
        return before if before.shape == shape else before.new_empty(shape)


class Flatten(Node):
    """A map as a vector; no work."""

    def __call__(self, *before: Tensor) -> Tensor:
        """Return a view, N x units."""
        return before[0].flatten(1)

    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return a view, N x the source's shape."""
        return delta.view(len(delta), *self.layer.input_shape)


class Add(Node):
    """The sum of two maps: the end of a residual block."""

    def __call__(self, *before: Tensor) -> Tensor:
        """Return the sum."""
        return torch.add(*before)

    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return D itself; both addends receive it."""
        return delta


WEIGHTED: dict[str, Callable[..., WeightedNode]] = {
    "dense": Dense, "conv": convolution, "depthwise": convolution, "local": Local,
}  # fmt: skip
WEIGHTLESS: dict[str, type[Node]] = {"pool": Pool, "flatten": Flatten, "add": Add}


def build(
    layers: Iterable[Layer], f: Activation, weight_init: str, bias: bool, generator: torch.Generator, device: str
) -> list[Node]:
    """Allocate and initialise the layers of a network, in order."""
    initialise_ = lookup("weight_init", weight_init, WEIGHT_INITS)
    nodes: list[Node] = []
    for index, layer in enumerate(layers):
        if layer.has_weights:
            node = WEIGHTED[layer.kind](layer, index, f, bias, device)
            initialise_(node, generator)
            nodes.append(node)
        else:
            nodes.append(WEIGHTLESS[layer.kind](layer, index, f))
    return nodes


def weighted(nodes: Iterable[Node]) -> list[WeightedNode]:
    """Return the layers with weights: layers 1, 2, ... of the equations."""
    return [node for node in nodes if isinstance(node, WeightedNode)]


def with_output(network: Any, task: Task) -> tuple[Layer, ...]:
    """Return the layers of `network` and a dense output layer on top, without activation."""
    top = {**networks.dense(task.outputs), "activate": False}
    return networks.layers([*networks.expand(network), top], task)


def weights(nodes: Iterable[Node]) -> list[Tensor]:
    """Return the trained tensors of all layers."""
    return [tensor for node in nodes for tensor in node.weights]


def symbols(nodes: Iterable[Node]) -> dict[str, Tensor]:
    """Name the live tensors of layers 1, 2, ...: `W1`, `b1`, ..."""
    named = {}
    for number, node in enumerate(weighted(nodes), 1):
        named[f"W{number}"] = node.W
        if node.b is not None:
            named[f"b{number}"] = node.b
    return named
