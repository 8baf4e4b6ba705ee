"""The columns of the published spreadsheet: operators with their buffers and products, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COLUMNS = ("forward", "backward", "update", "goodness", "normalisation")
"""The kinds of product that the sheet counts for each operator."""

OUTPUT_STAGE = ("converter", "softmax")


@dataclass(frozen=True)
class Operator:
    """One operator: elements of its buffers, MACs of one sample by column, parameters.

    `inputs` are the maps that it reads, before padding; `padded` the padded copy that it reads in their place. `summed` says
    that BP and PEPITA are charged for its output (two slips leave one out).
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    output: int
    macs: Mapping[str, int]
    weights: int = 0
    biases: int = 0
    padded: int | None = None
    summed: bool = True

    @property
    def live(self) -> int:
        """Elements that are there while it runs: inputs (or their padded copy) and output."""
        return (sum(self.inputs) if self.padded is None else self.padded) + self.output


@dataclass(frozen=True)
class Sheet:
    """All operators of a network, in order, and the sizes of its input and output, in elements.

    `input_buffer` is what the sheet has typed for the input (two slips add 1); `labels` is how many FF tries.
    """

    operators: tuple[Operator, ...]
    inputs: int
    outputs: int
    input_buffer: int
    labels: int
    supervised: bool

    @property
    def network(self) -> tuple[Operator, ...]:
        """The operators before the output stage."""
        return tuple(operator for operator in self.operators if operator.kind not in OUTPUT_STAGE)

    @property
    def measured(self) -> tuple[Operator, ...]:
        """The operators whose buffers are charged: no padding by itself, no output stage."""
        return tuple(operator for operator in self.network if operator.kind != "padding")

    @property
    def peak(self) -> int:
        """Elements of the largest operator."""
        return max(operator.live for operator in self.measured)
