"""One pass over a network: which activations are alive, and how signals come back.

A network is a list of nodes in an order in which each reads earlier ones. An activation lives until its last reader has run,
or as long as the rule keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from torch import Tensor

from fobench.learners.layers import Node, Pool
from fobench.learners.optimizers import Optimizer


class Maps:
    """The activations of one pass by the index of their node (-1: the input), let go after their last reader."""

    def __init__(self, nodes: Sequence[Node], x: Tensor, kept: Collection[int] = ()) -> None:
        """Begin with the input `x`; activations of the nodes `kept` stay until they are popped."""
        self.held = {-1: x}
        self.kept = {-1, *kept}
        self.readers = Counter(source for node in nodes for source in node.sources)

    @classmethod
    def passing(cls, nodes: Sequence[Node], x: Tensor, kept: Collection[int] = ()) -> Maps:
        """Begin likewise, with an input that is let go after its last reader, like any activation."""
        H = cls(nodes, x, kept)
        H.kept.discard(-1)
        return H

    def again(self, nodes: Sequence[Node]) -> Maps:
        """Return what this pass has kept, to be let go after its last reader among `nodes`."""
        H = Maps.passing(nodes, self.held[-1])
        H.held = self.held
        return H

    def before(self, node: Node) -> tuple[Tensor, ...]:
        """Return what `node` reads, and let go of what nobody reads after it."""
        found = tuple([self.held[source] for source in node.sources])
        for source in node.sources:
            self.readers[source] -= 1
        for source in node.sources:
            if self.free(source):
                self.held.pop(source, None)
        return found

    def own(self, node: Node) -> Tensor:
        """Return the input of `node` as a tensor that may be written into: a copy where it is still needed."""
        (H,) = self.before(node)
        return H if self.free(node.sources[0]) else H.clone()

    def free(self, source: int) -> bool:
        """Say whether nobody needs an activation any more."""
        return self.readers[source] <= 0 and source not in self.kept

    def __setitem__(self, node: Node, H: Tensor) -> None:
        self.held[node.index] = H

    def __getitem__(self, index: int) -> Tensor:
        return self.held[index]

    def pop(self, node: Node) -> Tensor:
        """Return the activation of `node` and let it go."""
        return self.held.pop(node.index)


class Signals:
    """What has come down to each node so far, summed over the nodes that read it."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Begin with no signal."""
        self.nodes = nodes
        self.waiting: dict[int, Tensor] = {}

    def send(self, node: Node, signal: Tensor) -> None:
        """Add what `node` sends to its sources; the second addend of an `add` receives a copy where it must."""
        for place, source in enumerate(node.sources):
            if source < 0:
                continue
            if source in self.waiting:
                self.waiting[source] = self.waiting[source].add_(signal)
            else:
                shared = place and self._written(node.sources[0])
                self.waiting[source] = signal.clone() if shared else signal

    def _written(self, source: int) -> bool:
        """Say whether a node may write into the signal it receives."""
        return source >= 0 and (not self.nodes[source].weights or self.nodes[source].f.reads_activity)

    def holds(self, D: Tensor) -> bool:
        """Say whether the signal D is waiting for another node as well."""
        return any(signal is D for signal in self.waiting.values())

    def pop(self, node: Node) -> Tensor:
        """Return the signal of `node`, which may be written into."""
        return self.waiting.pop(node.index)


def reads_again(node: Node) -> bool:
    """Say whether the way back reads again what `node` read: a layer with weights, or a maximum pool."""
    return bool(node.weights) or (isinstance(node, Pool) and node.largest)


def kept_for_derivatives(nodes: Sequence[Node]) -> set[int]:
    """Return the nodes whose activity a backward path reads again.

    What layers with weights and maximum pools read, and what activated nodes gave.
    """
    reread = {source for node in nodes if reads_again(node) for source in node.sources}
    return (reread | {node.index for node in nodes if node.f.reads_activity}) - {-1}


def reached_by_signals(nodes: Sequence[Node]) -> set[int]:
    """Return the nodes that have a layer with weights at or below them."""
    reached: set[int] = set()
    for node in nodes:
        if node.weights or reached.intersection(node.sources):
            reached.add(node.index)
    return reached


Carry = Callable[[Node, Tensor, Tensor], Tensor]
"""What takes a node, its signal D and what it read to the signal of its source."""


def forward(nodes: Sequence[Node], H: Maps) -> None:
    """Take one pass through all nodes, `H_l = f(A_l)`; what is kept and the last activity are in `H` then."""
    for node in nodes:
        H[node] = node.activity(*H.before(node))


def backward(nodes: Sequence[Node], D: Tensor, H: Maps, carry: Carry, steps: Optimizer) -> None:
    """Carry the signal from D_L down and update each layer on the way; `H` is emptied.

    `D_{l-1} = carry(D_l) o f'(A_{l-1})`, with W_l from before its update; `G_l = D_l^T H_{l-1} / N`.
    """
    signals, reached = Signals(nodes), reached_by_signals(nodes)
    signals.waiting[nodes[-1].index] = D
    del D
    for node in reversed(nodes):
        if node.index not in reached:
            continue
        D = signals.pop(node)
        if node.f.reads_activity:
            D = node.f.derive_(D, H[node.index])
        H.held.pop(node.index, None)
        before = H.held.get(node.sources[0], D)  # an add or a mean pool reads nothing again
        signal = carry(node, D, before) if reached.intersection(node.sources) else None
        shared = signals.holds(D)  # an add gave D to its other addend, too, whose share must wait
        if shared:
            node.accumulate_(D, before, steps)
        if signal is not None:
            signals.send(node, signal)
            del signal
        if not shared:
            node.accumulate_(D, before, steps)
