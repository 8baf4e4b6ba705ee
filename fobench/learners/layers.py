"""Layers from layer records, with the verbs that every rule is written in.

    call            A_l = H_{l-1} W_l^T + b_l, or the convolution that stands for it
    adjoint         D_l W_l, the signal one layer down (rules with a backward path only)
    accumulate_     W_l takes its step along D_l^T H_{l-1} / N, fused into the weight or its buffer

Rows are samples. Maps are N x channels x rows x columns; a dense layer flattens what it reads. Pools, `flatten` and `add`
have no weights. The same record is the same layer for every rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fobench import networks
from fobench.contracts import Role, Task, role
from fobench.learners.activations import LINEAR, Activation
from fobench.learners.checks import lookup
from fobench.learners.initialisation import WEIGHT_INITS
from fobench.learners.optimizers import Optimizer, Pair
from fobench.networks import Layer


class Node:
    """One layer of a network: its place, what it reads and, where it is activated, f."""

    def __init__(self, layer: Layer, index: int, f: Activation) -> None:
        """Take the shapes; layers with weights allocate, without initialising."""
        self.layer, self.index, self.sources = layer, index, layer.sources
        self.f = f if layer.activated else LINEAR

    @property
    def weights(self) -> list[Tensor]:
        """The trained tensors."""
        return []

    def __call__(self, *before: Tensor) -> Tensor:
        """Return A, N x output_shape, from what the sources hold."""
        raise NotImplementedError

    def activity(self, *before: Tensor) -> Tensor:
        """Return H = f(A)."""
        return self.f.apply_(self(*before))

    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return the signal that reaches a source, N x its shape; `W` stands in for the weights (feedback alignment)."""
        raise NotImplementedError

    def accumulate_(
        self, delta: Tensor, before: Tensor, optimizer: Optimizer, over: float | None = None, minus: Pair | None = None
    ) -> None:
        """Step along the correlation of `delta` and `before` divided by `over`, by default the batch size N.

        With `minus`, another such pair, along the difference of the two correlations.
        """


