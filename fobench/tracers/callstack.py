"""Where on the Python stack an operation was called from: the learner's pass and the role of the product.

The pass is the learner's method directly under `train_step` (or `predict`); the role is the outermost function marked with
`contracts.role`. Frames are told by their code objects, never by their locals, whose inspection would keep tensors alive.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from fobench.contracts import Role, role_of

OUTSIDE = "step"
"""Name of the pass where no method of the learner is on the stack."""


class CallStack:
    """Reads the stack of the traced thread, seen from any thread: autograd runs its backward on threads of its own."""

    def __init__(self, learner: Any) -> None:
        self._methods = dict(_methods(type(learner)))
        self._thread = threading.get_ident()

    def locate(self) -> tuple[str, Role | None]:
        """Return (pass, role or None) of the operation that is being called."""
        name, under, role = "", "", None
        for frame in self._frames():
            code = frame.f_code
            method = self._methods.get(code)
            if not name and method:
                name = method
            elif not under and method and method != name:
                under = method
            role = role or _role(frame)
        return under or name or OUTSIDE, role

    def _frames(self) -> list[FrameType]:
        """Return the frames, outermost first."""
        inner = list(_outwards(sys._getframe(1)))
        if threading.get_ident() != self._thread and (caller := sys._current_frames().get(self._thread)):
            inner += _outwards(caller)
        return inner[::-1]


def _role(frame: FrameType) -> Role | None:
    """Return a frame's mark; what torch's own optimizers do is weight update."""
    marked = role_of(frame.f_code)
    if marked is None and frame.f_globals.get("__name__", "").startswith("torch.optim."):
        return Role.WEIGHT_UPDATE
    return marked


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _methods(cls: type) -> Iterator[tuple[CodeType, str]]:
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            function = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)) or value)
            if inspect.isfunction(function):
                yield function.__code__, name
