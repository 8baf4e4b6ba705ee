"""The PEPITA family, one sample and one weight at a time, transcribed from its equations; slow, sharing nothing with fobench.

A net is a list of layers: dicts with `kind`, `sources` (places of earlier layers, -1 the input), `f` (bool: activated) and,
where there are weights, `W`; convolutions also `stride`, `padding` (top, bottom, left, right), pools `kernel`, `stride`, `mode`.
The last layer is the output. Every function returns G, one per layer with weights, in order; nothing is updated.
"""

from __future__ import annotations

import torch

ACTIVATIONS = {"relu": lambda a: a.clamp(min=0), "tanh": torch.tanh, "linear": lambda a: a}


def window(h, layer, r, c, rows, columns):
    top, bottom, left, right = layer.get("padding", (0, 0, 0, 0))
    padded = torch.zeros(h.shape[0], h.shape[1] + top + bottom, h.shape[2] + left + right)
    padded[:, top : top + h.shape[1], left : left + h.shape[2]] = h
    r, c = r * layer["stride"][0], c * layer["stride"][1]
    return padded[:, r : r + rows, c : c + columns]


def positions(layer):
    return [(r, c) for r in range(layer["out"][1]) for c in range(layer["out"][2])]


def apply(layer, seen):
    """The sum (or what stands for it) that a layer gives for one sample."""
    kind, h = layer["kind"], seen[0]
    if kind == "dense":
        return layer["W"] @ h.flatten()
    if kind == "flatten":
        return h.flatten()
    if kind == "add":
        return seen[0] + seen[1]
    a = torch.zeros(layer["out"])
    for r, c in positions(layer):
        if kind == "pool":
            part = window(h, layer, r, c, *layer["kernel"])
            a[:, r, c] = part.amax((1, 2)) if layer["mode"] == "max" else part.mean((1, 2))
            continue
        W = layer["W"]
        if kind == "local":
            part = window(h, layer, r, c, *layer["kernel"])
            a[:, r, c] = W[r, c] @ part.flatten()
            continue
        part = window(h, layer, r, c, *W.shape[2:])
        for o in range(len(a)):
            a[o, r, c] = (W[o, 0] * part[o]).sum() if kind == "depthwise" else (W[o] * part).sum()
    return a


def correlation(layer, d, h):
    """The rule's average over positions of d times what each weight saw; over none for weights of one position."""
    if layer["kind"] == "dense":
        return torch.outer(d, h.flatten())
    G = torch.zeros_like(layer["W"])
    for r, c in positions(layer):
        if layer["kind"] == "local":
            G[r, c] = torch.outer(d[:, r, c], window(h, layer, r, c, *layer["kernel"]).flatten())
            continue
        part = window(h, layer, r, c, *layer["W"].shape[2:])
        for o in range(len(G)):
            share = part[o : o + 1] if layer["kind"] == "depthwise" else part
            G[o] += d[o, r, c] * share / len(positions(layer))
    return G


def softmax(a):
    return torch.exp(a) / torch.exp(a).sum()


def a_pass(net, x, f, masks=None, normalise=False, output=softmax):
    """Return {place: activity}, -1 the input; `masks[place]` holds 0 or 1/keep; `normalise` per sample."""
    h = {-1: x}
    for place, layer in enumerate(net):
        a = apply(layer, [h[source] for source in layer["sources"]])
        if place == len(net) - 1:
            h[place] = output(a)
            continue
        h[place] = ACTIVATIONS[f](a) if layer["f"] else a
        if "W" in layer:
            if masks is not None:
                h[place] = h[place] * masks[place]
            if normalise:
                h[place] = h[place] / (h[place] ** 2).sum().sqrt().clamp(min=1e-12)
    return h


def sample_masks(masks, sample):
    return None if masks is None else {place: mask[sample] for place, mask in masks.items()}


def two_passes(net, x, t, F, sign, **how):
    h = a_pass(net, x, **how)
    e = h[len(net) - 1] - t
    return h, a_pass(net, x + sign * (F @ e).view(x.shape), **how), e


def each(net):
    return [(place, layer) for place, layer in enumerate(net) if "W" in layer]


def pepita(net, X, T, F, sign=1, output_error="modulated", masks=None, **how):
    G = [torch.zeros_like(layer["W"]) for _, layer in each(net)]
    for sample, (x, t) in enumerate(zip(X, T, strict=True)):
        h, k, e = two_passes(net, x, t, F, sign, masks=sample_masks(masks, sample), **how)
        for g, (place, layer) in zip(G, each(net), strict=True):
            d = h[place] - k[place]
            if place == len(net) - 1:
                d = k[place] - t if output_error == "modulated" else e
            g += correlation(layer, d, k[layer["sources"][0]]) / len(X)
    return G


