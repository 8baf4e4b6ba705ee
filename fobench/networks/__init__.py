"""Networks as data: a tuple of layer records, by name or inline; the shapes follow from the task."""

from fobench.networks.library import named_networks
from fobench.networks.records import (
    KINDS,
    Layer,
    NetworkError,
    Record,
    add,
    conv,
    dense,
    depthwise,
    flatten,
    local,
    pool,
)
from fobench.networks.shapes import describe, expand, layers

__all__ = [
    "KINDS", "Layer", "NetworkError", "Record", "add", "conv", "dense", "depthwise", "describe", "expand", "flatten",
    "layers", "local", "named_networks", "pool",
]  # fmt: skip
