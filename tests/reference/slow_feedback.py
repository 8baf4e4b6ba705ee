"""Rules with a backward or feedback path on any network, one sample at a time, from their definitions; slow.

A layer with weights is the list of its taps: output value o reads input value i through weight w. A network is a list of
layers (kind, shapes, sources, as `fobench.networks.layers` describes them); every signal is a flat vector. The last layer
is the output layer. Nothing of the learners is shared.
"""

from __future__ import annotations

from itertools import product

import torch
from slow_rules import ACTIVATIONS, output


def places(layer):
    """Yield (channel, row, column, u, v, row below, column below) of a layer with windows, inside the map only."""
    kernel, stride = layer.record["kernel"], layer.record["stride"]
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    stride = kernel if stride is None else (stride, stride) if isinstance(stride, int) else stride
    top, _, left, _ = layer.padding
    _, height, width = layer.input_shape
    for c, r, s, u, v in product(*map(range, layer.output_shape), range(kernel[0]), range(kernel[1])):
        row, column = r * stride[0] + u - top, s * stride[1] + v - left
        if 0 <= row < height and 0 <= column < width:
            yield c, r, s, u, v, row, column


def taps(layer):
    """Return o, i, w of every tap and the bias that each output value adds."""
    if layer.kind == "dense":
        n, m = layer.units, layer.inputs
        found = [(o, i, o * m + i) for o, i in product(range(n), range(m))]
        return (*torch.tensor(found).T, torch.arange(n))
    kernel = layer.record["kernel"]
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    inputs, height, width = layer.input_shape
    channels, R, S = layer.output_shape
    found = []
    for c, r, s, u, v, row, column in places(layer):
        for k in [c] if layer.kind == "depthwise" else range(inputs):
            o, i = (c * R + r) * S + s, (k * height + row) * width + column
            if layer.kind == "local":
                w = ((r * S + s) * channels + c) * inputs * rows * columns + (k * rows + u) * columns + v
            else:
                group = 0 if layer.kind == "depthwise" else k
                w = ((c * (1 if layer.kind == "depthwise" else inputs) + group) * rows + u) * columns + v
            found.append((o, i, w))
    per_output = torch.arange(channels * R * S)
    return (*torch.tensor(found).T, per_output if layer.kind == "local" else per_output // (R * S))


def window(layer):
    """Return the input values that each output value of a pool looks at."""
    _, height, width = layer.input_shape
    _, R, S = layer.output_shape
    seen = [[] for _ in range(layer.units)]
    for c, r, s, _, _, row, column in places(layer):
        seen[(c * R + r) * S + s].append((c * height + row) * width + column)
    return seen


def through(tap, W, h):
    """Return what the taps carry up: sum of w h_i into o."""
    o, i, w, bias = tap
    return torch.zeros(len(bias)).index_add(0, o, W.flatten()[w] * h[i])


def back(tap, W, d, size):
    """Return what the taps carry down: sum of w d_o into i."""
    o, i, w, _ = tap
    return torch.zeros(size).index_add(0, i, W.flatten()[w] * d[o])


class Net:
    """Layers with their taps, windows, weights and biases; `W` and `b` hold one tensor per layer with weights."""

    def __init__(self, layers, W, b, f):
        self.layers, self.f = layers, f
        self.weighted = [index for index, layer in enumerate(layers) if layer.has_weights]
        self.W = dict(zip(self.weighted, W, strict=True))
        self.b = dict(zip(self.weighted, b, strict=True))
        self.taps = {index: taps(layers[index]) for index in self.weighted}
        self.windows = {index: window(layer) for index, layer in enumerate(layers) if layer.kind == "pool"}

    def numbered(self, tensors, first=1):
        return dict(zip(self.weighted[first - 1 :], tensors, strict=False))

    def pooled(self, index, h, chosen_by):
        """Return a pool's output of h; where it takes maxima, those of `chosen_by`."""
        if self.layers[index].record["mode"] == "mean":
            kernel = self.layers[index].record["kernel"]
            size = kernel**2 if isinstance(kernel, int) else kernel[0] * kernel[1]
            return torch.stack([h[seen].sum() / size for seen in self.windows[index]])
        return torch.stack([h[seen][chosen_by[seen].argmax()] for seen in self.windows[index]])

    def forward(self, x):
        """Return h and a by layer index; h[-1] is the input."""
        h, a = {-1: x.flatten()}, {}
        for index, layer in enumerate(self.layers):
            below = [h[source] for source in layer.sources]
            if index in self.W:
                bias = self.b[index].flatten()[self.taps[index][3]]
                a[index] = through(self.taps[index], self.W[index], below[0]) + bias
            elif layer.kind == "pool":
                a[index] = self.pooled(index, below[0], below[0])
            else:
                a[index] = sum(below)
            h[index] = ACTIVATIONS[self.f][0](a[index]) if layer.activated else a[index]
        return h, a

    def slope(self, index, a):
        return ACTIVATIONS[self.f][1](a[index]) if self.layers[index].activated else torch.ones_like(a[index])

    def backward(self, e, h, a, S):
        """Return d of every layer, the error carried down through `S` in place of the weights."""
        sums = {index: torch.zeros(layer.units) for index, layer in enumerate(self.layers)}
        sums[-1], d = torch.zeros(len(h[-1])), {}
        sums[len(self.layers) - 1] += e
        for index, layer in reversed(list(enumerate(self.layers))):
            d[index] = sums[index] * self.slope(index, a)
            below = layer.sources[0]
            if index in S:
                sums[below] = sums[below] + back(self.taps[index], S[index], d[index], len(sums[below]))
            elif layer.kind == "pool":
                for o, seen in enumerate(self.windows[index]):
                    if layer.record["mode"] == "max":
                        sums[below][seen[h[below][seen].argmax()]] += d[index][o]
                    else:
                        kernel = layer.record["kernel"]
                        size = kernel**2 if isinstance(kernel, int) else kernel[0] * kernel[1]
                        sums[below][seen] += d[index][o] / size
            elif index not in self.W:
                for source in layer.sources:
                    sums[source] = sums[source] + d[index]
        return d

    def upward(self, e, h, a, B):
        """Return d of every layer for IFA: `B` of the first ones, then up through the weights."""
        d, last = {}, len(self.layers) - 1
        for index, layer in enumerate(self.layers[:-1]):
            below = [d[source] for source in layer.sources if source in d]
            if index in B:
                d[index] = B[index] @ e
            elif not below:
                continue
            elif index in self.W:
                d[index] = through(self.taps[index], self.W[index], below[0])
            elif layer.kind == "pool":
                d[index] = self.pooled(index, below[0], h[layer.sources[0]])
            else:
                d[index] = sum(below)
            d[index] = d[index] * self.slope(index, a)
        return {**d, last: e}

    def direct(self, signal, e, a, B):
        """Return d of every layer with weights, `signal` projected by B to each hidden one."""
        d = {index: (B[index] @ signal) * self.slope(index, a) for index in B}
        return {**d, self.weighted[-1]: e}


def descent(net, X, T, signals, out="softmax", over=None, over_top=None):
    """Return G and g of every layer with weights; `signals(e, t, h, a)` gives d by layer index.

    `T` holds one-hot rows, or the values to reconstruct (then the output is linear).
    """
    over, over_top = over or len(X), over_top or len(X)
    G = {index: torch.zeros(W.shape) for index, W in net.W.items()}
    g = {index: torch.zeros(b.shape) for index, b in net.b.items()}
    for x, t in zip(X, T, strict=True):
        h, a = net.forward(x)
        top = len(net.layers) - 1
        e = (a[top] if out == "linear" else output(a[top], out)) - t
        d = signals(e, t, h, a)
        for index in net.weighted:
            o, i, w, bias = net.taps[index]
            scale = over_top if index == top else over
            G[index].view(-1).index_add_(0, w, d[index][o] * h[net.layers[index].sources[0]][i] / scale)
            g[index].view(-1).index_add_(0, bias, d[index] / scale)
    return list(G.values()), list(g.values())
