"""One number explained line by line: the published sheet column by column, the complete program operation by operation."""

from __future__ import annotations

from collections.abc import Iterator

from fobench.cli.text import count, table
from fobench.contracts import Phase
from fobench.costs.fit import Need
from fobench.costs.program import Format, Program
from fobench.costs.published import TRAINING, Published
from fobench.costs.sheet import COLUMNS, Sheet


def published_lines(sheet: Sheet, found: Published, element_bytes: int) -> Iterator[str]:
    """Yield the sheet: one line per operator, each product times how often a training sample pays it."""
    times = TRAINING[found.rule]
    columns = [name for name in COLUMNS if name in times]
    yield "published accounting (Pau and Aymone 2023; analytical): one sample, update in place, MACs of a training sample"
    rows = [["operator", "kind", "buffer B", "parameters", *(f"{times[name]} x {name}" for name in columns)]]
    operators = sheet.network if found.rule == "ff" else sheet.operators
    for item in operators:
        products = [count(times[name] * item.macs.get(name, 0)) for name in columns]
        width = 4 if item.kind == "softmax" else element_bytes
        rows.append([item.name, item.kind, count(item.output * width), count(item.weights + item.biases), *products])
    for name in [name for name in times if name not in columns]:
        rows.append([f"{name} of the sample", name, "", "", count(found.training[name])])
    yield from table(rows, left=(0, 1))
    yield from _sum("training MACs", found.training)
    yield from _sum("inference MACs", found.inference)
    yield f"  training RAM = {count(found.parameters)} parameters + {count(found.training_activations)} activations"
    yield f"               = {count(found.training_ram)} B;  inference RAM = {count(found.inference_ram)} B"


def _sum(title: str, parts: object) -> Iterator[str]:
    assert isinstance(parts, dict)
    terms = " + ".join(f"{count(value)} {name}" for name, value in parts.items())
    yield f"  {title} = {terms} = {count(sum(parts.values()))}"


def complete_lines(program: Program, batch: int, format: Format, phase: Phase) -> Iterator[str]:
    """Yield a phase of the program: one line per operation, with its MACs per sample and the bytes alive."""
    step = program.step(phase)
    alive = step.live(step.lifetimes(batch, format))
    peak = max(alive, default=0)
    yield f"complete accounting, {'training step' if phase is Phase.TRAIN else 'inference'} (analytical): {format}, batch {batch}"
    rows = [["", "operation", "role", "MACs / sample", "B beside what stays"]]
    for number, (op, live) in enumerate(zip(step.ops, alive, strict=True)):
        macs = count(op.macs) if op.macs else ""
        mark = " <- peak" if live == peak else ""
        rows.append([str(number), op.name, str(op.role or "elementwise"), macs, count(live) + mark])
    yield from table(rows, left=(1, 2, 4))


def role_lines(program: Program, phase: Phase, need: Need) -> Iterator[str]:
    """Yield MACs by role and bytes by role at the dearest moment."""
    macs = program.macs(phase)
    rows = [["MACs / sample by role", ""], *([f"  {role}", count(value)] for role, value in macs.items())]
    rows.append(["  total", count(sum(macs.values()))])
    rows.append(["bytes by role at the peak (a chip that goes on learning keeps all that stays between steps)", ""])
    rows += [[f"  {role}", count(value)] for role, value in need.roles.items() if value]
    rows.append(["  total alive (no plan can need less)", count(need.bound)])
    rows.append(["  RAM as planned (arena and what stays)", count(need.ram)])
    yield from table(rows)
