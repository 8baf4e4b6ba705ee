"""What both ledgers share: a dispatch mode that sees through composite operations, so that it always sees the same ones.

Under `torch.inference_mode` a composite operation (`linear`, `einsum`, `outer`) reaches a dispatch mode whole, otherwise in
its parts; here it is always taken apart.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import torch
import torch._dynamo  # a mode's first operation would import it, and its handled exceptions would keep that call's tensors alive
from torch.utils._python_dispatch import TorchDispatchMode


class Observer(Protocol):
    """Looks at every operation that is not composed of others."""

    def before(self, func: Any, operands: Any) -> None:
        """Look at the state that the operation finds, and at its operands (any nesting)."""

    def after(self, func: Any, args: tuple[Any, ...], out: Any) -> None:
        """Look at the operation, its positional operands and its result."""


class Observed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While this context is active, `observer` sees every operation of torch."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._observer = observer

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operation, observed."""
        kwargs = kwargs or {}
        if is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        self._observer.before(func, (args, kwargs))
        out = func(*args, **kwargs)
        self._observer.after(func, args, out)
        return out


@cache
def is_composite(func: Any) -> bool:
    """Say whether torch itself computes `func` by calling other operations."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
