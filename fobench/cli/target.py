"""Which network a cost verb is about: a name with its task, or a network file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fobench.contracts import FobenchError, Task

Shape = Annotated[
    str | None,
    typer.Option(
        "--input", help="Input of a named network: 3x32x32 or 640 [default: its own task].", show_default=False
    ),
]
Classes = Annotated[
    int | None, typer.Option("--classes", min=2, help="Classes of a named network.", show_default=False)
]


@dataclass(frozen=True)
class Target:
    """A network, its task and what it is called."""

    name: str
    network: Any
    task: Task


def target(network: str, shape: str | None = None, classes: int | None = None) -> Target:
    """Return the network of a file (`.yaml`), or a named one for its own task or the one given; its shapes are checked."""
    from fobench.networks import dense, expand, layers, named_tasks

    if network.endswith((".yaml", ".yml")) or Path(network).is_file():
        from fobench.costs.network_file import read

        if shape or classes:
            raise FobenchError(f"{network} says itself what its input and classes are; remove --input and --classes")
        found = read(Path(network))
        return Target(found.name, list(found.records), found.task)
    records, own = expand(_widths(network) or network), named_tasks().get(network)
    if shape is None and own is None:
        raise FobenchError(
            f"{network} has no task of its own; give --input 3x32x32 and --classes 10, or a network file"
        )
    sizes = _sizes(shape) if shape else own.input_shape if own else ()
    if classes is None and own is None:
        raise FobenchError(f"{network} has no task of its own; give --classes too")
    task = Task("classification", sizes, classes or 0) if classes or own is None else Task(own.kind, sizes, own.classes)
    layers([*records, dense(task.outputs)], task)
    return Target(network, records, task)


def _widths(text: str) -> list[int]:
    """Return the hidden widths that the short name of a dense network stands for, `2000x4` or `500-300`; nothing for others."""
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d?)?(-[1-9]\d*(x[1-9]\d?)?)*", text):
        return []
    runs = (part.partition("x") for part in text.split("-"))
    return [int(width) for width, _, times in runs for _ in range(int(times or 1))]


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.lower().replace(",", "x").split("x")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts) or len(parts) not in (1, 3):
        raise FobenchError(f"--input is {text!r}; expected channels x rows x columns, such as 3x32x32, or one number")
    return tuple(int(part) for part in parts)


def memory(text: str, option: str) -> int:
    """Return bytes: 320K and 320KiB are 320 x 1024, 320KB is 320,000, a bare number is bytes."""
    number, unit = text.strip().rstrip("KkMmIiBb"), text.strip().lower()
    suffix = unit[len(number) :]
    factors = {"": 1, "b": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1024**2, "mib": 1024**2, "mb": 1000**2}
    try:
        value = float(number) * factors[suffix]
    except (ValueError, KeyError):
        value = 0
    if not 0 < value < 1e15:
        raise FobenchError(f"{option} is {text!r}; expected bytes, or 320K, 320KiB (x 1024), 320KB (x 1000), 1M, ...")
    return int(value)
