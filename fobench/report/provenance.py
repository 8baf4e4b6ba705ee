"""Provenance of a sum or a ratio, and the marks that tables print.

Analytical is neutral and estimated is weaker than measured: the weakest part decides.
"""

from __future__ import annotations

from fobench.contracts import Origin, Provenance

WEAKNESS = (Provenance.ANALYTICAL, Provenance.MEASURED, Provenance.ESTIMATED)
"""From neutral to weakest."""

MARKS = {Provenance.ANALYTICAL: "a", Provenance.MEASURED: "m", Provenance.ESTIMATED: "e"}

MEANING = {
    Provenance.ANALYTICAL: "analytical: exact from shapes, no sensor and no clock",
    Provenance.MEASURED: "measured: read off a sensor, a clock or a counter",
    Provenance.ESTIMATED: "estimated: a measurement times an assumption",
}

ORIGIN_MARKS = {Origin.REAL: "", Origin.EXTRACT: "^", Origin.SURROGATE: "°"}

ORIGIN_MEANING = {
    Origin.EXTRACT: "^ extract: genuine files, but not all of the published list",
    Origin.SURROGATE: "° surrogate: generated stand-in data",
}


def combine(*parts: Provenance) -> Provenance:
    """Return the provenance of a sum, product or ratio of values with these provenances."""
    return max(parts, key=WEAKNESS.index, default=Provenance.ANALYTICAL)
