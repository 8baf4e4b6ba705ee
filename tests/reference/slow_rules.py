"""The learning rules, one sample at a time, transcribed from their equations; slow, sharing nothing with fobench.

Vectors are columns here: A_l = W_l h + b_l. Every function returns the averaged descent directions G_1, G_2, ... and
g_1, ... of weights and biases; nothing is updated.
"""

from __future__ import annotations

import math

import torch

ACTIVATIONS = {
    "relu": (lambda a: a.clamp(min=0), lambda a: (a > 0).to(a.dtype)),
    "tanh": (torch.tanh, lambda a: 1 - torch.tanh(a) ** 2),
    "sigmoid": (torch.sigmoid, lambda a: torch.sigmoid(a) * (1 - torch.sigmoid(a))),
    "linear": (lambda a: a, torch.ones_like),
}


def output(a, name):
    if name == "sigmoid":
        return 1 / (1 + torch.exp(-a))
    return torch.exp(a) / torch.exp(a).sum()


def one_hot(label, classes):
    t = torch.zeros(classes)
    t[label] = 1
    return t


def zeros(W, b):
    return [torch.zeros_like(w) for w in W], [torch.zeros_like(v) for v in b]


def forward(x, W, b, f, out):
    """Return [h_0, ..., h_{L-1}, p] and [a_1, ..., a_L]."""
    h, a = [x], []
    for number, (w, v) in enumerate(zip(W, b, strict=True)):
        a.append(w @ h[-1] + v)
        h.append(ACTIVATIONS[f][0](a[-1]) if number < len(W) - 1 else output(a[-1], out))
    return h, a


def bp(X, y, W, b, f="relu", out="softmax"):
    G, g = zeros(W, b)
    for x, label in zip(X, y, strict=True):
        h, a = forward(x, W, b, f, out)
        d = h[-1] - one_hot(label, len(h[-1]))
        for level in reversed(range(len(W))):
            G[level] += torch.outer(d, h[level]) / len(X)
            g[level] += d / len(X)
            if level:
                d = (W[level].T @ d) * ACTIVATIONS[f][1](a[level - 1])
    return G, g


def drtp(X, y, W, b, B, f="tanh", out="softmax", hidden_over=None, top_over=None):
    """`B` n_l x C; `hidden_over` and `top_over` are what the sums over samples are divided by, N unless given."""
    hidden_over, top_over = hidden_over or len(X), top_over or len(X)
    G, g = zeros(W, b)
    for x, label in zip(X, y, strict=True):
        h, a = forward(x, W, b, f, out)
        t = one_hot(label, len(h[-1]))
        for level in range(len(W) - 1):
            d = (B[level] @ t) * ACTIVATIONS[f][1](a[level])
            G[level] += torch.outer(d, h[level]) / hidden_over
            g[level] += d / hidden_over
        e = h[-1] - t
        G[-1] += torch.outer(e, h[-2]) / top_over
        g[-1] += e / top_over
    return G, g


def pepita(X, y, W, F, masks=None, f="relu", sign=1, output_error="modulated"):
    """`masks[l]` N x n_l holds 0 or 1/keep for hidden layer l."""

    def activities(x, sample):
        h = [x]
        for level, w in enumerate(W):
            if level == len(W) - 1:
                h.append(output(w @ h[-1], "softmax"))
            else:
                z = ACTIVATIONS[f][0](w @ h[-1])
                h.append(z if masks is None else z * masks[level][sample])
        return h

    G = [torch.zeros_like(w) for w in W]
    for sample, (x, label) in enumerate(zip(X, y, strict=True)):
        t = one_hot(label, F.shape[1])
        h = activities(x, sample)
        e = h[-1] - t
        k = activities(x + sign * (F @ e), sample)
        for level in range(len(W) - 1):
            G[level] += torch.outer(h[level + 1] - k[level + 1], k[level]) / len(X)
        G[-1] += torch.outer(k[-1] - t if output_error == "modulated" else e, k[-2]) / len(X)
    return G


