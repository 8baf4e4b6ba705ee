"""Step sizes: SGD, momentum and Adam, each folding a weight's correlation `G = D^T H / N` into place.

Credit assignment (a rule's signal `D`) and step size are separate choices. No gradient is stored: SGD adds the
correlation to the weight, momentum to its buffer. Adam needs the elements of `G` themselves; they live only while their
layer is updated, which is never more than a scratch kept for the largest layer, and less where another layer peaks.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from fobench.learners.checks import LearnerError, chosen, lookup

Pair = tuple[Tensor, Tensor]


class Optimizer(Protocol):
    """What a layer's weight update needs; `eta` may be changed by schedules."""

    eta: float

    def track(self, *weights: Tensor) -> None:
        """Allocate what is remembered for each weight."""

    def correlate_(self, W: Tensor, D: Tensor, H: Tensor, over: float, minus: Pair | None = None) -> None:
        """Step along `G = D^T H / over`: `W` n x m, `D` N x n, `H` N x m; less the same of the pair `minus`, if given."""

    def step_(self, b: Tensor, G: Tensor, over: float = 1.0) -> None:
        """Step along the gradient `G / over`, shaped as `b`; `G` is used up."""


def blend_(W: Tensor, pair: Pair, minus: Pair | None, keep: float, gain: float) -> Tensor:
    """Return `keep W + gain (D^T H - D'^T H')`, in place."""
    D, H = pair
    W.addmm_(D.T, H, beta=keep, alpha=gain)
    if minus is not None:
        D, H = minus
        W.addmm_(D.T, H, alpha=-gain)
    return W


@dataclasses.dataclass
class SGD:
    """`W <- W - eta (G + decay W)`."""

    eta: float = 0.01
    decay: float = 0.0

    def track(self, *weights: Tensor) -> None:
        """Nothing is remembered."""

    def correlate_(self, W: Tensor, D: Tensor, H: Tensor, over: float, minus: Pair | None = None) -> None:
        """Add the correlation to the weight itself."""
        blend_(W, (D, H), minus, keep=1 - self.eta * self.decay, gain=-self.eta / over)

    def step_(self, b: Tensor, G: Tensor, over: float = 1.0) -> None:
        """Step along the gradient `G / over`."""
        if self.decay:
            b.mul_(1 - self.eta * self.decay)
        b.sub_(G, alpha=self.eta / over)


@dataclasses.dataclass
class Momentum:
    """`V <- mu V + G + decay W`, `W <- W - eta V`; Nesterov `W <- W - eta (G + decay W + mu V)`, as torch has them.

    With `eta_in_buffer` the step size is taken into the buffer, `V <- mu V + eta (G + decay W)`, `W <- W - V`, as
    PEPITA has it: after a schedule has lowered eta, old momentum keeps its old scale.
    """

    eta: float = 0.01
    mu: float = 0.9
    decay: float = 0.0
    nesterov: bool = False
    eta_in_buffer: bool = False

    def __post_init__(self) -> None:
        self.V: dict[Tensor, Tensor] = {}

    def track(self, *weights: Tensor) -> None:
        """Allocate one buffer per weight, zero."""
        self.V.update({W: torch.zeros_like(W) for W in weights})

    @property
    def rates(self) -> tuple[float, float]:
        """What G is taken into the buffer with, and the buffer into the weight."""
        return (self.eta, 1.0) if self.eta_in_buffer else (1.0, self.eta)

    def correlate_(self, W: Tensor, D: Tensor, H: Tensor, over: float, minus: Pair | None = None) -> None:
        """Add the correlation to the buffer, then the buffer to the weight."""
        V, (gain, rate) = self.V[W], self.rates
        keep, stride = self.mu, 1.0
        if self.nesterov:
            # G = V_new - mu V_old: the step is W + rate mu V_old - rate (1 + mu) V_new, without a copy of G
            W.add_(V, alpha=rate * self.mu)
            # decay then meets W + rate mu V_old instead of W, which this undoes
            keep, stride = self.mu * (1 - self.eta * self.decay), 1 + self.mu
        blend_(V, (D, H), minus, keep, gain / over)
        if self.decay:
            V.add_(W, alpha=gain * self.decay)
        W.sub_(V, alpha=rate * stride)

    def step_(self, b: Tensor, G: Tensor, over: float = 1.0) -> None:
        """Step along the gradient `G / over`, by torch's fused kernel."""
        gain, rate = self.rates
        buffers, nesterov = ([self.V[b]], self.nesterov) if self.mu else ([], False)  # which the kernel demands
        torch._fused_sgd_(
            [b], [laid_out(G.mul_(gain / over), b)], buffers, weight_decay=gain * self.decay, momentum=self.mu, lr=rate,
            dampening=0, nesterov=nesterov, maximize=False, is_first_step=False,
        )  # fmt: skip


