"""From a results folder to report files: read, let every section speak, render."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from fobench import plugins
from fobench.report.difference import difference
from fobench.report.document import Block, Document, Figure, Heading, Note
from fobench.report.inputs import ReportError, ReportInput, read_kinds
from fobench.report.regenerate import regeneration
from fobench.report.render import html, markdown, sheets, typst
from fobench.report.wording import budget

ORDER = (
    "summary", "energy", "sampled", "memory", "macs", "passes", "time", "error", "learning", "pareto", "comparison", "net",
    "units", "layouts", "reproduction", "diagnostics", "properties",
)  # fmt: skip
LAST = ("machine", "newcomer")
"""Sections that stand first and last; those of other packages follow by name between them."""

RENDERERS: dict[str, Callable[[Document, Path], Path]] = {
    "md": markdown.write,
    "pdf": typst.write,
    "html": html.write,
    "latex": sheets.write_latex,
    "csv": sheets.write_csv,
}


def build(
    folder: Path,
    output: Path,
    machine: str | None = None,
    formats: Sequence[str] = ("md", "pdf"),
    options: Mapping[str, object] = MappingProxyType({}),
    before: Path | None = None,
) -> list[Path]:
    """Write the report of one results folder below `output/SUITE` and return the paths; raises ReportError.

    With `before`, an older folder, it is a report on what differs, below `output/SUITE-changes`. `options` holds what single
    sections take beside the results, by section name: `comparison.Rules`, `units.Scenario`; and as `command` the command
    line that the last page gives.
    """
    unknown = [name for name in formats if name not in RENDERERS]
    if unknown or not formats:
        raise ReportError(f"unknown format {', '.join(unknown) or 'nothing'}; expected some of {', '.join(RENDERERS)}")
    reports = read_kinds(folder, machine)
    made = documents(reports, options)
    if before is None:
        return [RENDERERS[name](made, output / reports[0].suite) for name in formats]
    changes = difference(documents(read_kinds(before, machine), options), made)
    return [RENDERERS[name](changes, output / f"{reports[0].suite}-changes") for name in formats]


def documents(reports: list[ReportInput], options: Mapping[str, object] = MappingProxyType({})) -> Document:
    """Return one document on all types of machine, a part for each: nothing is compared or averaged between them."""
    if len(reports) == 1:
        return document(reports[0], options)
    blocks: list[Block] = [
        Note(f"{len(reports)} types of machine measured this suite; each has a part of its own below.")
    ]
    for number, report in enumerate(reports, 1):
        part = document(report, options, f"part{number}-")
        blocks += [Heading(f"Part {number}: {report.machine}"), *part.blocks]
    return Document(part.title, "; ".join(report.machine for report in reports), tuple(blocks))


def document(report: ReportInput, options: Mapping[str, object] = MappingProxyType({}), prefix: str = "") -> Document:
    """Return the blocks of all installed sections under one title; `prefix` begins the file names of its figures."""
    blocks: list[Block] = []
    for name in section_names():
        section: Callable[..., list[Block]] = plugins.load(name, "sections")
        blocks += section(report, options[name]) if name in options else section(report)
    blocks = [replace(block, name=prefix + block.name) if isinstance(block, Figure) else block for block in blocks]
    blocks += regeneration(blocks, str(options.get("command", f"fobench report {report.suite} --format md")))
    return Document(f"What learning costs: {report.suite}", f"{report.machine}; {budget(report)}", tuple(blocks))


def section_names() -> list[str]:
    """Return the installed sections in the order of the report."""
    places = {name: place for place, name in enumerate(ORDER)}
    return sorted(plugins.installed("sections"), key=lambda name: (name in LAST, places.get(name, len(ORDER)), name))
