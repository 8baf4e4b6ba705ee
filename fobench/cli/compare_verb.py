"""`fobench compare`: two runs against each other, with limits for CI."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fobench.report.between import Change, Judgement

EXCEEDED, UNRESOLVED = 1, 3


def verb(
    before: Annotated[Path, typer.Argument(help="Results folder of the earlier run, or a baseline.")],
    after: Annotated[Path, typer.Argument(help="Results folder of the later run.")],
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help="A quantity and how much it may grow, such as energy:+5% or macs:+0%; may be given again."),
    ] = None,
    machine: Annotated[str | None, typer.Option(help="Whose results, where several machines have some.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Show what did not change, too.")] = False,
) -> None:
    """Compare two runs, after / before: exact quantities exactly, errors seed by seed, time and energy between runs.

    Exit codes: 0 all limits held; 1 a limit is surely exceeded; 2 the runs cannot be compared; 3 no limit is surely
    exceeded, but one lies inside the interval of a noisy quantity, so that this host cannot tell.
    """
    from fobench.report.between import Limit, between, judge, read_both

    limits = [Limit.parse(text) for text in fail_on or []]
    changes = between(*read_both(before, after, machine))
    judgement = judge(changes, limits)
    _show(changes, all)
    _explain(judgement)
    if judgement.exceeded:
        raise typer.Exit(EXCEEDED)
    if judgement.unresolved:
        raise typer.Exit(UNRESOLVED)


def _show(changes: list[Change], all: bool) -> None:
    """Print one line per change; what did not change, cannot be told or has no ratio is counted, or shown with `all`."""
    told = [change for change in changes if all or change.verdict in ("lower", "higher")]
    counts = Counter(change.verdict or "without a ratio" for change in changes)
    print(f"{len(changes)} values compared: {', '.join(f'{count} {word}' for word, count in sorted(counts.items()))}")
    for change in told:
        numbers = f"{change.before:.6g} -> {change.after:.6g}, {_ratio(change)} times, {change.verdict}"
        print(f"{_name(change)}: {change.reason or numbers}")


def _name(change: Change) -> str:
    return f"{change.label} on {change.dataset}, {change.quantity} ({change.where})"


def _ratio(change: Change) -> str:
    if change.ratio is None:
        return "–"
    if change.exact:
        return f"{change.ratio.ratio:.6g}"
    return f"{change.ratio.ratio:.3f} ({change.ratio.low:.3f}–{change.ratio.high:.3f})"


def _explain(judgement: Judgement) -> None:
    for limit, change in judgement.exceeded:
        print(f"exceeded: {_name(change)}: {_ratio(change)} times the earlier value, allowed is {1 + limit.share:g}")
    for limit, change in judgement.unresolved:
        why = (
            change.reason or f"{_ratio(change)} holds {1 + limit.share:g}: more blocks or a quieter machine would tell"
        )
        print(f"cannot tell: {_name(change)}: {why}")