def hebbian(net, X, T, F, sign=1, masks=None, **how):
    G = [torch.zeros_like(layer["W"]) for _, layer in each(net)]
    for sample, (x, t) in enumerate(zip(X, T, strict=True)):
        h, k, _ = two_passes(net, x, t, F, sign, masks=sample_masks(masks, sample), **how)
        for g, (place, layer) in zip(G, each(net), strict=True):
            source = layer["sources"][0]
            after = t if place == len(net) - 1 else k[place]
            g += (correlation(layer, h[place], h[source]) - correlation(layer, after, k[source])) / len(X)
    return G


def time_local(net, X, T, F, eta, sign=1, masks=None, **how):
    """(W_old - W_new) / eta."""
    old = [layer["W"] for _, layer in each(net)]
    half = [torch.zeros_like(W) for W in old]
    E = []
    for sample, (x, t) in enumerate(zip(X, T, strict=True)):
        h = a_pass(net, x, masks=sample_masks(masks, sample), **how)
        E.append(h[len(net) - 1] - t)
        for g, (place, layer) in zip(half, each(net), strict=True):
            g += correlation(layer, h[place], h[layer["sources"][0]]) / len(X)
    for g, (_, layer) in zip(half, each(net), strict=True):
        layer["W"] = layer["W"] - eta * g
    new = [layer["W"].clone() for _, layer in each(net)]
    for sample, (x, t, e) in enumerate(zip(X, T, E, strict=True)):
        k = a_pass(net, x + sign * (F @ e).view(x.shape), masks=sample_masks(masks, sample), **how)
        for w, (place, layer) in zip(new, each(net), strict=True):
            after = t if place == len(net) - 1 else k[place]
            w += eta * correlation(layer, after, k[layer["sources"][0]]) / len(X)
    return [(a - b) / eta for a, b in zip(old, new, strict=True)]


def pushed(layer, signals, h):
    """What a small change of its inputs does to a layer's sum: the layer itself, a maximum pool at its first maxima."""
    if layer["kind"] != "pool" or layer["mode"] != "max":
        return apply(layer, signals)
    d = torch.zeros(layer["out"])
    for r, c in positions(layer):
        seen, change = (window(z, layer, r, c, *layer["kernel"]).flatten(1) for z in (h, signals[0]))
        for channel in range(len(d)):
            d[channel, r, c] = change[channel][seen[channel].argmax()]
    return d


SLOPES = {
    "relu": lambda a: (a > 0).to(a.dtype),
    "tanh": lambda a: 1 - torch.tanh(a) ** 2,
}


def afa(net, X, T, F, sign=-1, presynaptic="standard", f="relu", output=softmax):
    """D_0 = -s F e, D_l = (W_l D_{l-1}) o f'(a_l), G_l = D_l (h_{l-1} or h_{l-1} - D_{l-1})^T, G_L with e."""
    G = [torch.zeros_like(layer["W"]) for _, layer in each(net)]
    for x, t in zip(X, T, strict=True):
        h = a_pass(net, x, f, output=output)
        e = h[len(net) - 1] - t
        d = {-1: -sign * (F @ e).view(x.shape)}
        for place, layer in enumerate(net[:-1]):
            d[place] = pushed(layer, [d[source] for source in layer["sources"]], h[layer["sources"][0]])
            if layer["f"]:
                d[place] = d[place] * SLOPES[f](apply(layer, [h[source] for source in layer["sources"]]))
        d[len(net) - 1] = e
        for g, (place, layer) in zip(G, each(net), strict=True):
            source = layer["sources"][0]
            before = h[source] - d[source] if presynaptic == "modulated" else h[source]
            g += correlation(layer, d[place], before) / len(X)
    return G


def mirror(W, factors, noise, std, eta, decay, masks, f="relu"):
    """Return the factors after one mirror step; `noise[l]` N x n_{l-1}, `masks[l]` N x n_l of 0 and 1/keep, None for the top."""
    found = []
    for level, (w, factor) in enumerate(zip(W, factors, strict=True)):
        shift = sum(float(value) for value in noise[level].flatten()) / noise[level].numel()
        change = torch.zeros_like(factor)
        for sample, xi in enumerate(noise[level]):
            xi = xi - shift
            r = softmax(w @ xi) if masks[level] is None else ACTIVATIONS[f](w @ xi) * masks[level][sample]
            change += torch.outer(xi, r) / len(noise[level])
        found.append(factor + eta * (change - decay * factor))
    F = found[0]
    for factor in found[1:]:
        F = F @ factor
    spread = ((F - F.mean()) ** 2).sum() / (F.numel() - 1)
    return [factor * (std / spread.sqrt()) ** (1 / len(found)) for factor in found]
