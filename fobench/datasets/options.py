"""Check the options of a data set when it is constructed, so that a wrong one is found before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from fobench.contracts import DatasetError


def one_of(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is not among the choices, with the nearest one."""
    if value in choices:
        return
    near = difflib.get_close_matches(str(value), choices, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(choices)}"
    raise DatasetError(f"{option}: {value!r}; {advice}")


def share_of(option: str, samples: int, available: int) -> None:
    """Refuse a number of samples to take out of `available` that is negative or leaves none."""
    if not isinstance(samples, int) or not 0 <= samples < available:
        raise DatasetError(f"{option}: {samples!r}; expected a whole number from 0 to {available - 1}")
