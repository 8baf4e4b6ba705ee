"""The layer records that networks are made of, and the layer with its shapes that follows from record and input.

A network is the part that a rule trains layer by layer; the classifier (or decoder) on top is the rule's own business, so
`[2000, 2000]` on a task of 10 classes is a network of two layers, to which BP adds a third and Forward-Forward none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fobench.contracts import FobenchError

Record = dict[str, Any]
"""One layer as JSON: `{"kind": "dense", "units": 2000}`; the kinds and their fields are `KINDS`."""

KINDS: dict[str, dict[str, Any]] = {
    "dense": {"units": int},
    "conv": {"channels": int, "kernel": 3, "stride": 1, "padding": 0},
    "depthwise": {"kernel": 3, "stride": 1, "padding": 0},
    "local": {"channels": int, "kernel": 3, "stride": 1, "padding": 0},
    "pool": {"kernel": 2, "stride": None, "padding": 0, "mode": "max"},
    "flatten": {},
    "add": {"source": int},
}
"""Fields of each kind of record: `int` where a value must be given, else the default.

`kernel`, `stride` and `padding` are one number or [rows, columns]; `padding` may also be [top, bottom, left, right], or
`same`, as TensorFlow has it: ceil(size / stride) positions, an odd surplus below and on the right. A `local` layer is a
convolution with weights of its own at every position; `pool` has mode `max` or `mean` and by default its kernel as stride;
`add` adds the output of an earlier layer, by its index from 0, or -1 for the network's input.
"""

OPTIONS: dict[str, Any] = {"source": None, "activate": None}
"""Fields that any record may have and that stand in it only where they are given.

`source` is the earlier layer that is read, by its index, in place of the layer before (a shortcut reads its block's input);
an `add` has it anyway, for its second addend. `activate: false` leaves a layer with weights linear (a convolution in front
of an `add`), `activate: true` applies the rule's activation to an `add`.
"""


class NetworkError(FobenchError):
    """A network that is not a list of layer records, or whose shapes do not fit; `layer` is the index of the wrong one."""

    def __init__(self, message: str, layer: int | None = None) -> None:
        """Put the layer in front of the message."""
        super().__init__(message if layer is None else f"layer {layer}: {message}")
        self.layer = layer


@dataclass(frozen=True)
class Layer:
    """A record with its shapes: all without the batch dimension, maps as (channels, rows, columns)."""

    record: Record
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    sources: tuple[int, ...] = (-1,)
    """The layers that it reads, by index; -1 is the network's input."""

    @property
    def kind(self) -> str:
        """`dense`, `conv`, ..."""
        return str(self.record["kind"])

    @property
    def has_weights(self) -> bool:
        """Say whether the layer multiplies by weights."""
        return self.kind in ("dense", "conv", "depthwise", "local")

    @property
    def activated(self) -> bool:
        """Say whether the rule's activation follows."""
        return bool(self.record.get("activate", self.has_weights))

    @property
    def positions(self) -> int:
        """Number of places where the weights are applied: rows x columns of a map's output, else 1."""
        return _product(self.output_shape[1:]) if len(self.output_shape) == 3 else 1

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Rows and columns of zeros around the input: top, bottom, left, right."""
        return sides(self.record, self.input_shape)

    @property
    def inputs(self) -> int:
        """Number of input values of one sample."""
        return _product(self.input_shape)

    @property
    def units(self) -> int:
        """Number of output values of one sample."""
        return _product(self.output_shape)

    @property
    def weights(self) -> int:
        """Number of weights, without biases."""
        if not self.has_weights:
            return 0
        if self.kind == "dense":
            return self.inputs * self.units
        window = _product(pair(self.record["kernel"]))
        if self.kind == "depthwise":
            return self.input_shape[0] * window
        per_position = self.input_shape[0] * self.output_shape[0] * window
        return per_position * (self.positions if self.kind == "local" else 1)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass of one sample, without biases."""
        return self.weights * (self.positions if self.kind in ("conv", "depthwise") else 1)

    @property
    def biases(self) -> int:
        """Number of biases, where the rule has them: one per channel, or per unit."""
        if not self.has_weights:
            return 0
        return self.output_shape[0] if self.kind in ("conv", "depthwise") else self.units


def pair(value: Any) -> tuple[int, int]:
    """Return (rows, columns) of a kernel, stride or padding that is one number or two."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def strides(record: Record) -> tuple[int, int]:
    """Return the stride (rows, columns) of a record with a window; a pool's is its kernel unless given."""
    return pair(record["kernel"] if record["stride"] is None else record["stride"])


def sides(record: Record, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the padding (top, bottom, left, right) of a record with a window on a map of `shape`."""
    padding = record["padding"]
    if padding == "same":
        return (*_same(record, shape, 0), *_same(record, shape, 1))
    if isinstance(padding, int):
        return (padding,) * 4
    rows, columns = padding[:2], padding[2:]
    return (*rows, *columns) if columns else (rows[0], rows[0], rows[1], rows[1])


def _same(record: Record, shape: tuple[int, ...], axis: int) -> tuple[int, int]:
    kernel, stride, size = pair(record["kernel"])[axis], strides(record)[axis], shape[axis + 1]
    surplus = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return surplus // 2, surplus - surplus // 2


def _product(values: tuple[int, ...]) -> int:
    product = 1
    for value in values:
        product *= value
    return product


def dense(units: int) -> Record:
    """Fully connected."""
    return {"kind": "dense", "units": units}


def conv(channels: int, kernel: Any = 3, stride: Any = 1, padding: Any = 0, **options: Any) -> Record:
    """Convolution."""
    return {"kind": "conv", "channels": channels, "kernel": kernel, "stride": stride, "padding": padding, **options}


def depthwise(kernel: Any = 3, stride: Any = 1, padding: Any = 0) -> Record:
    """Convolution of each channel by itself."""
    return {"kind": "depthwise", "kernel": kernel, "stride": stride, "padding": padding}


def local(channels: int, kernel: Any = 3, stride: Any = 1, padding: Any = 0) -> Record:
    """Convolution with weights of its own at every position."""
    return {"kind": "local", "channels": channels, "kernel": kernel, "stride": stride, "padding": padding}


def pool(kernel: Any = 2, stride: Any = None, padding: Any = 0, mode: str = "max") -> Record:
    """Maximum or mean over windows."""
    return {"kind": "pool", "kernel": kernel, "stride": stride, "padding": padding, "mode": mode}


def flatten() -> Record:
    """Turn a map into a vector."""
    return {"kind": "flatten"}


def add(source: int, **options: Any) -> Record:
    """Add the output of layer `source` (from 0; -1 is the network's input)."""
    return {"kind": "add", "source": source, **options}
