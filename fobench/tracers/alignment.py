"""How far fixed feedback and the weights that it stands for point the same way, in degrees.

With layers W_1 .. W_L (n_l x n_{l-1}) and matrices flattened to vectors:

    PEPITA   angle(F, (W_L ... W_1)^T)           F: n_0 x C; anti-alignment (above 90) for s = +1, below 90 for s = -1
             angle(F_l, W_l^T)                   with weight mirroring, factor by factor
    FA       angle(B_l, W_l^T)                   B_l: n_{l-1} x n_l, or a kernel in the shape of W_l
    DFA      angle(B_l, (W_L ... W_{l+1})^T)     B_l: n_l x C

arccos(<A, F> / (||A||_F ||F||_F)), after the released code of PEPITA (Dellaferrera and Kreiman, 2022). Two random matrices
of n entries meet at 90 degrees with a deviation of about 57.3 / sqrt(n).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor

from fobench.contracts import Learner, Provenance, Reading, Split, TracerError

Pair = tuple[str, Tensor, Tensor]
"""Symbol of the feedback, the feedback, and the weights that it stands for."""


class Alignment:
    """Angles between the feedback of PEPITA, FA or DFA and its weights; the channel is the feedback's symbol.

    A matrix of zeros (weights that begin at zero) has no angle, and no row.
    """

    throughout = True

    def unavailable(self) -> str | None:
        """Say that it can always look."""
        return None

    def observe(self, learner: Learner, split: Split) -> list[Reading]:
        """Return one angle per feedback matrix of `state()`; raises TracerError where there is none to compare."""
        pairs = list(_pairs(learner.state()))
        if not pairs:
            raise TracerError(
                "no feedback matrix in state() that stands for weights, as F of PEPITA or B of FA and DFA"
            )
        angles = [(symbol, degrees(*pair)) for symbol, *pair in pairs if all(matrix.any() for matrix in pair)]
        return [Reading("angle", angle, Provenance.MEASURED, symbol) for symbol, angle in angles]


def degrees(A: Tensor, F: Tensor) -> float:
    """Return the angle between two matrices of one shape, flattened; one of zeros has no direction."""
    a, f = A.flatten().double(), F.flatten().double()
    cosine = a @ f / (a.norm() * f.norm())
    return float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))))


def numbered(state: Mapping[str, Tensor], letter: str) -> dict[int, Tensor]:
    """Return the tensors `W1`, `W2`, ... of one letter by their numbers, in order."""
    found = {int(symbol[1:]): tensor for symbol, tensor in state.items() if re.fullmatch(rf"{letter}\d+", symbol)}
    return dict(sorted(found.items()))


def _pairs(state: Mapping[str, Tensor]) -> Iterator[Pair]:
    W, B = numbered(state, "W"), numbered(state, "B")
    if "F" in state:
        yield "F", state["F"], _product(W, 1)
        yield from ((f"F{number}", F, W[number].T) for number, F in numbered(state, "F").items())
    elif B and list(B) == list(W)[1:]:
        yield from ((f"B{number}", F, W[number].T if F.dim() == 2 else W[number]) for number, F in B.items())
    elif B and list(B) == list(W)[:-1]:
        yield from ((f"B{number}", F, _product(W, number + 1)) for number, F in B.items())


def _product(W: Mapping[int, Tensor], first: int) -> Tensor:
    """Return (W_L ... W_first)^T, n_{first-1} x n_L."""
    chain = [tensor for number, tensor in W.items() if number >= first]
    if any(tensor.dim() != 2 for tensor in chain) or any(a.shape[0] != b.shape[1] for a, b in pairwise(chain)):
        raise TracerError("the angle is that of a product of dense layers, and there is another kind of layer")
    return reduce(lambda product, W_l: product @ W_l.T, chain[1:], chain[0].T)
