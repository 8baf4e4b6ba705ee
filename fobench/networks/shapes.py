"""From what a user writes to layer records, and from records and a task to shapes."""

from __future__ import annotations

import difflib
from typing import Any

from fobench.contracts import Task
from fobench.networks.library import named_networks
from fobench.networks.records import KINDS, Layer, NetworkError, Record, dense, pair


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
        raise NetworkError(f"layer {number}: {item!r} is neither a width nor a record whose kind is one of {kinds}")
    fields = KINDS[item["kind"]]
    for name in item:
        if name != "kind" and name not in fields:
            raise NetworkError(
                f"layer {number}: a {item['kind']} layer has no field {name!r}; it has {', '.join(fields) or 'no fields'}"
            )
    record = {"kind": item["kind"]}
    for name, default in fields.items():
        if name not in item and default is int:
            raise NetworkError(f"layer {number}: a {item['kind']} layer needs {name!r}")
        record[name] = _checked(item.get(name, default), name, number)
    return record


def _checked(value: Any, name: str, number: int) -> Any:
    if name == "mode":
        if value not in ("max", "mean"):
            raise NetworkError(f"layer {number}: mode {value!r}; expected max or mean")
        return value
    if name == "stride" and value is None:
        return None
    sizes = value if isinstance(value, list | tuple) and name in ("kernel", "stride", "padding") else [value]
    least = {"padding": 0, "source": -1}.get(name, 1)
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size >= least for size in sizes)
    if not whole or (sizes is value and len(sizes) != 2):
        raise NetworkError(f"layer {number}: {name} is {value!r}; expected a whole number of at least {least}")
    return list(value) if isinstance(value, list | tuple) else value


def layers(network: Any, task: Task) -> tuple[Layer, ...]:
    """Return the network's layers with their shapes for this task; raises NetworkError where they do not fit."""
    shape = task.input_shape
    done: list[Layer] = []
    for number, record in enumerate(expand(network)):
        output = _output_shape(record, shape, done, task, number)
        done.append(Layer(record, shape, output))
        shape = output
    return tuple(done)


def _output_shape(
    record: Record, shape: tuple[int, ...], done: list[Layer], task: Task, number: int
) -> tuple[int, ...]:
    kind = record["kind"]
    if kind == "dense":
        return (record["units"],)
    if kind == "flatten":
        flat = 1
        for size in shape:
            flat *= size
        return (flat,)
    if kind == "add":
        source = record["source"]
        if source >= number:
            raise NetworkError(f"layer {number}: add takes an earlier layer, found source {source}")
        other = done[source].output_shape if source >= 0 else task.input_shape
        if other != shape:
            raise NetworkError(f"layer {number}: add of shapes {other} (layer {source}) and {shape} does not fit")
        return shape
    return _slid(record, shape, number)


def _slid(record: Record, shape: tuple[int, ...], number: int) -> tuple[int, ...]:
    if len(shape) != 3:
        raise NetworkError(
            f"layer {number}: {record['kind']} needs a map (channels, rows, columns), found shape {shape}"
        )
    kernel, padding = pair(record["kernel"]), pair(record["padding"])
    stride = kernel if record["stride"] is None else pair(record["stride"])
    sizes = [(shape[i + 1] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]
    if min(sizes) < 1:
        raise NetworkError(f"layer {number}: a window of {kernel} does not fit a map of {shape[1:]}")
    return (record.get("channels", shape[0]), *sizes)


def describe(network: Any, task: Task) -> str:
    """Return a network's short name: `169-2000x4` for dense layers, else its kinds; the input stands first."""
    parts = ["x".join(str(size) for size in task.input_shape)]
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
