"""Learners written by hand for the tests of the tracers, and the loop in which the harness would trace them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fobench.contracts import Phase, Prediction, Reading, Role, role


@role(Role.FORWARD)
def forward(W: Tensor, before: Tensor) -> Tensor:
    return before @ W.T


@role(Role.INPUT_GRADIENT)
def adjoint(W: Tensor, delta: Tensor) -> Tensor:
    return delta @ W


@role(Role.WEIGHT_UPDATE)
def accumulate_(W: Tensor, delta: Tensor, before: Tensor) -> None:
    W.addmm_(delta.T, before, alpha=-0.01 / len(delta))


class Toy:
    """Weights `sizes[l+1] x sizes[l]`, kept in `W`."""

    network: Any = None

    def __init__(self, *sizes: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.sizes = sizes
        self.W = [0.1 * torch.randn(n, m, generator=generator) for m, n in pairwise(sizes)]

    def setup(self, task: Any, generator: torch.Generator, device: str) -> None:
        """Nothing is left to allocate."""

    def train_step(self, x: Tensor, y: Tensor) -> None:
        raise NotImplementedError

    def predict(self, x: Tensor) -> Prediction:
        for W in self.W[:-1]:
            x = forward(W, x).relu_()
        return Prediction(forward(self.W[-1], x))

    def state(self) -> dict[str, Tensor]:
        return {f"W{number}": W for number, W in enumerate(self.W, 1)}


class HandBP(Toy):
    """Backpropagation by hand on half the squared error, with marked verbs."""

    def forward_pass(self, x: Tensor) -> list[Tensor]:
        H = [x]
        for W in self.W[:-1]:
            H.append(forward(W, H[-1]).relu_())
        return [*H, forward(self.W[-1], H[-1])]

    def backward_pass(self, D: Tensor, H: list[Tensor]) -> None:
        for W in reversed(self.W):
            before = H.pop()
            signal = adjoint(W, D) if H else None
            accumulate_(W, D, before)
            if signal is not None:
                D = signal.mul_(before > 0)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        H = self.forward_pass(x)
        self.backward_pass(H.pop() - functional.one_hot(y, self.sizes[-1]), H)


class TwoPasses(Toy):
    """The shape of PEPITA: a second, modulated pass; the outermost mark must win over the verb's."""

    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.F = 0.1 * torch.randn(sizes[0], sizes[-1], generator=torch.Generator().manual_seed(1))

    @role(Role.PROJECTION)
    def modulate(self, x: Tensor, E: Tensor) -> Tensor:
        return x + E @ self.F.T

    def standard_pass(self, x: Tensor) -> list[Tensor]:
        H = [x]
        for W in self.W:
            H.append(forward(W, H[-1]).relu_())
        return H

    @role(Role.SECOND_PASS)
    def modulated_pass(self, x: Tensor) -> list[Tensor]:
        return self.standard_pass(x)

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        H = self.standard_pass(x)
        modulated = self.modulated_pass(self.modulate(x, H[-1] - functional.one_hot(y, self.sizes[-1])))
        for W, one, other, before in zip(self.W, H[1:], modulated[1:], modulated, strict=False):
            accumulate_(W, one - other, before)


class Local(Toy):
    """Each layer learns at once from a signal of its own, as DRTP and Forward-Forward do: two neighbouring maps live."""

    @torch.no_grad()
    def train_step(self, x: Tensor, y: Tensor) -> None:
        for W in self.W:
            after = forward(W, x).relu_()
            accumulate_(W, after, x)
            x = after


class AutogradBP(Toy):
    """Backpropagation by autograd, without any mark."""

    def __init__(self, *sizes: int, optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD) -> None:
        super().__init__(*sizes)
        self.b = [torch.zeros(n) for n in sizes[1:]]
        self.steps = optimizer([tensor.requires_grad_() for tensor in (*self.W, *self.b)], lr=0.01)

    def forward_pass(self, x: Tensor) -> Tensor:
        for W, b in zip(self.W[:-1], self.b, strict=False):
            x = functional.linear(x, W, b).relu()
        return functional.linear(x, self.W[-1], self.b[-1])

    def train_step(self, x: Tensor, y: Tensor) -> None:
        self.steps.zero_grad()
        functional.cross_entropy(self.forward_pass(x), y).backward()
        self.steps.step()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Prediction:
        return Prediction(self.forward_pass(x))

    def state(self) -> dict[str, Tensor]:
        return {**super().state(), **{f"b{number}": b for number, b in enumerate(self.b, 1)}}


def weights(sizes: tuple[int, ...]) -> list[int]:
    """Return m_1 .. m_L."""
    return [m * n for m, n in pairwise(sizes)]


def traced(
    tracer: Any, make: Callable[[], Any], batch: int, sizes: tuple[int, ...], phase: Phase = Phase.TRAIN
) -> list[Reading]:
    """Trace one phase as the harness does; `sizes` give the inputs and the classes."""
    for offset in tracer.batch_offsets:
        learner, generator = make(), torch.Generator().manual_seed(7)
        for step in range(max(tracer.steps) + 1):
            x = torch.rand(batch + offset, sizes[0], generator=generator)
            y = torch.randint(sizes[-1], (batch + offset,), generator=generator)
            if step in tracer.steps:
                with tracer.trace(learner, (x, y)):
                    take_step(learner, x, y, phase)
            else:
                take_step(learner, x, y, phase)
    readings: list[Reading] = tracer.readings()
    return readings


def take_step(learner: Any, x: Tensor, y: Tensor, phase: Phase) -> None:
    if phase is Phase.TRAIN:
        learner.train_step(x, y)
    else:
        learner.predict(x)


def values(readings: list[Reading], quantity: str) -> dict[str, float]:
    """Return a quantity's values by channel; refuse a channel that comes twice."""
    found = [(reading.channel, reading.value) for reading in readings if reading.quantity == quantity]
    assert len(dict(found)) == len(found)
    return dict(found)
