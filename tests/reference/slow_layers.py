"""Layers of every kind on one sample, position by position, and backpropagation on them; sharing nothing with fobench.

A network is a list of records with all their fields (`source` and `activate` where they differ), the rule's output layer
included; `W` and `b` belong to its layers with weights, in order. Maps are channels x rows x columns; the padding `same` is
TensorFlow's. Nothing is updated: `bp` returns averaged descent directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from slow_rules import ACTIVATIONS, one_hot, output


@dataclass
class Net:
    """Records, their weights (of biases, None for a net without) and the activation of its hidden layers."""

    records: list[dict]
    W: list[torch.Tensor]
    b: list[torch.Tensor] | None = None
    f: str = "relu"

    def sources(self, index):
        """The indices of what a layer reads, -1 for the input."""
        record = self.records[index]
        if record["kind"] == "add":
            return [index - 1, record["source"]]
        return [record.get("source", index - 1)]

    def number(self, index):
        """The place of a layer's weights in `W`, or None."""
        if not has_weights(self.records[index]):
            return None
        return sum(has_weights(record) for record in self.records[:index])

    def parameters(self, index):
        number = self.number(index)
        return self.W[number], None if self.b is None else self.b[number]

    def activation(self, index):
        """(f, f') of a layer: linear where it is not activated."""
        record = self.records[index]
        return ACTIVATIONS[self.f if record.get("activate", has_weights(record)) else "linear"]


def has_weights(record):
    return record["kind"] in ("dense", "conv", "depthwise", "local")