@dataclasses.dataclass
class Adam:
    """Kingma and Ba 2015 (arXiv 1412.6980), by torch's fused kernel; `decay` is added to the gradient."""

    eta: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0

    def __post_init__(self) -> None:
        self.moments: dict[Tensor, tuple[Tensor, Tensor, Tensor]] = {}

    def track(self, *weights: Tensor) -> None:
        """Allocate both moments and the number of steps per weight, zero."""
        for W in weights:
            steps = torch.zeros((), dtype=torch.float32, device=W.device)
            self.moments[W] = (torch.zeros_like(W), torch.zeros_like(W), steps)

    def correlate_(self, W: Tensor, D: Tensor, H: Tensor, over: float, minus: Pair | None = None) -> None:
        """Form the correlation in a scratch, step along it and let it go."""
        self.step_(W, blend_(torch.empty_like(W), (D, H), minus, keep=0, gain=1 / over))

    def step_(self, b: Tensor, G: Tensor, over: float = 1.0) -> None:
        """Step along the gradient `G / over`."""
        m, v, steps = self.moments[b]
        G = laid_out(G if over == 1 else G.div_(over), b)
        torch._fused_adam_(
            [b], [G], [m], [v], [], [steps.add_(1)], amsgrad=False, maximize=False,
            beta1=self.beta1, beta2=self.beta2, lr=self.eta, weight_decay=self.decay, eps=self.epsilon,
        )  # fmt: skip


def laid_out(G: Tensor, b: Tensor) -> Tensor:
    """Return G with its values in the order in memory that those of `b` have: the fused kernels pair values by place."""
    return G if G.stride() == b.stride() else torch.empty_like(b).copy_(G)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "momentum": Momentum, "adam": Adam}
FRACTIONS = ("mu", "beta1", "beta2")


def default(**spec: Any) -> Any:
    """Return a dataclass field for an optimizer, as `{name: ..., eta: ...}`."""
    return dataclasses.field(default_factory=lambda: dict(spec), metadata={"check": lambda name, value: make(value)})


def make(spec: Mapping[str, Any], weights: Iterable[Tensor] = ()) -> Optimizer:
    """Build the optimizer of some weights from `{name: sgd | momentum | adam, eta: ..., ...}`.

    LearnerError for an unknown name or option, or a number out of range.
    """
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise LearnerError(f"optimizer is {spec!r}; expected a name and its numbers, such as {{name: adam, eta: 1e-4}}")
    kind = lookup("optimizer", spec["name"], OPTIMIZERS)
    options = {key: value for key, value in spec.items() if key != "name"}
    defaults = {item.name: item.default for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key, value in options.items():
        chosen(f"option of {spec['name']}", key, defaults)
        _check(f"{key} of {spec['name']}", value, defaults[key], below=1 if key in FRACTIONS else math.inf)
    optimizer = kind(**options)
    optimizer.track(*weights)
    return optimizer


def _check(what: str, value: Any, default: Any, below: float) -> None:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise LearnerError(f"{what} is {value!r}; expected true or false")
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < below:
        bound = "" if below == math.inf else f" and below {below}"
        raise LearnerError(f"{what} is {value!r}; expected a number of at least 0{bound}")
