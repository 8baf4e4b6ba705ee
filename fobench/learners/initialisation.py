"""How weights begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor


class Weighted(Protocol):
    """A layer with weights, as far as initialisation goes."""

    W: Tensor
    b: Tensor | None
    fan_in: int
    fan_out: int


BOUNDS: dict[str, Callable[[float, float], float]] = {
    "linear": lambda fan_in, fan_out: fan_in**-0.5,
    "he-uniform": lambda fan_in, fan_out: (6 / fan_in) ** 0.5,
    "xavier-uniform": lambda fan_in, fan_out: (6 / (fan_in + fan_out)) ** 0.5,
}
"""Bounds of U(+-bound) from the number of values that one output reads and that one input feeds."""


def _linear(layer: Weighted, generator: torch.Generator) -> None:
    """U(+-1/sqrt(fan_in)), bias too: the default of nn.Linear and nn.Conv2d."""
    bound = BOUNDS["linear"](layer.fan_in, layer.fan_out)
    for tensor in (layer.W, layer.b):
        if tensor is not None:
            tensor.uniform_(-bound, bound, generator=generator)


def _he_uniform(layer: Weighted, generator: torch.Generator) -> None:
    """U(+-sqrt(6/fan_in)), bias 0."""
    uniform_(layer.W, layer.fan_in, generator)
    _zero_bias(layer)


def _xavier_uniform(layer: Weighted, generator: torch.Generator) -> None:
    """U(+-sqrt(6/(fan_in + fan_out))), bias 0 (Glorot and Bengio 2010)."""
    bound = BOUNDS["xavier-uniform"](layer.fan_in, layer.fan_out)
    layer.W.uniform_(-bound, bound, generator=generator)
    _zero_bias(layer)


def _fan_out_normal(layer: Weighted, generator: torch.Generator) -> None:
    """N(0, 1/fan_out), bias 0: the released Forward-Forward code."""
    layer.W.normal_(0, layer.fan_out**-0.5, generator=generator)
    _zero_bias(layer)


def _kaiming_fan_out(layer: Weighted, generator: torch.Generator) -> None:
    """N(0, 2/fan_out), bias 0: the convolutions of VGG16 before any training."""
    layer.W.normal_(0, (2 / layer.fan_out) ** 0.5, generator=generator)
    _zero_bias(layer)


def _normal(layer: Weighted, generator: torch.Generator) -> None:
    """N(0, 1), bias too: the released locally connected layers."""
    for tensor in (layer.W, layer.b):
        if tensor is not None:
            tensor.normal_(generator=generator)


def _zero(layer: Weighted, generator: torch.Generator) -> None:
    layer.W.zero_()
    _zero_bias(layer)


def _zero_bias(layer: Weighted) -> None:
    if layer.b is not None:
        layer.b.zero_()


def uniform_(tensor: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Fill with U(+-sqrt(6/size)), in place."""
    bound = (6 / size) ** 0.5
    return tensor.uniform_(-bound, bound, generator=generator)


WEIGHT_INITS: dict[str, Callable[[Weighted, torch.Generator], None]] = {
    "linear": _linear,
    "he-uniform": _he_uniform,
    "xavier-uniform": _xavier_uniform,
    "fan-out-normal": _fan_out_normal,
    "kaiming-fan-out": _kaiming_fan_out,
    "normal": _normal,
    "zero": _zero,
}
