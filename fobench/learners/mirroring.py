"""Weight mirroring: PEPITA's F as a product of factors that learn, from noise, to look like the transposed weights.

    F = F_1 F_2 ... F_L,  F_l: n_{l-1} x n_l
    Xi ~ sigma N(0, 1), its mean subtracted,  R_l = f(Xi W_l^T)          one layer at a time, fresh noise for each
    F_l <- F_l + eta_F (Xi^T R_l / N - lambda_F F_l)                     no momentum
    F_l <- F_l (std* / std(F))^(1/L),  std* = 0.05 sqrt(2/n_0)           direction is learned, size is not

Akrout et al., NeurIPS 2019 (arXiv 1904.05391), for PEPITA Srinivasan et al., ICLR 2024 (arXiv 2302.05440). Factors begin
as N(0, s^2), s = (std* / sqrt(n_1 ... n_{L-1}))^(1/L), for which std(F) is std*.

Schedule: the first `pre_mirror` epochs mirror only, weights rest; after them every `mirror`-th epoch (counted from 1)
takes one mirror step after each step of the rule.

**Departures**

- The released code computes the mirror gradient twice in a step and uses the second, after the weight update; here it
  is computed once, there.
- std(F) is std* after each step. The released code multiplies one factor after the other by sqrt(std* / std(F)), F being
  rebuilt in between, which takes std(F) of two factors only to std*^(3/4) std(F)^(1/4).
- The product is taken from the right, which costs C instead of n_0 rows of every factor.
- The published tuned values were not to be had; the defaults are those of the released trainer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from fobench import networks
from fobench.contracts import Role, Task, role
from fobench.learners.checks import LearnerError, chosen
from fobench.learners.modulation import Fields, Modulated


@dataclasses.dataclass(frozen=True)
class Mirroring:
    """The numbers of weight mirroring, with the defaults of the released trainer."""

    eta: float = 0.01  # eta_F
    decay: float = 1e-4  # lambda_F
    noise: float = 0.1  # sigma
    pre_mirror: int = 2
    mirror: int = 100


def check(name: str, value: Any) -> None:
    """Raise LearnerError unless `value` is None or the numbers of `Mirroring`."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise LearnerError(f"{name} is {value!r}; expected the numbers of weight mirroring, such as {{eta: 0.01}}")
    defaults = dataclasses.asdict(Mirroring())
    for key, number in value.items():
        chosen(f"number of {name}", key, defaults)
        whole = isinstance(defaults[key], int)
        least = 1 if key == "mirror" else 0
        if isinstance(number, bool) or not isinstance(number, int if whole else int | float) or number < least:
            kind = "whole number" if whole else "number"
            raise LearnerError(f"{key} of {name} is {number!r}; expected a {kind} of at least {least}")


def demand(fields: Fields, task: Task) -> None:
    """Raise for a sign or a network that mirroring cannot work with: a demand for `require`."""
    if fields.sign != -1:
        raise LearnerError("weight mirroring aligns F with the weights, which needs X - F E; set sign to -1")
    for number, layer in enumerate(networks.layers(fields.network, task)):
        if layer.kind not in ("dense", "flatten") or layer.sources != (number - 1,):
            raise LearnerError(
                f"weight mirroring needs one chain of dense layers, found {layer.kind} at layer {number}; take it out"
            )


class Mirrors:
    """The factors of F, their steps and their schedule."""

    def __init__(self, net: Modulated, numbers: Mapping[str, Any], scale: float) -> None:
        """Draw the factors and fill F with their product."""
        self.net, self.numbers = net, Mirroring(**numbers)
        layers = [*net.hidden, net.top]
        self.std = scale * (2 / len(net.F)) ** 0.5
        hidden_units = reduce(lambda product, node: product * node.layer.units, net.hidden, 1)
        s = (self.std / hidden_units**0.5) ** (1 / len(layers))
        shapes = [(node.layer.inputs, node.layer.units) for node in layers]
        self.factors = [
            torch.empty(shape, device=net.F.device).normal_(0, s, generator=net.generator) for shape in shapes
        ]
        self.rebuild()
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Say what learns in this epoch."""
        self.weights_learn = epoch >= self.numbers.pre_mirror
        self.learn = not self.weights_learn or (epoch + 1) % self.numbers.mirror == 0

    @role(Role.PROJECTION)
    def rebuild(self) -> None:
        """Fill F with the product of its factors."""
        self.net.F.copy_(reduce(lambda product, factor: factor @ product, reversed(self.factors)))

    @role(Role.WEIGHT_UPDATE)
    def reflect_(self, factor: Tensor, Xi: Tensor, R: Tensor) -> None:
        """Step `F_l <- F_l + eta_F (Xi^T R / N - lambda_F F_l)`."""
        eta = self.numbers.eta
        factor.addmm_(Xi.T, R, beta=1 - eta * self.numbers.decay, alpha=eta / len(Xi))

    def step(self, samples: int) -> None:
        """Take one mirror step of every factor on N rows of noise, then bring F back to its size."""
        net = self.net
        for node, factor in zip([*net.hidden, net.top], self.factors, strict=True):
            Xi = torch.empty(samples, node.layer.inputs, device=net.F.device)
            Xi.normal_(0, self.numbers.noise, generator=net.generator)
            Xi -= Xi.mean()
            self.reflect_(factor, Xi, net.activity(node, (Xi,), net.draw(node, samples, net.generator)))
        self.rebuild()
        gain = self.std / net.F.std()
        torch._foreach_mul_(self.factors, gain ** (1 / len(self.factors)))
        net.F.mul_(gain)

    def state(self) -> dict[str, Tensor]:
        """Return F1, F2, ..., the factors of F."""
        return {f"F{number}": factor for number, factor in enumerate(self.factors, 1)}
