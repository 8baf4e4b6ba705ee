"""Write a program operation by operation, in the symbols of the rules.

A rule gives every map a name of its own. Where the equations allow it, the builder then lets an elementwise operation
overwrite an operand that nobody reads again (a sum, a difference, a derivative), as the learners do; the place keeps the
name under which it was born.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fobench.contracts import Role
from fobench.costs.graph import INPUT
from fobench.costs.program import Buffer, BufferRole, Kind, Op, Step
from fobench.networks import Layer


@dataclass
class Draft:
    """The operations of one phase as they are written; `rows` versions of each sample go through the network at once.

    Without `in_place` every elementwise result but f(A) has a place of its own, as autograd has it.
    """

    persistent: dict[str, Buffer]
    padded: bool = False
    rows: int = 1
    in_place: bool = True
    repeats: float = 1
    """How often the operations run per sample: passes one after the other, or the share of samples that get here."""
    buffers: dict[str, Buffer] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    replaceable: list[bool] = field(default_factory=list)

    def batch(self, inputs: int, labelled: bool) -> None:
        """Declare the incoming batch: x, and the labels y where the task has them."""
        self.buffers[INPUT] = Buffer(INPUT, BufferRole.INPUT, inputs)
        if labelled:
            self.buffers["y"] = Buffer("y", BufferRole.INPUT, 1)

    def value(self, name: str, role: BufferRole, elements: int, kind: Kind = Kind.VALUE) -> str:
        """Declare a buffer of the batch, of `rows` x `elements` per sample."""
        self.buffers[name] = Buffer(name, role, elements * self.rows, kind=kind)
        return name

    def scratch(self, name: str, elements: int) -> str:
        """Declare a buffer that comes and goes but does not grow with the batch."""
        self.buffers[name] = Buffer(name, BufferRole.SCRATCH, elements, per_sample=False)
        return name

    def product(self, text: str, role: Role, macs: int, reads: tuple[str, ...], write: str) -> None:
        """Write a contraction of `macs` per row."""
        self._append(Op(text, role, reads, (write,), macs=macs * self.rows * self.repeats))

    def each(
        self, text: str, reads: tuple[str, ...], write: str, elements: int | None = None, in_place: bool = True
    ) -> None:
        """Write an elementwise operation; `elements` per row if not those of the result."""
        count = self.elements(write) if elements is None else elements * self.rows
        self._append(Op(text, None, reads, (write,), elementwise=count * self.repeats), in_place)

    def once(self, text: str, reads: tuple[str, ...], write: str, elements: int) -> None:
        """Write an elementwise operation that a step does once, whatever the batch."""
        self._append(Op(text, None, reads, (write,), elementwise=elements, per_step=True))

    def product_once(self, text: str, role: Role, macs: int, reads: tuple[str, ...], write: str) -> None:
        """Write a contraction that a step does once, whatever the batch."""
        self._append(Op(text, role, reads, (write,), macs=macs, per_step=True))

    def padded_copy(self, layer: Layer, source: str) -> str:
        """Return the name of the map that a layer's windows slide over: a padded copy if the setting asks for it."""
        top, bottom, left, right = layer.padding if layer.kind in ("conv", "depthwise", "local") else (0, 0, 0, 0)
        if not (self.padded and top + bottom + left + right):
            return source
        channels, rows, columns = layer.input_shape
        elements = channels * (rows + top + bottom) * (columns + left + right)
        name = self.value(f"pad{len(self.ops)}({source})", BufferRole.SCRATCH, elements)
        self.each(f"{name} = {source} with zeros around", (source,), name, in_place=False)
        return name

    def elements(self, name: str) -> int:
        """Return the elements of a buffer, per sample if it grows with the batch."""
        return (self.buffers.get(name) or self.persistent[name]).elements

    def _append(self, op: Op, replaceable: bool = False) -> None:
        self.ops.append(op)
        self.replaceable.append(replaceable)

    def step(self) -> Step:
        """Return the finished phase, with results in the place of operands that are not read again."""
        last = {name: number for number, op in enumerate(self.ops) for name in (*op.reads, *op.writes)}
        place = {name: name for name in self.buffers}
        ops = []
        for number, op in enumerate(self.ops):
            result = op.writes[0]
            if self.in_place and self.replaceable[number] and result in place and result not in op.reads:
                dying = [name for name in op.reads if last[name] == number and self._fits(name, result)]
                place[result] = place[dying[0]] if dying else result
            reads = tuple(dict.fromkeys(place.get(name, name) for name in op.reads))
            ops.append(replace(op, reads=reads, writes=(place.get(result, result),)))
        used = {name for op in ops for name in (*op.reads, *op.writes)}
        return Step({name: buffer for name, buffer in self.buffers.items() if name in used}, tuple(ops))

    def _fits(self, name: str, result: str) -> bool:
        if name not in self.buffers or self.buffers[name].role is BufferRole.INPUT:
            return False
        one, other = self.buffers[name], self.buffers[result]
        return (one.elements, one.per_sample, one.kind) == (other.elements, other.per_sample, other.kind)
