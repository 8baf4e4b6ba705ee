"""Plain tables and numbers for the terminal, without the weight of a rendering library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fobench.costs.projection import Estimate


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Return lines with aligned columns; those of `left` begin together, the others end together."""
    count = max((len(row) for row in rows), default=0)
    widths = [max((len(row[column]) for row in rows if column < len(row)), default=0) for column in range(count)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(widths[column]) if column in left else cell.rjust(widths[column])
            for column, cell in enumerate(row)
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def count(value: float) -> str:
    """Return a whole number with its thousands set apart."""
    return f"{round(value):,}"


def estimate(value: Estimate | None) -> str:
    """Return an estimate with its spread, or `absent`."""
    if value is None:
        return "absent"
    if value.low is None or value.high is None:
        return f"{value.value:.4g} {value.unit} (single figure, no spread)"
    return f"{value.value:.4g} {value.unit} ({value.low:.4g} to {value.high:.4g})"
