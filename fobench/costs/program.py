"""A rule's training step and inference as a symbolic program, from which its MACs and its memory follow.

A program is a list of operations on named buffers. An operation is either a product (a contraction, with its role and
its MACs) or elementwise; a buffer lives from the operation that writes it first to the last one that touches it. Nothing
is computed: the sizes come from the layer records, so a program of a hundred layers takes milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from fobench.contracts import FobenchError, Phase, Role


class CostError(FobenchError):
    """A rule, an option or a network that no program can be written for."""


class Format(StrEnum):
    """How one value is stored."""

    INT8 = "int8"
    INT16 = "int16"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def bytes(self) -> int:
        """Bytes of one value."""
        return {"int8": 1, "int16": 2, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}[self.value]


class BufferRole(StrEnum):
    """What a buffer is for; a closed list."""

    INPUT = "input"  # the batch, x and y
    ACTIVATION = "activation"
    MODULATED = "modulated"  # of a second pass, its input included
    ERROR = "error"
    MASK = "mask"
    OUTPUT = "output"  # logits and scores
    WEIGHT = "weight"
    BIAS = "bias"
    FEEDBACK = "feedback"
    OPTIMIZER = "optimizer"
    STATISTIC = "statistic"  # running means, thresholds
    SCRATCH = "scratch"  # gradients that are not fused, padded copies, noise


class Kind(StrEnum):
    """What an element of a buffer is: a value in the chosen format, or a flag of one byte."""

    VALUE = "value"
    FLAG = "flag"


@dataclass(frozen=True)
class Buffer:
    """A place in memory; `elements` are those of one sample if it grows with the batch."""

    name: str
    role: BufferRole
    elements: int
    per_sample: bool = True
    kind: Kind = Kind.VALUE

    def bytes(self, batch: int, format: Format) -> int:
        """Return its size at this batch size and format."""
        width = format.bytes if self.kind is Kind.VALUE else 1
        return self.elements * width * (batch if self.per_sample else 1)


@dataclass(frozen=True)
class Op:
    """One equation; a name that is both read and written is changed in place.

    `macs` (of a product) and `elementwise` are counted per sample or, with `per_step`, once per step whatever the batch.
    """

    name: str
    role: Role | None
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    macs: float = 0
    elementwise: float = 0
    per_step: bool = False


@dataclass(frozen=True)
class Lifetime:
    """A buffer with the numbers of the first and last operation that it must exist for, and its bytes."""

    buffer: Buffer
    first: int
    last: int
    bytes: int


@dataclass(frozen=True)
class Peak:
    """The largest sum of bytes that exist at once, the number of the first operation that reaches it, and its parts."""

    bytes: int
    op: int
    roles: Mapping[BufferRole, int]


@dataclass(frozen=True)
class Step:
    """One phase of a program: operations in order, and the buffers that come and go with them."""

    buffers: Mapping[str, Buffer]
    ops: tuple[Op, ...]

    def lifetimes(self, batch: int, format: Format) -> list[Lifetime]:
        """Return when each buffer lives, in order of appearance; the batch is there from the start."""
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for number, op in enumerate(self.ops):
            for name in (*op.reads, *op.writes):
                if name in self.buffers:
                    born = 0 if self.buffers[name].role is BufferRole.INPUT else number
                    first.setdefault(name, born)
                    last[name] = number
        return [
            Lifetime(buffer, first[name], last[name], buffer.bytes(batch, format))
            for name, buffer in self.buffers.items()
            if name in first
        ]

    def macs(self, batch: int | None = None) -> dict[Role, float]:
        """Return MACs by role: of one sample, or with `batch` of one step, which adds those that are counted once."""
        counts: Counter[Role] = Counter()
        for op in self.ops:
            if op.role is not None and op.macs:
                counts[op.role] += op.macs * _times(op, batch)  # type: ignore[assignment]
        return {role: count for role, count in counts.items() if count}

    def elementwise(self, batch: int | None = None) -> float:
        """Return elementwise operations: of one sample, or with `batch` of one step."""
        return sum(op.elementwise * _times(op, batch) for op in self.ops)

    def minimum(self, batch: int, format: Format) -> int:
        """Return the largest sum, over the products, of batch-sized buffers that are operand, result or needed later.

        Whole buffers; the incoming batch is not counted; a flag (dropout mask) is one byte.
        """
        counted = [
            life
            for life in self.lifetimes(batch, format)
            if life.buffer.per_sample and life.buffer.role is not BufferRole.INPUT
        ]
        sums = self.live(counted)
        return max((total for op, total in zip(self.ops, sums, strict=True) if op.macs), default=0)

    def live(self, lifetimes: list[Lifetime]) -> list[int]:
        """Return the sum of bytes that live during each operation."""
        changes = [0] * (len(self.ops) + 1)
        for life in lifetimes:
            changes[life.first] += life.bytes
            changes[life.last + 1] -= life.bytes
        return list(accumulate(changes))[:-1]


def _times(op: Op, batch: int | None) -> int:
    if batch is None:
        return 0 if op.per_step else 1
    return 1 if op.per_step else batch


@dataclass(frozen=True)
class Program:
    """A rule on a network: what stays between steps, one training step, and one inference."""

    rule: str
    persistent: Mapping[str, Buffer]
    train: Step
    infer: Step

    def step(self, phase: Phase) -> Step:
        """Return the step of a phase, `train` or `infer`."""
        return self.train if Phase(phase) is Phase.TRAIN else self.infer

    def macs(self, phase: Phase = Phase.TRAIN) -> dict[Role, float]:
        """Return MACs per sample by role."""
        return self.step(phase).macs()

    def lifetimes(self, batch: int, format: Format, phase: Phase = Phase.TRAIN) -> list[Lifetime]:
        """Return the lifetimes of what comes and goes in a phase."""
        return self.step(phase).lifetimes(batch, format)

    def minimum(self, batch: int, format: Format, phase: Phase = Phase.TRAIN) -> int:
        """Return the least batch-proportional bytes that the rule's order of products needs."""
        return self.step(phase).minimum(batch, format)

    def persistent_bytes(self, format: Format) -> dict[BufferRole, int]:
        """Return the bytes that stay between steps, by role."""
        return _by_role((buffer.role, buffer.bytes(1, format)) for buffer in self.persistent.values())

    def peak(self, batch: int, format: Format, phase: Phase = Phase.TRAIN) -> Peak:
        """Return the complete accounting: all bytes that exist at the step's dearest moment, persistent ones included."""
        step = self.step(phase)
        lifetimes = step.lifetimes(batch, format)
        sums = step.live(lifetimes)
        moment = max(range(len(sums)), key=sums.__getitem__)
        alive = _by_role((life.buffer.role, life.bytes) for life in lifetimes if life.first <= moment <= life.last)
        roles = Counter(alive) + Counter(self.persistent_bytes(format))
        return Peak(sum(roles.values()), moment, dict(roles))


def _by_role(pairs: Iterator[tuple[BufferRole, int]]) -> dict[BufferRole, int]:
    counts: Counter[BufferRole] = Counter()
    for role, count in pairs:
        counts[role] += count
    return dict(counts)
