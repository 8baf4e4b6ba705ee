"""What the members of the PEPITA family share: a network that a batch runs through twice, plain and modulated by its error.

H_l = g(f(A_l) o mask_l / keep)            hidden layers; mask_l: the units that are kept; g normalises, or is nothing
X^err = X + s E F^T                        modulated input, F: n_0 x C
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from fobench.contracts import Prediction, Role, Task, role
from fobench.learners.activations import ACTIVATIONS, output_of, scored
from fobench.learners.dropout import drop_, kept, masked_
from fobench.learners.initialisation import uniform_
from fobench.learners.layers import Node, WeightedNode, build, symbols, weighted, with_output
from fobench.learners.normalisation import least
from fobench.learners.optimizers import Optimizer, make
from fobench.learners.passes import Maps

TINY = 1e-12  # a silent sample has no direction
LARGE = 1000
"""Units of a layer whose mask, where it is used once, is drawn as it is applied."""


def _per_sample(H: Tensor) -> Tensor:
    """Return h / ||h||_2 of each sample, in place."""
    norm = torch.linalg.vector_norm(H.flatten(1), dim=1).clamp_min_(least(TINY, H))
    return H.div_(norm.view(-1, *(1,) * (H.dim() - 1)))


def _batch(H: Tensor) -> Tensor:
    """Return H / ||H||_F, the norm over samples and features together, in place."""
    return H.div_(torch.linalg.vector_norm(H).clamp_min_(least(TINY, H)))


NORMALISATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda H: H,
    "per-sample": _per_sample,
    "batch": _batch,
}


class Fields(Protocol):
    """The hyperparameters that every member of the family has."""

    network: Any
    activation: str
    output: str
    sign: int
    keep: float
    normalisation: str
    feedback_scale: float
    bias: bool
    weight_init: str
    optimizer: Mapping[str, Any]
    decay_epochs: Sequence[int]


class Modulated:
    """A network with its output layer, dropout, normalisation and feedback matrix F."""

    def __init__(self, fields: Fields, task: Task, generator: torch.Generator, device: str) -> None:
        """Allocate and initialise the layers, then F = scale U(+-sqrt(6/n_0))."""
        f = ACTIVATIONS[fields.activation]
        self.nodes = build(with_output(fields.network, task), f, fields.weight_init, fields.bias, generator, device)
        *self.hidden, self.top = weighted(self.nodes)
        self.F = uniform_(torch.empty(task.inputs, task.outputs, device=device), task.inputs, generator)
        self.F.mul_(fields.feedback_scale)
        self.task, self.generator = task, generator
        self.p = output_of(fields.output, task)
        self.sign, self.keep = fields.sign, fields.keep
        self.normalise_ = NORMALISATIONS[fields.normalisation]
        self.own = {node.index for node in self.hidden}

    def draw(self, node: Node, samples: int, generator: torch.Generator) -> Tensor | None:
        """Draw the mask of kept units of a hidden layer, N x its shape; None where nothing is dropped."""
        if self.keep == 1 or node.index not in self.own:
            return None
        return kept((samples, *node.layer.output_shape), 1 - self.keep, generator, self.F.device)

    def draw_once(self, node: Node, samples: int, generator: torch.Generator) -> Tensor | torch.Generator | None:
        """Return the mask of a layer that uses it once; where that is large, the generator that will draw it in parts."""
        in_parts = node.layer.units >= LARGE and node.layer.kind != "local"  # whose maps lie channels first
        return generator if in_parts else self.draw(node, samples, generator)

    def twin(self) -> torch.Generator:
        """Return a generator that will draw again what the learner's own draws from now on."""
        twin = torch.Generator(self.generator.device)
        return twin.set_state(self.generator.get_state())

    def activity(self, node: Node, before: tuple[Tensor, ...], mask: Tensor | torch.Generator | None) -> Tensor:
        """Return H_l after activation, mask (or one that is drawn as it is applied) and normalisation; of the output P."""
        if node is self.top:
            return self.p(node(*before))
        H = node.activity(*before)
        if node.index not in self.own:
            return H
        if mask is not None and self.keep < 1:
            H = masked_(H, mask) if isinstance(mask, Tensor) else drop_(H, 1 - self.keep, mask)
            H.div_(self.keep)
        return self.normalise_(H)

    def standard_pass(self, x: Tensor, mask: Callable[[Node], Tensor | None], kept: Collection[int] = ()) -> Maps:
        """Take the standard pass; the activities of the nodes `kept`, and P, are in the result."""
        H = Maps(self.nodes, x, kept)
        for node in self.nodes:
            H[node] = self.activity(node, H.before(node), mask(node))
        return H

    @role(Role.PROJECTION)
    def modulate(self, x: Tensor, E: Tensor) -> Tensor:
        """Return X^err = X + s E F^T, shaped as x."""
        return torch.addmm(x.flatten(1), E, self.F.T, alpha=self.sign).view(x.shape)

    def modulated_maps(self, x: Tensor, E: Tensor) -> Maps:
        """Return the activities of a modulated pass that has X^err only, which is let go like any other."""
        return Maps.passing(self.nodes, self.modulate(x, E))

    @role(Role.SECOND_PASS)
    def modulated_pass(self, node: Node, before: tuple[Tensor, ...], mask: Tensor | torch.Generator | None) -> Tensor:
        """Take the modulated pass one layer on: H_l^err."""
        return self.activity(node, before, mask)

    def predict(self, x: Tensor) -> Prediction:
        """Score one batch by the output of a standard pass without masks, or a reconstruction by its squared error."""
        H = self.standard_pass(x, lambda node: None)
        return Prediction(scored(self.task, H.pop(self.top), x))

    def state(self) -> dict[str, Tensor]:
        """Return W1, ... (last the output layer) and F."""
        return {**symbols(self.nodes), "F": self.F}


def averaged_over(node: WeightedNode, D: Tensor) -> int:
    """Return what the sum of correlations is divided by: N, for a kernel N times the positions it was applied at."""
    return len(D) * (node.layer.positions if node.layer.kind in ("conv", "depthwise") else 1)


def schedule(steps: Optimizer, fields: Fields, epoch: int) -> None:
    """Divide eta by ten at each of `decay_epochs`."""
    steps.eta = make(fields.optimizer).eta * 0.1 ** sum(epoch >= start for start in fields.decay_epochs)


def one_hot(T: Tensor, like: Tensor) -> Tensor:
    """Return the target as rows, N x C."""
    return T if T.is_floating_point() else torch.zeros_like(like).scatter_(1, T[:, None], 1)
