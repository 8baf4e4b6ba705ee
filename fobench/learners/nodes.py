"""What every layer of a network can do, and what layers with weights share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fobench.contracts import Role, role
from fobench.learners.activations import LINEAR, Activation
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
        optimizer.step_(self.W, G, over)

    @role(Role.WEIGHT_UPDATE)
    def accumulate_(
        self, delta: Tensor, before: Tensor, optimizer: Optimizer, over: float | None = None, minus: Pair | None = None
    ) -> None:
        """Step along the correlation of `delta` and `before`, and the bias along the sum of `delta`, over `over`."""
        over = len(delta) if over is None else over
        self.step_(delta, before, optimizer, over, minus)
        if self.b is not None:
            g = self.summed(delta)
            optimizer.step_(self.b, g if minus is None else g.sub_(self.summed(minus[0])), over)
