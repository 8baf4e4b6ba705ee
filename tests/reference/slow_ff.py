"""Forward-Forward on any network, one sample and one value at a time; of fobench it reads only the shapes of layers.

A net is a list of layers with `kind`, `sources`, `record`, `padding` and shapes; W and b are lists over the layers with
weights, in order.
"""

from __future__ import annotations

import math
from itertools import product

import torch

WEIGHTED = ("dense", "conv", "depthwise", "local")


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def padded(x, layer, fill=0.0):
    top, bottom, left, right = layer.padding
    z = torch.full((x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right), fill)
    z[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    return z


def places(layer):
    """Yield each output position with the window that it sees."""
    kernel, stride = pair(layer.record["kernel"]), layer.record["stride"]
    stride = kernel if stride is None else pair(stride)
    for r, c in product(*map(range, layer.output_shape[1:])):
        yield r, c, slice(r * stride[0], r * stride[0] + kernel[0]), slice(c * stride[1], c * stride[1] + kernel[1])


def weighted(layer, x, w, v):
    if layer.kind == "dense":
        return w @ x.flatten() + v
    z, x = torch.zeros(layer.output_shape), padded(x, layer)
    for r, c, rows, columns in places(layer):
        for o in range(len(z)):
            if layer.kind == "conv":
                z[o, r, c] = (w[o] * x[:, rows, columns]).sum() + v[o]
            elif layer.kind == "depthwise":
                z[o, r, c] = (w[o, 0] * x[o, rows, columns]).sum() + v[o]
            else:
                z[o, r, c] = w[r, c, o] @ x[:, rows, columns].flatten() + v[o, r, c]
    return z


def gradient(layer, d, x, w, v):
    """Return what one sample adds to G and g."""
    G, g = torch.zeros_like(w), torch.zeros_like(v)
    if layer.kind == "dense":
        return torch.outer(d, x.flatten()), d
    x = padded(x, layer)
    for r, c, rows, columns in places(layer):
        for o in range(len(d)):
            if layer.kind == "conv":
                G[o] += d[o, r, c] * x[:, rows, columns]
            elif layer.kind == "depthwise":
                G[o, 0] += d[o, r, c] * x[o, rows, columns]
            else:
                G[r, c, o] += d[o, r, c] * x[:, rows, columns].flatten()
            g[(o, r, c) if layer.kind == "local" else o] += d[o, r, c]
    return G, g


def weightless(layer, inputs):
    if layer.kind == "flatten":
        z = inputs[0].flatten()
    elif layer.kind == "add":
        z = inputs[0] + inputs[1]
    else:
        largest = layer.record["mode"] == "max"
        x, z = padded(inputs[0], layer, -math.inf if largest else 0.0), torch.zeros(layer.output_shape)
        for r, c, rows, columns in places(layer):
            window = x[:, rows, columns].flatten(1)
            z[:, r, c] = window.amax(1) if largest else window.mean(1)
    return z.clamp(min=0) if layer.record.get("activate") else z


def rms(z):
    return z / (math.sqrt((z**2).mean()) + 1e-8)


def length(z):
    return z / (math.sqrt((z**2).sum()) + 1e-4)


def layers_of(x, net, W, b, norm=rms):
    """Return (normalised input, activity) of each layer with weights, for one row."""
    held, seen = {-1: x}, []
    for index, layer in enumerate(net):
        inputs = [held[source] for source in layer.sources]
        if layer.kind in WEIGHTED:
            before = norm(inputs[0])
            z = weighted(layer, before, W[len(seen)], b[len(seen)])
            held[index] = z.clamp(min=0) if layer.record.get("activate", True) else z
            seen.append((before, held[index]))
        else:
            held[index] = weightless(layer, inputs)
    return seen


def labelled(x, label, classes, amplitude=1.0):
    z = x.clone()
    z.view(-1)[:classes] = 0
    z.view(-1)[label] = amplitude
    return z


def loewe(positive, negative, net, W, b, r, peer=0.03, mean=False):
    """Return G, g and the new running means; with `mean`, s = mean_j z_j^2 - 1."""
    N, kinds = len(positive), [layer for layer in net if layer.kind in WEIGHTED]
    seen = [layers_of(row, net, W, b) for row in [*positive, *negative]]
    G, g = [torch.zeros_like(w) for w in W], [torch.zeros_like(v) for v in b]
    for level, layer in enumerate(kinds):
        n = seen[0][level][1].numel()
        r[level] = 0.9 * r[level] + 0.1 * sum(z[level][1] for z in seen[:N]) / N
        pull = peer * 0.1 * (2 / n) * (r[level] - r[level].mean()) / N
        for row, z in enumerate(seen):
            before, after = z[level]
            s = float((after**2).mean()) - 1 if mean else float((after**2).sum()) - n
            slope = 2 * after / n if mean else 2 * after
            d = (1 / (1 + math.exp(-s)) - (row < N)) * slope / (2 * N) + (pull if row < N else 0)
            dG, dg = gradient(layer, d, before, W[level], b[level])
            G[level] += dG
            g[level] += dg
    return G, g, r


def mpezeshki(positive, negative, net, W, b, theta=2.0):
    """Return G and g."""
    N, kinds = len(positive), [layer for layer in net if layer.kind in WEIGHTED]
    seen = [layers_of(row, net, W, b, length) for row in [*positive, *negative]]
    G, g = [torch.zeros_like(w) for w in W], [torch.zeros_like(v) for v in b]
    for level, layer in enumerate(kinds):
        for row, z in enumerate(seen):
            before, after = z[level]
            sign = -1 if row < N else 1
            # loss softplus(sign (g - theta)), whose slope in g is sign sigmoid(sign (g - theta))
            slope = sign / (1 + math.exp(-sign * (float((after**2).mean()) - theta)))
            dG, dg = gradient(layer, slope * 2 * after / after.numel() / (2 * N), before, W[level], b[level])
            G[level] += dG
            g[level] += dg
    return G, g


def light(x, net, W, b, classes, norm=rms, mean=False, first=0):
    """Return the goodness so far of every label, depth by depth: that of layer 1, then of the layers from `first` on."""
    passes = [layers_of(labelled(x, c, classes), net, W, b, norm) for c in range(classes)]
    found = []
    for depth in range(len(W)):
        scored = range(min(first, depth), depth + 1)
        goodness = lambda z: float((z**2).mean() if mean else (z**2).sum())  # noqa: E731
        found.append(torch.tensor([sum(goodness(seen[level][1]) for level in scored) for seen in passes]))
    return found


def blur(bits):
    """[1/4, 1/2, 1/4] along both axes (a vector: one), what lies beyond the edge cut off."""
    for axis in range(bits.dim()):
        size = bits.shape[axis] - 2
        left, middle, right = (bits.narrow(axis, start, size) for start in range(3))
        bits = left / 4 + middle / 2 + right / 4
    return bits
