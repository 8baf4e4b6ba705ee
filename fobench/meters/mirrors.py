"""Counters that show one register twice: some AMD processors give every die a zone of its own over one socket's counter.

Two counters are taken for mirrors when their differences are equal over several windows; real dies differ by much more than
a quantum of energy, however evenly they are loaded.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping

WINDOWS = 5
"""Windows that a pair is judged by: its latest with enough energy."""
EQUAL_WINDOWS = 3
"""Equal ones among them that make a mirror; the others may have had a refresh between the two reads."""
QUANTUM_UJ = 62
"""Largest quantum of the counters."""
TELLING_UJ = 15_000
"""Energy below which equal differences may be chance."""
SKEW_S = 0.003
"""Refreshes that may fall between the reads of two mirrors; a window whose energies differ by more tells them apart."""


class Mirrors:
    """Compares the energies of several counters, window by window."""

    def __init__(self) -> None:
        self._equal: dict[tuple[str, str], deque[bool]] = {}
        self._apart: set[tuple[str, str]] = set()

    def add(self, energies_uj: Mapping[str, int], seconds: float) -> None:
        """Compare every pair in one more window of `seconds`; counters that are missing or used little tell nothing.

        A pair that has once been told apart stays so.
        """
        for pair in itertools.combinations(energies_uj, 2):
            first, second = (energies_uj[channel] for channel in pair)
            if pair in self._apart or min(first, second) < TELLING_UJ:
                continue
            alike = abs(first - second) <= max(QUANTUM_UJ, 1e-4 * first)
            self._equal.setdefault(pair, deque(maxlen=WINDOWS)).append(alike)
            if not alike and abs(first - second) * seconds > first * SKEW_S:
                self._apart.add(pair)
                del self._equal[pair]

    def copies(self) -> dict[str, str]:
        """Return each counter that mirrors an earlier one, with that one."""
        found: dict[str, str] = {}
        for (first, second), equal in self._equal.items():
            if sum(equal) >= EQUAL_WINDOWS:
                found.setdefault(second, found.get(first, first))
        return found
