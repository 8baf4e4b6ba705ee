"""The ledger of tensor storages of one step: who lived before, who was born by which operation, who died when.

Storages are told by the address of torch's StorageImpl. A weak reference keeps that address from being reused, and says
when the storage has died; it is polled before every operation, so that a death is booked before the next birth.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing import reductions
from torch.utils._pytree import tree_leaves

from fobench.contracts import Learner, TracerError

StorageWeakRef: Any = reductions.StorageWeakRef

Change = tuple[int, int | None]
"""A storage's number and the position of its new size, None when it dies."""


@dataclass
class Storage:
    """One storage: the operation it came from, its sizes in bytes, in order, and what it was when the step began.

    `is_older`: it lived already. `is_state`: it was no gradient that the step before had left behind.
    """

    operation: str
    sizes: list[int] = field(default_factory=list)
    is_older: bool = False
    is_state: bool = False


class Ledger:
    """Books the storages that operations bear, resize and let die; those of `inputs` are nobody's memory."""

    def __init__(self, learner: Learner, inputs: Iterable[Tensor]) -> None:
        self.storages: list[Storage] = []
        self.events: list[list[Change]] = []
        self._alive: dict[int, tuple[int, StorageWeakRef]] = {}
        self._inputs = [StorageWeakRef(tensor.untyped_storage()) for tensor in inputs]
        self._ignored = {reference.cdata for reference in self._inputs}
        state = reachable_tensors(learner)
        for tensor in state:
            self._see_older(tensor, "the learner's state")
        for tensor in state:
            if tensor.is_leaf and tensor.grad is not None:
                self._see_older(tensor.grad, "a gradient of the step before", is_state=False)

    def before(self, func: Any, operands: Any) -> None:
        """Book deaths, and operands that must have lived before the step as nothing has borne them."""
        self._book_deaths()
        fresh = func is torch.ops.aten.lift_fresh.default
        for tensor in _tensors(operands):
            if fresh:
                self._see([tensor], func)
            else:
                self._see_older(tensor, f"an operand of {func}")

    def after(self, func: Any, args: tuple[Any, ...], out: Any) -> None:
        """Book births and changes of size."""
        self._see(_tensors(out), func)

    def close(self) -> None:
        """Book the last deaths."""
        self._book_deaths()

    def _book_deaths(self) -> None:
        dead = [key for key, (_, reference) in self._alive.items() if reference.expired()]
        if dead:
            self.events.append([(self._alive.pop(key)[0], None) for key in dead])

    def _see(self, tensors: Iterable[Tensor], func: Any) -> None:
        changes: list[Change] = []
        for tensor in tensors:
            storage = _storage(tensor)
            if storage._cdata in self._ignored:
                continue
            if storage._cdata not in self._alive:
                self._add(storage, Storage(str(func)))
            number, _ = self._alive[storage._cdata]
            sizes = self.storages[number].sizes
            if not sizes or sizes[-1] != storage.nbytes():
                sizes.append(storage.nbytes())
                changes.append((number, len(sizes) - 1))
        if changes:
            self.events.append(changes)

    def _see_older(self, tensor: Tensor, origin: str, is_state: bool = True) -> None:
        storage = _storage(tensor)
        if storage._cdata not in self._ignored and storage._cdata not in self._alive:
            self._add(storage, Storage(origin, [storage.nbytes()], True, is_state))

    def _add(self, storage: torch.UntypedStorage, record: Storage) -> None:
        self._alive[storage._cdata] = (len(self.storages), StorageWeakRef(storage))
        self.storages.append(record)


def _tensors(values: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    if tensor.layout is not torch.strided:
        raise TracerError(
            f"the ledger of live tensors found a tensor of layout {tensor.layout}; it follows dense tensors only, "
            "leave live-tensors out of the plan's tracers"
        )
    return tensor.untyped_storage()


_OPAQUE = (type, ModuleType, CodeType, FrameType, BuiltinFunctionType)


def reachable_tensors(root: Any) -> list[Tensor]:
    """Return all tensors that `root` keeps alive, optimizer state included and gradients not, in a fixed order."""
    tensors: list[Tensor] = []
    seen: set[int] = set()
    pending = [root]
    while pending:
        value = pending.pop()
        if id(value) in seen or isinstance(value, _OPAQUE):
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            tensors.append(value)
        pending.extend(reversed(_references(value)))
    return tensors


def _references(value: Any) -> list[Any]:
    """Return what an object holds; of a function its closure and defaults, never its module's globals."""
    if isinstance(value, FunctionType):
        return [*(value.__closure__ or ()), value.__defaults__, value.__kwdefaults__, value.__dict__]
    return gc.get_referents(value)
