"""Early exit, one sample at a time: what every depth answers, how heads learn, where thresholds lie; shares nothing with fobench.

Networks are those of `slow_layers`, the output layer included. `V` and `c` are one matrix and one bias (or None) per head;
a head reads the hidden layer of its depth or, `concatenated`, all up to it, each flattened channels, rows, columns.
"""

from __future__ import annotations

import math

import torch
from slow_layers import forward, has_weights
from slow_rules import one_hot, output


def read_by_heads(net, x, concatenated):
    """Return what each head reads: there is one at every hidden layer but the last."""
    h, _ = forward(net, x)
    hidden = [index for index, record in enumerate(net.records) if has_weights(record)][:-2]
    own = [h[index].flatten() for index in hidden]
    return [torch.cat(own[: depth + 1]) if concatenated else own[depth] for depth in range(len(own))]


def scores(net, x, V, c, concatenated):
    """Return the logits of every head and, last, the net's own output P."""
    seen = read_by_heads(net, x, concatenated)
    logits = [v @ h + (0 if b is None else b) for v, h, b in zip(V, seen, c, strict=True)]
    h, _ = forward(net, x)
    return [*logits, output(h[len(net.records) - 1], "softmax")]


def step(rows, y, V, c):
    """Return the directions of heads that read `rows[sample][depth]`: cross-entropy of the logits, averaged over samples."""
    G, g = [torch.zeros(v.shape) for v in V], [torch.zeros(len(v)) for v in V]
    for seen, label in zip(rows, y, strict=True):
        for depth, h in enumerate(seen):
            e = output(V[depth] @ h + (0 if c[depth] is None else c[depth]), "softmax") - one_hot(label, len(V[depth]))
            G[depth] += torch.outer(e, h) / len(rows)
            g[depth] += e / len(rows)
    return G, g


def threshold(rows, y, k, correct_only):
    """Return mu - k sigma of the true label's score, of all samples or of those that the depth gets right."""
    kept = [
        float(o[label])
        for o, label in zip(rows, y, strict=True)
        if not correct_only or max(range(len(o)), key=lambda c, o=o: float(o[c])) == int(label)
    ]
    mu = sum(kept) / len(kept)
    return mu - k * math.sqrt(sum((value - mu) ** 2 for value in kept) / len(kept))


def leave(by_depth, tau):
    """Return the scores of the first depth whose largest one reaches its threshold, and the depth, counted from 1."""
    for depth, (o, least) in enumerate(zip(by_depth, tau, strict=True), 1):
        if depth == len(tau) or max(float(value) for value in o) >= least:
            return o, depth
    raise AssertionError
