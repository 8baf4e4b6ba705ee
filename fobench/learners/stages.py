"""Layers that learn alone: what belongs to layer l, what its input comes through, and the local read-out that teaches it.

Layer l is a node with weights and its tail, the pools right behind it; its read-out sees the map behind the tail, and its
local error comes back through the tail's adjoint and no further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fobench.contracts import Role, role
from fobench.learners.activations import error_
from fobench.learners.checks import lookup
from fobench.learners.layers import Node, Pool, WeightedNode, weighted
from fobench.learners.optimizers import Optimizer
from fobench.learners.passes import Maps

Activity = Callable[..., Tensor]
"""What takes a node and what it reads to its activity H."""


@dataclass(frozen=True)
class Stage:
    """One layer that learns alone; `path` are the nodes that its input comes through, in order."""

    node: WeightedNode
    tail: tuple[Node, ...]
    path: tuple[Node, ...]

    @property
    def end(self) -> Node:
        """The node whose map the read-out and the layers above see."""
        return self.tail[-1] if self.tail else self.node

    @property
    def units(self) -> int:
        """Number of values that the read-out sees."""
        return self.end.layer.units

    def ascend(self, H: Tensor) -> list[Tensor]:
        """Return H and the maps behind each node of the tail."""
        maps = [H]
        for node in self.tail:
            maps.append(node(maps[-1]))
        return maps

    def descend(self, D: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Return the signal at H from the signal at the read-out."""
        for node, seen in zip(reversed(self.tail), reversed(maps[:-1]), strict=True):
            D = node.adjoint(D, seen)
        return D

    def derived(self, D: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Return D o f'(A) of the node from the signal D at the read-out.

        A mean over the whole map sends one value to all positions, a view; H, which the pool alone reads, gives it a place.
        """
        f, H = self.node.f, maps[0]
        if f.reads_activity and [isinstance(node, Pool) and node.over_all for node in self.tail] == [True]:
            return f.derivative_(D.div(self.node.layer.positions).expand_as(H), H, H)
        return f.derive_(self.descend(D, maps), H)


def stages(nodes: Sequence[Node]) -> list[Stage]:
    """Return layers 1, 2, ... of a network."""
    return [Stage(node, tuple(_tail(node, nodes)), tuple(_path(node, nodes))) for node in weighted(nodes)]


def _tail(node: Node, nodes: Sequence[Node]) -> Iterator[Node]:
    while True:
        readers = [reader for reader in nodes if node.index in reader.sources]
        if len(readers) != 1 or not isinstance(readers[0], Pool) or readers[0].layer.activated:
            return
        (node,) = readers
        yield node


def _path(node: Node, nodes: Sequence[Node]) -> list[Node]:
    wanted = set(node.sources)
    for below in reversed(nodes[: node.index]):
        if below.index in wanted:
            wanted.update(below.sources)
    return [below for below in nodes if below.index in wanted]


def arrive(stage: Stage, x: Tensor, activity: Activity) -> Tensor:
    """Return what a layer reads, taken through the nodes of its path; nothing else is kept."""
    H = Maps([*stage.path, stage.node], x)
    for node in stage.path:
        H[node] = activity(node, *H.before(node))
    return H.before(stage.node)[0]


def sweep(layers: Sequence[Stage], x: Tensor, step: Callable[[int, Tensor], Tensor], activity: Activity) -> None:
    """Go up once through all nodes that a layer needs; `step` takes a layer's number and input to the map at its end."""
    numbers = {stage.node.index: number for number, stage in enumerate(layers)}
    tails = {node.index for stage in layers for node in stage.tail}
    needed = {node.index: node for stage in layers for node in (*stage.path, stage.node)}
    nodes = [needed[index] for index in sorted(needed)]
    H = Maps(nodes, x)
    for node in nodes:
        if node.index in numbers:
            number = numbers[node.index]
            read = step(number, *H.before(node))
            if not H.free(layers[number].end.index):
                H[layers[number].end] = read
            del read
        elif node.index not in tails:
            H[node] = activity(node, *H.before(node))


@dataclass(frozen=True)
class ReadOut:
    """Local logits `O = H B^T + b` of one layer: B C x n_l; b, where there is one, C.

    The n_l units count channels, rows, columns, as a flattened map's do. Maps lie in memory channels last: B, which is the
    smaller one, is put into their order, never a map into its.
    """

    B: Tensor
    b: Tensor | None = None

    @role(Role.PROJECTION)
    def logits(self, H: Tensor) -> Tensor:
        """Return O, N x C."""
        B, H = in_order_of(H, self.B), in_memory(H)
        return torch.mm(H, B.T) if self.b is None else torch.addmm(self.b, H, B.T)

    def error(self, H: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return `E = softmax(O) - T`, N x C, and O."""
        logits = self.logits(H)
        return error_(torch.softmax(logits, 1), y), logits

    @role(Role.PROJECTION)
    def feed_back(self, E: Tensor, H: Tensor) -> Tensor:
        """Return D = E B in the shape of the layer's map H, and in its order in memory."""
        D = torch.mm(E, in_order_of(H, self.B))
        if not _channels_last(H):
            return D.view(H.shape)
        return D.view(len(H), *H.shape[2:], H.shape[1]).permute(0, 3, 1, 2)

    def agreement(self, E: Tensor, logits: Tensor) -> Tensor:
        """Return sum_i D_ni H_ni of each sample, which is sum_c E_nc (O_nc - b_c), behind a tail of pools as before it."""
        return (E * (logits if self.b is None else logits - self.b)).sum(1)


def _channels_last(H: Tensor) -> bool:
    return H.dim() == 4 and not H.is_contiguous() and H.is_contiguous(memory_format=torch.channels_last)


def in_memory(H: Tensor) -> Tensor:
    """Return a map as N x n_l in the order in which it lies in memory: a view."""
    return H.permute(0, 2, 3, 1).flatten(1) if _channels_last(H) else H.flatten(1)


def in_order_of(H: Tensor, B: Tensor) -> Tensor:
    """Return a matrix of n_l columns (channels, rows, columns) with its columns in the order of `in_memory(H)`."""
    if not _channels_last(H):
        return B
    return B.view(len(B), *H.shape[1:]).permute(0, 2, 3, 1).flatten(1)


def in_order_of_units(H: Tensor, G: Tensor) -> Tensor:
    """Return a matrix whose n_l columns are in the order of `in_memory(H)` in that of the units: undo `in_order_of`."""
    if not _channels_last(H):
        return G
    return G.view(len(G), *H.shape[2:], H.shape[1]).permute(0, 3, 1, 2).flatten(1)


def correlate_units_(steps: Optimizer, W: Tensor, E: Tensor, H: Tensor) -> None:
    """Let W, C x n_l, step along `E^T H / N`, without a copy of the map."""
    if H.dim() == 2:
        steps.correlate_(W, E, H, len(E))
    else:
        steps.step_(W, in_order_of_units(H, torch.mm(E.T, in_memory(H))), len(E))


def read_outs(
    name: str, layers: Sequence[Stage], classes: int, generator: torch.Generator, device: str
) -> list[ReadOut]:
    """Draw the read-outs of all layers, in order; ternary ones are shared by layers of one width."""
    draw = lookup("feedback", name, READ_OUTS)
    widths = [stage.units for stage in layers]
    if name != "ternary":
        return [draw(classes, n, generator, device) for n in widths]
    shared = {n: draw(classes, n, generator, device) for n in dict.fromkeys(widths)}
    return [shared[n] for n in widths]


def _gaussian(classes: int, units: int, generator: torch.Generator, device: str) -> ReadOut:
    """N(0, 1)."""
    return ReadOut(torch.empty(classes, units, device=device).normal_(generator=generator))


def _kaiming(classes: int, units: int, generator: torch.Generator, device: str) -> ReadOut:
    """N(0, 2/n_l)."""
    return ReadOut(torch.empty(classes, units, device=device).normal_(0, (2 / units) ** 0.5, generator=generator))


def _linear(classes: int, units: int, generator: torch.Generator, device: str) -> ReadOut:
    """U(+-1/sqrt(n_l)), bias too: the default of nn.Linear."""
    bound = units**-0.5
    B, b = torch.empty(classes, units, device=device), torch.empty(classes, device=device)
    return ReadOut(B.uniform_(-bound, bound, generator=generator), b.uniform_(-bound, bound, generator=generator))


def _ternary(classes: int, units: int, generator: torch.Generator, device: str) -> ReadOut:
    """Floor(n C / 6) entries +1, as many -1, the rest 0, at random places."""
    places = torch.randperm(classes * units, generator=generator, device=device)
    share = classes * units // 6
    B = torch.zeros(classes * units, device=device)
    B[places[:share]] = 1
    B[places[share : 2 * share]] = -1
    return ReadOut(B.view(classes, units))


READ_OUTS: dict[str, Callable[[int, int, torch.Generator, str], ReadOut]] = {
    "gaussian": _gaussian,
    "ternary": _ternary,
    "linear": _linear,
    "kaiming": _kaiming,
}


def symbols(read: Sequence[ReadOut]) -> dict[str, Tensor]:
    """Name the fixed read-outs: `B1`, ... and, where they have one, their biases `Bb1`, ..."""
    named = {f"B{number}": out.B for number, out in enumerate(read, 1)}
    return named | {f"Bb{number}": out.b for number, out in enumerate(read, 1) if out.b is not None}