def both(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def stride_of(record):
    return both(record["kernel"] if record["stride"] is None else record["stride"])


def sides(record, shape):
    """(before, after) of zeros for rows and for columns."""
    padding = record["padding"]
    if padding == "same":
        found = []
        for size, kernel, stride in zip(shape[1:], both(record["kernel"]), stride_of(record), strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            found.append((total // 2, total - total // 2))
        return found
    if isinstance(padding, int):
        return [(padding, padding)] * 2
    if len(padding) == 2:
        return [(padding[0],) * 2, (padding[1],) * 2]
    return [tuple(padding[:2]), tuple(padding[2:])]


def frame(record, h, fill=0.0):
    """Return the map in its frame of padding, and the slice where the map lies."""
    (top, bottom), (left, right) = sides(record, h.shape)
    framed = torch.full((h.shape[0], h.shape[1] + top + bottom, h.shape[2] + left + right), fill)
    inside = (slice(None), slice(top, top + h.shape[1]), slice(left, left + h.shape[2]))
    framed[inside] = h
    return framed, inside


def windows(record, framed):
    """Yield (row, column) of each position and the slice of the framed map that it sees."""
    kernel, stride = both(record["kernel"]), stride_of(record)
    for r in range((framed.shape[1] - kernel[0]) // stride[0] + 1):
        for c in range((framed.shape[2] - kernel[1]) // stride[1] + 1):
            y, x = r * stride[0], c * stride[1]
            yield r, c, (slice(None), slice(y, y + kernel[0]), slice(x, x + kernel[1]))


def filter_at(record, w, o, r, c, window):
    """The weights of output channel `o` at one position, in the shape of the window that it sees."""
    if record["kind"] == "local":
        return w[r, c, o].view(window.shape)
    if record["kind"] == "depthwise":
        full = torch.zeros(window.shape)
        full[o] = w[o, 0]
        return full
    return w[o]


def channels_of(record, h):
    return record.get("channels", h.shape[0])


def affine(record, h, w, v=None):
    """A = H W^T + b, or what stands for it."""
    if record["kind"] == "dense":
        return w @ h.flatten() + (0 if v is None else v)
    framed, _ = frame(record, h)
    places = list(windows(record, framed))
    a = torch.zeros(channels_of(record, h), places[-1][0] + 1, places[-1][1] + 1)
    for r, c, seen in places:
        for o in range(len(a)):
            a[o, r, c] = (filter_at(record, w, o, r, c, framed[seen]) * framed[seen]).sum()
            if v is not None:
                a[o, r, c] += v[o, r, c] if record["kind"] == "local" else v[o]
    return a


def carried(record, d, h, w):
    """The signal at the source: D W."""
    if record["kind"] == "dense":
        return (w.T @ d).view(h.shape)
    framed, inside = frame(record, torch.zeros(h.shape))
    for r, c, seen in windows(record, framed):
        for o in range(len(d)):
            framed[seen] += d[o, r, c] * filter_at(record, w, o, r, c, framed[seen])
    return framed[inside]


def correlation(record, d, h, w):
    """D^T H and the sums of D that belong to the bias: one sample's share of G and g."""
    if record["kind"] == "dense":
        return torch.outer(d, h.flatten()), d
    framed, _ = frame(record, h)
    G = torch.zeros(w.shape)
    for r, c, seen in windows(record, framed):
        for o in range(len(d)):
            if record["kind"] == "local":
                G[r, c, o] += d[o, r, c] * framed[seen].flatten()
            elif record["kind"] == "depthwise":
                G[o, 0] += d[o, r, c] * framed[seen][o]
            else:
                G[o] += d[o, r, c] * framed[seen]
    return G, d if record["kind"] == "local" else d.sum((1, 2))


def pooled(record, h):
    framed, _ = frame(record, h, -math.inf if record["mode"] == "max" else 0.0)
    places = list(windows(record, framed))
    result = torch.zeros(len(h), places[-1][0] + 1, places[-1][1] + 1)
    for r, c, seen in places:
        part = framed[seen].flatten(1)
        result[:, r, c] = part.max(1).values if record["mode"] == "max" else part.mean(1)
    return result


def unpooled(record, d, h):
    """The signal at the source of a pool: to the first maximum of each window, or spread evenly over it."""
    framed, inside = frame(record, h, -math.inf if record["mode"] == "max" else 0.0)
    back = torch.zeros(framed.shape)
    for r, c, seen in windows(record, framed):
        for channel, part in enumerate(framed[seen]):
            if record["mode"] == "max":
                row, column = divmod(int(part.flatten().argmax()), part.shape[1])
                back[channel, seen[1].start + row, seen[2].start + column] += d[channel, r, c]
            else:
                back[channel][seen[1:]] += d[channel, r, c] / part.numel()
    return back[inside]


def applied(net, index, *before):
    """Return A of one layer; of a layer without weights, what it gives."""
    record = net.records[index]
    match record["kind"]:
        case "pool":
            return pooled(record, before[0])
        case "flatten":
            return before[0].flatten()
        case "add":
            return before[0] + before[1]
    return affine(record, before[0], *net.parameters(index))


def forward(net, x):
    """Return {index: h} with the input at -1, and {index: a}, for one sample; the output layer's h is its a."""
    h, a = {-1: x}, {}
    for index in range(len(net.records)):
        a[index] = applied(net, index, *(h[source] for source in net.sources(index)))
        h[index] = net.activation(index)[0](a[index])
    return h, a


def back(net, index, d, h, w=None):
    """Return the signal that one layer sends to each of its sources; `w` stands in for its weights."""
    record, before = net.records[index], h[net.sources(index)[0]]
    match record["kind"]:
        case "pool":
            return unpooled(record, d, before)
        case "flatten":
            return d.view(before.shape)
        case "add":
            return d
    return carried(record, d, before, net.parameters(index)[0] if w is None else w)


def signals(net, e, h, a, feedback=None):
    """Return {index: d} at every layer's A, from the error at the output; `feedback` {number: w} replaces weights."""
    arrived = {len(net.records) - 1: e}
    d = {}
    for index in reversed(range(len(net.records))):
        if index not in arrived:
            continue
        d[index] = arrived[index] * net.activation(index)[1](a[index])
        signal = back(net, index, d[index], h, (feedback or {}).get(net.number(index)))
        for source in net.sources(index):
            if source >= 0:
                arrived[source] = arrived[source] + signal if source in arrived else signal
    return d


def error(a, x, label, out="softmax"):
    """E = P - T of one sample; `label` None is a reconstruction of x with a linear output."""
    return a - x.flatten() if label is None else output(a, out) - one_hot(label, len(a))


def zeros(net):
    return [torch.zeros(w.shape) for w in net.W], [torch.zeros(v.shape) for v in net.b or []]


def accumulate(net, G, g, index, d, before, over):
    """Add one sample's correlation of one layer to G and g."""
    number = net.number(index)
    share, bias = correlation(net.records[index], d, before, net.W[number])
    G[number] += share / over
    if g:
        g[number] += bias / over


def bp(X, y, net, out="softmax", feedback=None):
    """Return G and g; `y` None is a reconstruction, `feedback` {number: w} replaces weights on the way down."""
    G, g = zeros(net)
    for sample, x in enumerate(X):
        h, a = forward(net, x)
        e = error(a[len(net.records) - 1], x, None if y is None else int(y[sample]), out)
        for index, d in signals(net, e, h, a, feedback).items():
            if net.number(index) is not None:
                accumulate(net, G, g, index, d, h[net.sources(index)[0]], len(X))
    return G, g
