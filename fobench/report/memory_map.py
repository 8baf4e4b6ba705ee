"""A memory map over time: every buffer of a step as a rectangle, operations to the right, addresses upward."""

from __future__ import annotations

from pathlib import Path

from fobench.costs.arena import Arena

COLOURS = {
    "input": "#bab0ac", "activation": "#4e79a7", "modulated": "#f28e2b", "error": "#e15759", "mask": "#edc948",
    "output": "#76b7b2", "scratch": "#b07aa1", "statistic": "#9c755f",
}  # fmt: skip
"""By role of the buffer; what stays between steps is not in the arena."""


def draw(arena: Arena, title: str, path: Path) -> None:
    """Write the map as PNG or SVG, by the ending of `path`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    roles = []
    for place in arena.placements:
        life = place.life
        if not life.bytes:
            continue
        role = str(life.buffer.role)
        roles.append(role)
        corner, width = (life.first, place.offset), life.last - life.first + 1
        axes.add_patch(Rectangle(corner, width, life.bytes, facecolor=COLOURS.get(role), edgecolor="white", lw=0.5))
        if life.bytes > arena.peak / 25:
            middle = (life.first + width / 2, place.offset + life.bytes / 2)
            axes.annotate(life.buffer.name, middle, ha="center", va="center", fontsize=6, clip_on=True)
    axes.axhline(arena.bound, color="black", linestyle=":", lw=1)
    axes.set_xlim(0, max((place.life.last + 1 for place in arena.placements), default=1))
    axes.set_ylim(0, 1.05 * max(arena.peak, 1))
    axes.set(title=title, xlabel="operation of the step", ylabel="address (B); dotted: no plan can need less")
    handles = [Patch(facecolor=COLOURS.get(role), label=role) for role in dict.fromkeys(roles)]
    axes.legend(handles=handles, fontsize=7, loc="upper right", ncols=2)
    figure.savefig(path, dpi=150)