class WeightedNode(Node):
    """A layer with weights `W` and, with bias, `b`; `fan_in` and `fan_out` are those of one output and input value."""

    W: Tensor
    b: Tensor | None
    fan_in: int
    fan_out: int

    def allocate(self, W: Sequence[int], b: Sequence[int] | None, device: str) -> None:
        """Allocate weights and, unless None, biases."""
        self.W = torch.empty(*W, device=device)
        self.b = None if b is None else torch.empty(*b, device=device)

    @property
    def weights(self) -> list[Tensor]:
        """The trained tensors."""
        return [self.W] if self.b is None else [self.W, self.b]

    def correlation(self, delta: Tensor, before: Tensor) -> Tensor:
        """Return the sum over samples and positions of `delta` times what its weights read, shaped as W."""
        raise NotImplementedError

    def summed(self, delta: Tensor) -> Tensor:
        """Return the sum of `delta` over samples, shaped as b."""
        return delta.sum(0)

    def step_(self, delta: Tensor, before: Tensor, optimizer: Optimizer, over: float, minus: Pair | None) -> None:
        """Let the weights step along their correlation."""
        G = self.correlation(delta, before)
        if minus is not None:
            G.sub_(self.correlation(*minus))
        optimizer.step_(self.W, G.div_(over))

    @role(Role.WEIGHT_UPDATE)
    def accumulate_(
        self, delta: Tensor, before: Tensor, optimizer: Optimizer, over: float | None = None, minus: Pair | None = None
    ) -> None:
        """Step along the correlation of `delta` and `before`, and the bias along the sum of `delta`, over `over`."""
        over = len(delta) if over is None else over
        self.step_(delta, before, optimizer, over, minus)
        if self.b is not None:
            g = self.summed(delta)
            optimizer.step_(self.b, (g if minus is None else g.sub_(self.summed(minus[0]))).div_(over))


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
        self.margins = () if even else (left, right, top, bottom)  # else a padded copy is made
        self.fan_in = layer.input_shape[0] // self.groups * math.prod(kernel)
        self.fan_out = channels // self.groups * math.prod(kernel)
        self.allocate((channels, layer.input_shape[0] // self.groups, *kernel), (channels,) if bias else None, device)

    def padded(self, before: Tensor) -> Tensor:
        """Return the input with its margins of zeros, where the kernel does not pad by itself."""
        return functional.pad(before, self.margins) if self.margins else before

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
        signal: Tensor = self._gradients(delta, self.padded(before), self.W if W is None else W, [True, False, False])[
            0
        ]
        if not self.margins:
            return signal
        left, _, top, _ = self.margins
        _, rows, columns = self.layer.input_shape
        return signal[:, :, top : top + rows, left : left + columns]

    def correlation(self, delta: Tensor, before: Tensor) -> Tensor:
        """Return the correlation of D with the map, summed over samples and positions."""
        G: Tensor = self._gradients(delta, self.padded(before), self.W, [False, True, False])[1]
        return G

    def summed(self, delta: Tensor) -> Tensor:
        """Return the sum of D over samples and positions."""
        return delta.sum((0, 2, 3))


class Local(WeightedNode):
    """Convolution with weights of its own at every position: `W` rows x columns x channels x (inputs x kernel).

    One row of positions is worked on at a time, so that the windows of a map, kernel-size times its bytes, never exist.
    """

    def __init__(self, layer: Layer, index: int, f: Activation, bias: bool, device: str) -> None:
        super().__init__(layer, index, f)
        self.kernel, self.stride = networks.pair(layer.record["kernel"]), networks.strides(layer.record)
        channels, rows, columns = layer.output_shape
        self.fan_in = layer.input_shape[0] * math.prod(self.kernel)
        self.fan_out = channels * math.prod(self.kernel)
        self.allocate((rows, columns, channels, self.fan_in), layer.output_shape if bias else None, device)

    def padded(self, before: Tensor) -> Tensor:
        """Return the input with its margins of zeros."""
        top, bottom, left, right = self.layer.padding
        return functional.pad(before, (left, right, top, bottom)) if any(self.layer.padding) else before

    def windows(self, padded: Tensor, row: int) -> Tensor:
        """Return what the positions of one row see: columns x (inputs x kernel) x N."""
        start = row * self.stride[0]
        band = padded[:, :, start : start + self.kernel[0]].unfold(3, self.kernel[1], self.stride[1])
        return band.permute(3, 1, 2, 4, 0).reshape(band.shape[3], self.fan_in, len(padded))

    @role(Role.FORWARD)
    def __call__(self, *before: Tensor) -> Tensor:
        """Return A, N x channels x rows x columns."""
        padded = self.padded(before[0])
        A = padded.new_empty(len(padded), *self.layer.output_shape)
        for row, W in enumerate(self.W):
            A[:, :, row] = torch.bmm(W, self.windows(padded, row)).permute(2, 1, 0)
        return A if self.b is None else A.add_(self.b)

    @role(Role.INPUT_GRADIENT)
    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return the signal, each position's D through its own weights, N x the source's shape."""
        padded = torch.zeros_like(self.padded(before))
        columns = delta.shape[3]
        for row, weights in enumerate(self.W if W is None else W):
            shares = torch.bmm(weights.mT, delta[:, :, row].permute(2, 1, 0))
            shares = shares.view(columns, padded.shape[1], *self.kernel, len(delta)).permute(4, 1, 2, 3, 0)
            for u in range(self.kernel[0]):
                for v in range(self.kernel[1]):
                    seen = slice(v, v + (columns - 1) * self.stride[1] + 1, self.stride[1])
                    padded[:, :, row * self.stride[0] + u, seen] += shares[:, :, u, v]
        top, _, left, _ = self.layer.padding
        _, rows, width = self.layer.input_shape
        return padded[:, :, top : top + rows, left : left + width]

    def correlation(self, delta: Tensor, before: Tensor) -> Tensor:
        """Return each position's correlation of D with its window, summed over samples."""
        padded, G = self.padded(before), torch.empty_like(self.W)
        for row, place in enumerate(G):
            torch.bmm(delta[:, :, row].permute(2, 1, 0), self.windows(padded, row).mT, out=place)
        return G


class Pool(Node):
    """Maximum or mean over windows; the places of the maxima are found again when a signal comes back."""

    def __init__(self, layer: Layer, index: int, f: Activation) -> None:
        super().__init__(layer, index, f)
        top, _, left, _ = layer.padding
        self.largest = layer.record["mode"] == "max"
        self.window = (networks.pair(layer.record["kernel"]), networks.strides(layer.record), (top, left))

    def __call__(self, *before: Tensor) -> Tensor:
        """Return the pooled map."""
        pool = functional.max_pool2d if self.largest else functional.avg_pool2d
        return pool(before[0], *self.window)

    def adjoint(self, delta: Tensor, before: Tensor, W: Tensor | None = None) -> Tensor:
        """Return the signal: at the maximum of each window, or spread evenly over it."""
        if self.largest:
            _, places = torch.ops.aten.max_pool2d_with_indices(before, *self.window)
            back = torch.ops.aten.max_pool2d_with_indices_backward
            signal: Tensor = back(delta, before, *self.window, (1, 1), False, places)
        else:
            signal = torch.ops.aten.avg_pool2d_backward(delta, before, *self.window, False, True, None)
        return signal


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


WEIGHTED: dict[str, type[Dense | Conv | Local]] = {"dense": Dense, "conv": Conv, "depthwise": Conv, "local": Local}
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