def biofo(X, y, W, b, B, f="relu"):
    """All layers in one sweep; `B` C x n_l. Also returns the mean local losses."""
    G, g = zeros(W, b)
    losses = [0.0] * len(W)
    for x, label in zip(X, y, strict=True):
        h = x
        for level, (w, v) in enumerate(zip(W, b, strict=True)):
            a = w @ h + v
            z = ACTIVATIONS[f][0](a)
            p = output(B[level] @ z, "softmax")
            losses[level] -= math.log(p[label]) / len(X)
            d = (B[level].T @ (p - one_hot(label, len(p)))) * ACTIVATIONS[f][1](a)
            G[level] += torch.outer(d, h) / len(X)
            g[level] += d / len(X)
            h = z
    return G, g, losses


def rms(z):
    return z / (math.sqrt((z**2).mean()) + 1e-8)


def labelled(x, label, classes, amplitude=1.0):
    z = x.clone()
    z[:classes] = 0
    z[label] = x.max() if amplitude == "max" else amplitude
    return z


def ff_layers(x, W, b):
    """Return [(normalised input, activity)] of each layer for a sample whose label is written."""
    seen, z = [], x
    for w, v in zip(W, b, strict=True):
        before = rms(z)
        z = (w @ before + v).clamp(min=0)
        seen.append((before, z))
    return seen


def ff(X, y, wrong, W, b, r, classes, peer=0.03, amplitude=1.0):
    """Return G, g, the new running means, and goodness s (2N per layer, positives first)."""
    G, g = zeros(W, b)
    N = len(X)
    rows = [labelled(x, c, classes, amplitude) for labels in (y, wrong) for x, c in zip(X, labels, strict=True)]
    seen = [ff_layers(row, W, b) for row in rows]
    s = []
    for level in range(len(W)):
        s.append([float((z[level][1] ** 2).sum()) - len(b[level]) for z in seen])
        for row, z in enumerate(seen):
            before, after = z[level]
            truth = 1 if row < N else 0
            d = 2 * (1 / (1 + math.exp(-s[-1][row])) - truth) * after
            G[level] += torch.outer(d, before) / (2 * N)
            g[level] += d / (2 * N)
    means = [0.9 * r[level] + 0.1 * sum(z[level][1] for z in seen[:N]) / N for level in range(len(r))]
    for level, mean in enumerate(means):
        # loss peer * mean_j (mean(r) - r_j)^2; d r_j / d z_ij = 0.1 / N, straight through the ReLU
        d = peer * 0.1 * (2 / len(mean)) * (mean - mean.mean()) / N
        for z in seen[:N]:
            G[level] += torch.outer(d, z[level][0])
            g[level] += d
    return G, g, means, s


def ff_scores(X, W, b, classes, first=0, amplitude=1.0):
    """Multi-pass: one run of the net per sample and label."""
    return torch.tensor(
        [
            [
                sum(float((z**2).sum()) for _, z in ff_layers(labelled(x, c, classes, amplitude), W, b)[first:])
                for c in range(classes)
            ]
            for x in X
        ]
    )


def ff_head(X, y, W, b, V, classes, first=0):
    """Return the head's G per block and its logits, before the update."""
    G = [torch.zeros_like(v) for v in V]
    logits = []
    for x, label in zip(X, y, strict=True):
        neutral = x.clone()
        neutral[:classes] = 1 / classes
        hats = [rms(z) for _, z in ff_layers(neutral, W, b)[first:]]
        logits.append(torch.cat(V, 1) @ torch.cat(hats))
        e = output(logits[-1] - logits[-1].max(), "softmax") - one_hot(label, classes)
        for block, hat in zip(G, hats, strict=True):
            block += torch.outer(e, hat) / len(X)
    return G, torch.stack(logits)
