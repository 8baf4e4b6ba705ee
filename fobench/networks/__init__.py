"""Networks as data: a tuple of layer records, by name or inline; the shapes follow from the task."""

from fobench.networks.library import named_networks, named_tasks
from fobench.networks.records import (
    KINDS,
    OPTIONS,
    Layer,
    NetworkError,
    Record,
    add,
    conv,
    dense,
    depthwise,
    flatten,
    local,
    pair,
    pool,
    strides,
)
from fobench.networks.shapes import describe, expand, layers

__all__ = [
    "KINDS", "OPTIONS", "Layer", "NetworkError", "Record", "add", "conv", "dense", "depthwise", "describe", "expand",
    "flatten", "layers", "local", "named_networks", "named_tasks", "pair", "pool", "strides",
]  # fmt: skip
