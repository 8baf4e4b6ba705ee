"""Rules with local read-outs on general networks, sample by sample and position by position; shares only shapes with fobench.

Every function returns averaged descent directions of a sweep in which each layer is fed by the ones below from before the
update. `layers` are `fobench.networks.layers(...)`; maps are channels x rows x columns.
"""

from __future__ import annotations

import math

import torch

RELU = (lambda a: a.clamp(min=0), lambda a: (a > 0).to(a.dtype))
TANH = (torch.tanh, lambda a: 1 - torch.tanh(a) ** 2)
LINEAR = (lambda a: a, torch.ones_like)
FUNCTIONS = {"relu": RELU, "tanh": TANH, "linear": LINEAR}


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def window(layer, h, row, column, fill=0.0):
    """What one position sees, channels x kernel; `fill` stands around the map."""
    top, bottom, left, right = layer.padding
    padded = torch.full((h.shape[0], h.shape[1] + top + bottom, h.shape[2] + left + right), fill)
    padded[:, top : top + h.shape[1], left : left + h.shape[2]] = h
    height, width = pair(layer.record["kernel"])
    down, along = pair(layer.record["kernel"] if layer.record["stride"] is None else layer.record["stride"])
    return padded[:, row * down : row * down + height, column * along : column * along + width]


def positions(layer):
    return [(row, column) for row in range(layer.output_shape[1]) for column in range(layer.output_shape[2])]


def forward(layer, W, b, h):
    if layer.kind == "dense":
        return W @ h.flatten() + b
    a = torch.zeros(layer.output_shape)
    for row, column in positions(layer):
        seen = window(layer, h, row, column)
        if layer.kind == "conv":
            a[:, row, column] = W.flatten(1) @ seen.flatten() + b
        elif layer.kind == "depthwise":
            a[:, row, column] = (W[:, 0] * seen).sum((1, 2)) + b
        else:
            a[:, row, column] = W[row, column] @ seen.flatten() + b[:, row, column]
    return a


def correlation(layer, W, d, h):
    """The directions of weights and biases for one sample's signal d."""
    if layer.kind == "dense":
        return torch.outer(d, h.flatten()), d
    G = torch.zeros_like(W)
    for row, column in positions(layer):
        seen, at = window(layer, h, row, column), d[:, row, column]
        if layer.kind == "conv":
            G += torch.outer(at, seen.flatten()).view_as(W)
        elif layer.kind == "depthwise":
            G[:, 0] += at[:, None, None] * seen
        else:
            G[row, column] += torch.outer(at, seen.flatten())
    return G, (d if layer.kind == "local" else d.sum((1, 2)))


def pool(layer, h):
    if layer.kind == "flatten":
        return h.flatten()
    out = torch.zeros(layer.output_shape)
    largest = layer.record["mode"] == "max"
    for row, column in positions(layer):
        seen = window(layer, h, row, column, -math.inf if largest else 0.0)
        out[:, row, column] = seen.amax((1, 2)) if largest else seen.mean((1, 2))
    return out


def pool_back(layer, d, h):
    """The signal in front of a pool: at the first largest value of each window, or spread evenly over it."""
    if layer.kind == "flatten":
        return d.view(layer.input_shape)
    numbers = torch.arange(1.0, h.numel() + 1).view_as(h)  # each value's place from 1; 0 is the margin
    back = torch.zeros(h.numel() + 1)
    for row, column in positions(layer):
        places = window(layer, numbers, row, column).flatten(1).long()
        seen = window(layer, h, row, column, -math.inf).flatten(1)
        for channel in range(len(h)):
            if layer.record["mode"] == "max":
                back[places[channel][seen[channel].argmax()]] += d[channel, row, column]
            else:
                for place in places[channel]:
                    back[place] += d[channel, row, column] / places.shape[1]
    return back[1:].view_as(h)


def tail(layers, index):
    """The pools and flattens right behind a layer that nothing else reads."""
    found = []
    while True:
        readers = [number for number, layer in enumerate(layers) if index in layer.sources]
        if len(readers) != 1 or layers[readers[0]].kind not in ("pool", "flatten"):
            return found
        index = readers[0]
        found.append(index)


def one_hot(label, classes):
    return torch.eye(classes)[label]


def maps_of(layers, X, W, b, f, act, finish=None):
    """Pre-activations and activities of all nodes, one list over samples each, by index; -1 is the input."""
    A, H = {}, {-1: list(X)}
    ends = {(tail(layers, index) or [index])[-1] for index, layer in enumerate(layers) if layer.has_weights}
    number = 0
    for index, layer in enumerate(layers):
        before = H[layer.sources[0]]
        if layer.has_weights:
            A[index] = [forward(layer, W[number], b[number], h) for h in before]
            H[index] = act(A[index], layer)
            number += 1
        elif layer.kind == "add":
            sums = [one + other for one, other in zip(before, H[layer.sources[1]], strict=True)]
            H[index] = [f[0](s) for s in sums] if layer.activated else sums
        else:
            H[index] = [pool(layer, h) for h in before]
        if finish and index in ends:
            H[index] = [finish(h) for h in H[index]]
    return A, H


