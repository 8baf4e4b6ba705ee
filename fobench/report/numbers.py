"""Numbers as text: one prefix per table, as many digits as the deviation allows, exact values in full."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}

EXACT_DIGITS = 6
"""Significant digits that an exact value is printed with at most; the export holds all of them."""


@dataclass(frozen=True)
class Scale:
    """How a stored value is shown: divided by `divisor`, in `unit`."""

    divisor: float
    unit: str


def scale(values: Iterable[float], unit: str, divisor: float = 1.0, prefixed: bool = True) -> Scale:
    """Choose the prefix that puts the median of these values between 1 and 1000; `divisor` leads to the bare unit."""
    sizes = [abs(value) / divisor for value in values if value]
    if not sizes or not prefixed:
        return Scale(divisor, unit)
    power = 3 * math.floor(math.log10(median(sizes)) / 3 + 1e-12)
    power = min(max(power, min(PREFIXES)), max(PREFIXES))
    space = " " if len(unit) > 2 and power else ""
    return Scale(divisor * 10.0**power, PREFIXES[power] + space + unit)


def with_deviation(mean: float, deviation: float | None) -> str:
    """Return `mean ± deviation`, the deviation with two significant digits; without one, four digits of the mean."""
    if deviation is None:
        return significant(mean, 4)
    if deviation == 0:
        return f"{significant(mean, 4)} ± 0"
    decimals = max(0, 1 - math.floor(math.log10(deviation)))
    limit = _decimals(max(abs(mean), deviation), 5)
    if decimals > limit and deviation < 0.5 * 10.0**-limit:
        return f"{mean:,.{limit}f} ± <{10.0**-limit:.{limit}f}"
    decimals = min(decimals, limit)
    return f"{mean:,.{decimals}f} ± {deviation:,.{decimals}f}"


def significant(value: float, digits: int) -> str:
    """Return a value with this many significant digits, never in powers of ten."""
    return f"{value:,.{_decimals(value, digits)}f}"


def exact(value: float, digits: int = EXACT_DIGITS) -> str:
    """Return an exact value without trailing zeros."""
    text = significant(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float) -> str:
    """Return a number of things in short: `9,210`, `12.37 M`."""
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    shown = scale([value], "")
    return f"{exact(value / shown.divisor, 4)} {shown.unit}"


def _decimals(value: float, digits: int) -> int:
    return max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
