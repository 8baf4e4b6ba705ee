"""Multiply-accumulates of one training step or prediction, per pass and role, counted from shapes as operations run.

A dispatch mode sees every operation of torch, autograd's included. Contractions (quantity `macs`) and other arithmetic
(`elementwise`, one per element of the largest operand) are two quantities, never added; an operation without a formula is
listed (`uncovered`, its calls), never silently zero. The channel is `PASS/ROLE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from fobench.contracts import Learner, Phase, Provenance, Reading, Role
from fobench.tracers.callstack import CallStack
from fobench.tracers.dispatch import Observed
from fobench.tracers.formulas import Kind, Product, elements, kind, products

BOTH_GRADIENTS = f"{Role.INPUT_GRADIENT}+{Role.WEIGHT_UPDATE}"
"""Role of a product of autograd that may be either."""


class MACs:
    """Counts the operations of step 1 exactly, for training and inference."""

    phases = (Phase.TRAIN, Phase.INFER)
    batch_offsets = (0,)
    steps = (1,)

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def unavailable(self) -> str | None:
        """Return None: counting needs nothing but torch."""
        return None

    @contextmanager
    def trace(self, learner: Learner, inputs: tuple[Tensor, ...]) -> Iterator[None]:
        """Count every operation inside the `with` block."""
        with Observed(_Counting(learner, self._counts)):
            yield

    def readings(self) -> list[Reading]:
        """Return the totals over the batch by quantity and channel, and forget them."""
        counts, self._counts = self._counts, Counter()
        return [
            Reading(quantity, value, Provenance.ANALYTICAL, channel)
            for (quantity, channel), value in sorted(counts.items())
        ]


class _Counting:
    """Adds each operation to `counts` under (quantity, channel)."""

    def __init__(self, learner: Learner, counts: Counter[tuple[str, str]]) -> None:
        self._counts = counts
        self._stack = CallStack(learner)
        self._parameters = _Parameters(learner.state())

    def before(self, func: Any, operands: Any) -> None:
        """Nothing to see before an operation has run."""

    def after(self, func: Any, args: tuple[Any, ...], out: Any) -> None:
        """Count one operation."""
        what = kind(func)
        if what is Kind.MOVEMENT:
            return
        if what is Kind.UNKNOWN or not _is_dense((args, out)):
            self._counts["uncovered", str(func.overloadpacket)] += 1
        elif contractions := products(func, args, out):
            for product in contractions:
                self._counts["macs", self._channel(product)] += product.macs
        else:
            result = Product(0, (), _shape(out))
            self._counts["elementwise", self._channel(result)] += elements(func, args, out)

    def _channel(self, product: Product) -> str:
        name, role = self._stack.locate()
        return f"{name}/{role or product.role or self._told_by_shape(product)}"

    def _told_by_shape(self, product: Product) -> str:
        if torch._C._current_graph_task_id() == -1:
            self._parameters.see_forward(product)
            return Role.FORWARD
        return self._parameters.role_in_backward(product)


class _Parameters:
    """Tells the products of autograd's backward apart by what is known of the learner's state."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self._alive = tuple(state.values())
        self._storages = {_storage(tensor) for tensor in self._alive}
        shapes = {tuple(tensor.shape) for tensor in self._alive}
        # a bias gradient is summed with its batch dimension kept
        self._shapes = shapes | {shape[::-1] for shape in shapes} | {(1, *s) for s in shapes if len(s) == 1}
        self._signals: set[tuple[int, ...]] = set()
        self._has_derived_weights = False

    def see_forward(self, product: Product) -> None:
        """Remember the shapes of signals, and whether any weights are not in `state()` but derived (normalised, masked)."""
        if product.factors:
            shapes = (tuple(product.factors[0].shape), product.shape)
            self._signals.update(*((shape, shape[::-1]) for shape in shapes))
            self._has_derived_weights |= not self._has_parameter(product)

    def role_in_backward(self, product: Product) -> str:
        """Return weight update for a result with a parameter's shape, else input gradient, or both where either fits.

        A product with a parameter among its factors is an input gradient; that leaves weight updates to the others, unless
        weights are derived.
        """
        if self._has_parameter(product) or product.shape not in self._shapes:
            return Role.INPUT_GRADIENT
        is_certain = product.factors and not self._has_derived_weights
        return BOTH_GRADIENTS if product.shape in self._signals and not is_certain else Role.WEIGHT_UPDATE

    def _has_parameter(self, product: Product) -> bool:
        return any(_storage(factor) in self._storages for factor in product.factors)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _is_dense(values: Any) -> bool:
    return all(
        leaf.layout is torch.strided and not leaf.is_quantized
        for leaf in tree_leaves(values)
        if isinstance(leaf, Tensor)
    )


def _shape(out: Any) -> tuple[int, ...]:
    return next((tuple(leaf.shape) for leaf in tree_leaves(out) if isinstance(leaf, Tensor)), ())