def local(layers, X, y, weights, read_outs, act, back, f=RELU):
    """Return G, g, logits, and errors and read maps of each layer; `read_outs` are (B, c), `back(d, a, h, layer)` is f'."""
    W, b = weights
    A, H = maps_of(layers, X, W, b, f, act)
    G, g, logits, errors, read = [], [], [], [], []
    for number, index in enumerate(A):
        layer, below, behind = layers[index], layers[index].sources[0], tail(layers, index)
        B, c = read_outs[number]
        read.append([h.flatten() for h in H[behind[-1] if behind else index]])
        logits.append(torch.stack([B @ h + c for h in read[-1]]))
        errors.append([torch.softmax(o, 0) - one_hot(t, len(o)) for o, t in zip(logits[-1], y, strict=True)])
        total, bias = torch.zeros_like(W[number]), torch.zeros_like(b[number])
        for n, e in enumerate(errors[-1]):
            d = (B.T @ e).view(layers[behind[-1] if behind else index].output_shape)
            for place in reversed(behind):
                d = pool_back(layers[place], d, H[layers[place].sources[0]][n])
            d = back(d, A[index][n], H[index][n], layer)
            share = correlation(layer, W[number], d, H[below][n])
            total, bias = total + share[0] / len(X), bias + share[1] / len(X)
        G.append(total)
        g.append(bias)
    return G, g, logits, errors, read


def biofo(layers, X, y, weights, read_outs, f="relu", normalise=False):
    chosen = FUNCTIONS[f]

    def scale(h):
        return math.sqrt(float((h**2).mean()) + 1e-8) if normalise else 1.0

    def act(A, layer):
        activities = [(chosen if layer.activated else LINEAR)[0](a) for a in A]
        return [h / scale(h) for h in activities]

    def back(d, a, h, layer):
        function, derivative = chosen if layer.activated else LINEAR
        if normalise:
            raw, n = function(a).flatten(), a.numel()
            jacobian = torch.eye(n) / scale(raw) - torch.outer(raw, raw) / (n * scale(raw) ** 3)
            d = (jacobian.T @ d.flatten()).view_as(d)
        return d * derivative(a)

    return local(layers, X, y, weights, read_outs, act, back, chosen)


def mono_forward(layers, X, y, weights, M, f="relu"):
    """Also return the directions of M."""
    zero = torch.zeros(len(M[0]))
    G, g, logits, errors, read = biofo(layers, X, y, weights, [(m, zero) for m in M], f)
    directions = [
        sum(torch.outer(e, h) for e, h in zip(E, H, strict=True)) / len(X) for E, H in zip(errors, read, strict=True)
    ]
    return G, g, directions, logits


def sign(z):
    return torch.tensor([float(v > 0) - float(v < 0) for v in z.flatten()]).view_as(z)


def tinyfoa(layers, X, y, weights, read_outs, scale="batch"):
    """Of the latent weights, all of them learning; before the clamp."""
    W, b = weights
    binary = [sum(abs(float(v)) for v in w.flatten()) / w.numel() * sign(w) for w in W]

    def act(A, layer):
        means = [float(a.abs().mean()) for a in A]
        if scale == "batch":
            means = [sum(means) / len(means)] * len(means)
        return [(RELU if layer.activated else LINEAR)[0](m * sign(a)) for m, a in zip(means, A, strict=True)]

    def back(d, a, h, layer):
        passes = (a.abs() < 1) & ((a > 0) | torch.tensor(not layer.activated))
        return d * passes

    G, g, logits, *_ = local(layers, X, y, (binary, b), read_outs, act, back)
    return [G_l * (w.abs() < 1) for G_l, w in zip(G, W, strict=True)], g, logits


def standardise(h):
    h = h - h.mean()
    return h / math.sqrt(float((h**2).mean()) + 1e-4)


def cafo_features(layers, X, F, c, normalise=True):
    """The features of each block, N x d."""
    act = lambda A, layer: [(RELU if layer.activated else LINEAR)[0](a) for a in A]  # noqa: E731
    A, H = maps_of(layers, X, F, c, RELU, act, standardise if normalise else None)
    ends = [(tail(layers, index) or [index])[-1] for index in A]
    return [torch.stack([h.flatten() for h in H[index]]) for index in ends]


def cafo_ce(features, y, W):
    """Return the directions of the classifiers and the summed probabilities."""
    G, scores = [], 0
    for Phi, w in zip(features, W, strict=True):
        P = torch.softmax(Phi @ w, 1)
        scores = scores + P
        E = P - torch.stack([one_hot(t, w.shape[1]) for t in y])
        G.append(sum(torch.outer(phi, e) for phi, e in zip(Phi, E, strict=True)) / len(Phi))
    return G, scores


def cafo_mse(Phi, y, classes, ridge):
    """The classifier of one block in closed form, over all samples."""
    T = torch.stack([one_hot(t, classes) for t in y])
    return torch.linalg.inv(Phi.T @ Phi + ridge * torch.eye(Phi.shape[1])) @ Phi.T @ T
