"""A network as the rules walk it: nodes with names, in topological order, the output layer on top where the rule has one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fobench import networks
from fobench.contracts import Task
from fobench.costs.program import CostError
from fobench.networks import Layer

INPUT = "x"


@dataclass(frozen=True)
class Node:
    """A layer, the name of its map (`H1`, `pool1`, `add1`), the maps that it reads, and its number among its like."""

    layer: Layer
    name: str
    sources: tuple[str, ...]
    number: int
    is_output: bool = False

    @property
    def weighted(self) -> bool:
        """Say whether it multiplies by weights; the number is then that of `W1`, `W2`, ..."""
        return self.layer.has_weights

    @property
    def units(self) -> int:
        """Number of values of its map."""
        return self.layer.units

    @property
    def source(self) -> str:
        """The first map that it reads."""
        return self.sources[0]


@dataclass(frozen=True)
class Graph:
    """The nodes of a network; a flatten is none, for it is the map before it, seen as a vector."""

    nodes: tuple[Node, ...]
    task: Task

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Nodes by the name of their map."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def consumers(self) -> dict[str, tuple[Node, ...]]:
        """The nodes that read each map."""
        readers: dict[str, list[Node]] = {name: [] for name in (INPUT, *self.by_name)}
        for node in self.nodes:
            for source in dict.fromkeys(node.sources):
                readers[source].append(node)
        return {name: tuple(nodes) for name, nodes in readers.items()}

    @cached_property
    def weighted(self) -> tuple[Node, ...]:
        """The nodes with weights."""
        return tuple(node for node in self.nodes if node.weighted)

    @property
    def hidden(self) -> tuple[Node, ...]:
        """The nodes with weights below the output layer."""
        return tuple(node for node in self.weighted if not node.is_output)

    @cached_property
    def carries_error(self) -> frozenset[str]:
        """Maps whose adjoint is needed because weights lie below them."""
        found: set[str] = set()
        for node in self.nodes:
            if node.weighted or any(source in found for source in node.sources):
                found.add(node.name)
        return frozenset(found)

    def path(self, *ends: Node) -> tuple[Node, ...]:
        """Return the nodes that some nodes need, themselves included, in order."""
        needed = {node.name for node in ends}
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.sources)
        return tuple(node for node in self.nodes if node.name in needed)

    def tail(self, node: Node) -> tuple[Node, ...]:
        """Return the pools that follow a node with no other reader between: its stage ends with them."""
        found: list[Node] = []
        readers = self.consumers[node.name]
        while len(readers) == 1 and readers[0].layer.kind == "pool":
            found.append(readers[0])
            readers = self.consumers[readers[0].name]
        return tuple(found)


def graph(network: Any, task: Task, output: bool) -> Graph:
    """Return the graph of a network for a task, with the rule's `dense(task.outputs)` on top or without.

    Raises NetworkError where the shapes do not fit, CostError for a network in which a rule without output layer has
    nothing to train.
    """
    records = networks.expand(network)
    shaped = networks.layers([*records, networks.dense(task.outputs)] if output else records, task)
    names: dict[int, str] = {-1: INPUT}
    counts = {"H": 0, "pool": 0, "add": 0}
    nodes: list[Node] = []
    for index, layer in enumerate(shaped):
        sources = tuple(names[source] for source in layer.sources)
        if layer.kind == "flatten":
            names[index] = sources[0]
            continue
        like = "H" if layer.has_weights else layer.kind
        counts[like] += 1
        names[index] = f"{like}{counts[like]}"
        is_output = output and index == len(shaped) - 1
        nodes.append(Node(layer, names[index], sources, counts[like], is_output))
    if not any(node.weighted for node in nodes):
        raise CostError("this rule trains hidden layers only, and the network has none; give it widths")
    return Graph(tuple(nodes), task)


def require_classes(rule: str, task: Task) -> None:
    """Raise CostError for a rule that needs class labels on a task without them."""
    if task.kind != "classification":
        raise CostError(f"{rule} needs class labels, the task is a {task.kind}; take bp, ff, pepita or mempepita")
