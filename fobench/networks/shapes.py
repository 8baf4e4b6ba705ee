"""From what a user writes to layer records, and from records and a task to shapes."""

from __future__ import annotations

import difflib
import math
from typing import Any

from fobench.contracts import Task
from fobench.networks.library import named_networks
from fobench.networks.records import KINDS, OPTIONS, Layer, NetworkError, Record, dense, pair, sides, strides


def expand(network: Any) -> list[Record]:
    """Return the layer records of a network: a name, a list of hidden widths, or a list of records.

    Missing fields take their defaults. Raises NetworkError for the first record that is wrong, with its number.
    """
    if isinstance(network, str):
        known = named_networks()
        if network not in known:
            near = difflib.get_close_matches(network, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(known)}"
            raise NetworkError(f"unknown network {network!r}; {hint}")
        return known[network]
    if not isinstance(network, list | tuple):
        raise NetworkError(f"a network is a name, a list of widths or a list of layer records, found {network!r}")
    return [_record(item, number) for number, item in enumerate(network)]


def _record(item: Any, number: int) -> Record:
    if isinstance(item, int) and not isinstance(item, bool):
        item = dense(item)
    if not isinstance(item, dict) or not isinstance(item.get("kind"), str) or item["kind"] not in KINDS:
        kinds = ", ".join(KINDS)
        raise NetworkError(f"{item!r} is neither a width nor a record whose kind is one of {kinds}", number)
    kind, fields = item["kind"], KINDS[item["kind"]]
    for name in item:
        if name != "kind" and name not in fields and name not in OPTIONS:
            raise NetworkError(f"a {kind} layer has no field {name!r}; it has {', '.join([*fields, *OPTIONS])}", number)
    record = {"kind": kind}
    for name, default in fields.items():
        if name not in item and default is int:
            raise NetworkError(f"a {kind} layer needs {name!r}", number)
        record[name] = _checked(item.get(name, default), name, number)
    options = [name for name in OPTIONS if name not in fields and item.get(name) is not None]
    return {**record, **{name: _checked(item[name], name, number) for name in options}}


def _checked(value: Any, name: str, number: int) -> Any:
    words = {"mode": ("max", "mean"), "activate": (True, False)}
    if name in words:
        if value not in words[name] or isinstance(value, int) != (name == "activate"):
            raise NetworkError(f"{name} is {value!r}; expected {' or '.join(map(str, words[name])).lower()}", number)
        return value
    if (name == "stride" and value is None) or (name == "padding" and value == "same"):
        return value
    several = isinstance(value, list | tuple) and name in ("kernel", "stride", "padding")
    sizes = value if several else [value]
    least = {"padding": 0, "source": -1}.get(name, 1)
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size >= least for size in sizes)
    if not whole or (several and len(sizes) not in ((2, 4) if name == "padding" else (2,))):
        raise NetworkError(f"{name} is {value!r}; expected a whole number of at least {least}", number)
    return list(value) if several else value


def layers(network: Any, task: Task) -> tuple[Layer, ...]:
    """Return the network's layers with their shapes for this task; raises NetworkError where they do not fit."""
    done: list[Layer] = []
    for number, record in enumerate(expand(network)):
        sources = _sources(record, number)
        shapes = [done[source].output_shape if source >= 0 else task.input_shape for source in sources]
        done.append(Layer(record, shapes[0], _output_shape(record, shapes, sources, number), sources))
    return tuple(done)


def _sources(record: Record, number: int) -> tuple[int, ...]:
    source = record.get("source")
    if source is not None and source >= number:
        raise NetworkError(
            f"reads layer {source}, which does not come before it; expected at most {number - 1}", number
        )
    if record["kind"] == "add":
        return (number - 1, record["source"])
    return (number - 1 if source is None else source,)


def _output_shape(
    record: Record, shapes: list[tuple[int, ...]], sources: tuple[int, ...], number: int
) -> tuple[int, ...]:
    kind, shape = record["kind"], shapes[0]
    if kind == "dense":
        return (record["units"],)
    if kind == "flatten":
        return (math.prod(shape),)
    if kind == "add":
        if shapes[0] != shapes[1]:
            raise NetworkError(f"add of shapes {shapes[0]} and {shapes[1]} (layer {sources[1]}) does not fit", number)
        return shape
    return _slid(record, shape, number)


def _slid(record: Record, shape: tuple[int, ...], number: int) -> tuple[int, ...]:
    if len(shape) != 3:
        raise NetworkError(f"{record['kind']} needs a map (channels, rows, columns), found shape {shape}", number)
    kernel, stride, padding = pair(record["kernel"]), strides(record), sides(record, shape)
    if record["kind"] == "pool" and (
        padding[::2] != padding[1::2] or any(2 * padding[2 * i] > kernel[i] for i in (0, 1))
    ):
        raise NetworkError(
            f"a pool pads alike on both sides, by half its kernel at most; found {padding} (top, bottom, left, right)",
            number,
        )
    sizes = [(shape[i + 1] + sum(padding[2 * i : 2 * i + 2]) - kernel[i]) // stride[i] + 1 for i in (0, 1)]
    if min(sizes) < 1:
        raise NetworkError(f"a window of {kernel} does not fit a map of {shape[1:]}", number)
    return (record.get("channels", shape[0]), *sizes)


def describe(network: Any, task: Task) -> str:
    """Return a network's short name: its own if it has one, `169-2000x4` for dense layers, else its kinds; the input first."""
    parts = ["x".join(str(size) for size in task.input_shape)]
    own = [name for name, records in named_networks().items() if expand(records) == expand(network)]
    if own:
        return "-".join(parts + own)
    names = [_name(layer) for layer in layers(network, task)]
    for index, name in enumerate(names):
        if index and names[index - 1] == name:
            continue
        run = 1
        while index + run < len(names) and names[index + run] == name:
            run += 1
        parts.append(f"{name}x{run}" if run > 1 else name)
    return "-".join(parts)


def _name(layer: Layer) -> str:
    record = layer.record
    if layer.kind == "dense":
        return str(record["units"])
    if layer.kind in ("conv", "local"):
        return f"{layer.kind}{record['channels']}"
    return layer.kind
