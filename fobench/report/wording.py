"""Phrases that several sections share: the budget, the blocks, the reasons of absence."""

from __future__ import annotations

from collections.abc import Iterable

from fobench.contracts import Json, Recipe
from fobench.report.inputs import ReportInput

NAMED = 8
"""Names that a sentence enumerates at most."""


def budget(report: ReportInput) -> str:
    """Say what one training is: `1 epoch, 20,000 samples, batch 100, 2 threads, 3 blocks`; what differs is given as a range."""
    recipes = [header.cell.recipe for header in report.headers]
    epochs = _range(recipe.epochs for recipe in recipes)
    threads = _range(recipe.threads for recipe in recipes)
    devices = ", ".join(sorted({recipe.device for recipe in recipes}))
    parts = [
        f"{epochs} epoch{_plural(epochs)}",
        f"{samples(report)} training samples",
        f"batch {batch_text(report)}",
        f"{threads} thread{_plural(threads)}",
        f"{devices}, {', '.join(sorted({recipe.dtype for recipe in recipes}))}",
        f"{len(report.seeds)} block{_plural(str(len(report.seeds)))}",
    ]
    return ", ".join(parts)


def samples(report: ReportInput) -> str:
    """Return the size of the training split in use, or its range over data sets."""
    sizes = [header.samples["train"] for header in report.headers if "train" in header.samples]
    if not sizes:
        sizes = [r.train_samples for r in _recipes(report) if r.train_samples is not None]
    return _range(sizes) if sizes else "all"


def batch_text(report: ReportInput) -> str:
    """Return the recipe's batch size, or its range."""
    return _range(recipe.batch_size for recipe in _recipes(report))


def absences(report: ReportInput, names: Iterable[str] = ()) -> str:
    """Say for each meter that was asked for and absent why it was, in one line."""
    reasons = absent(report)
    chosen = [name for name in reasons if not names or name in names]
    return "; ".join(f"{name}: {reasons[name]}" for name in chosen).rstrip(".")


def absent(report: ReportInput) -> dict[str, str]:
    """Return the reason of absence by instrument."""
    found: dict[str, Json] = {}
    for header in report.headers:
        for name, state in header.instruments.items():
            if "absent" in state:
                found[name] = state["absent"]
    return {name: str(found[name]) for name in sorted(found)}


def listing(names: Iterable[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`, or, of more than `NAMED` names, the first ones and how many others."""
    *front, last = list(names)
    if len(front) >= NAMED:
        shown = front[: NAMED // 2]
        return f"{', '.join(shown)} and {len(front) + 1 - len(shown)} others"
    return f"{', '.join(front)} and {last}" if front else last


def _recipes(report: ReportInput) -> list[Recipe]:
    return [header.cell.recipe for header in report.headers]


def _range(values: Iterable[int]) -> str:
    found = sorted(set(values))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,}–{found[-1]:,}"


def _plural(number: str) -> str:
    return "" if number == "1" else "s"
