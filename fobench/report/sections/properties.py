"""What a rule needs of its surroundings, as its docstring states it: weight transport, locality, locking, frozen activity."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fobench import plugins
from fobench.contracts import FobenchError
from fobench.report.document import Block, Column, Heading, Prose, Table
from fobench.report.inputs import ReportInput

NAMES = ("weight transport", "locality", "update locking", "frozen activity")

EXPECTED = (
    f"a paragraph `Properties:` of four clauses with `;` between them that begin with {', '.join(NAMES)}, or `those of` and "
    "another learner's name in backticks"
)

NOT_STATED = "not stated"

METHOD = (
    "As the learners' files state them. Weight transport: does a signal pass through weights of the forward path? Locality: what "
    "an update reads. Update locking: what a layer waits for. Frozen activity: what has to be kept until the update."
)


class PropertiesError(FobenchError):
    """A docstring whose properties are not those four clauses."""


def properties(report: ReportInput) -> list[Block]:
    """Return the table of properties, one row per label; a learner that states none says so."""
    targets = {entry.header.cell.label: entry.header.cell.learner.target for entry in report.entries}
    found = {label: _found(targets[label]) for label in report.labels}
    rows = tuple((label, *(made.get(name, NOT_STATED) for name in NAMES)) for label, (made, _) in found.items())
    notes = tuple(f"{label}: {remark}" for label, (_, remark) in found.items() if remark)
    columns = (Column("Learner", number=False), *(Column(name.capitalize(), number=False) for name in NAMES))
    return [Heading("Properties of the rules"), Prose(METHOD), Table("Properties of the rules.", columns, rows, notes)]


def _found(target: str) -> tuple[Mapping[str, str], str]:
    try:
        return stated(target)
    except FobenchError:
        return {}, ""


def stated(target: str, told: tuple[str, ...] = ()) -> tuple[Mapping[str, str], str]:
    """Return the four properties of a learner and, where it takes those of another, what it says of that.

    `told` are the learners that have referred to this one. Raises PropertiesError for a docstring that has no such
    paragraph, and PluginError for a learner that is not here.
    """
    docstring = plugins.docstring(target, "learners")
    paragraph = re.search(r"^Properties: (.+?)(?:\n\s*\n|\Z)", docstring, re.DOTALL | re.MULTILINE)
    if paragraph is None or target in told:
        raise PropertiesError(f"{target}: no properties in the docstring of its file; expected {EXPECTED}")
    text = " ".join(paragraph[1].split())
    other = re.match(r"those of `([a-z0-9-]+)`", text)
    if other:
        return stated(other[1], (*told, target))[0], text
    return _clauses(target, text), ""


def _clauses(target: str, text: str) -> Mapping[str, str]:
    clauses = [clause.strip() for clause in text.rstrip(".").split(";")]
    if len(clauses) != len(NAMES) or any(not c.startswith(name) for c, name in zip(clauses, NAMES, strict=True)):
        raise PropertiesError(f"{target}: properties {text!r}; expected {EXPECTED}")
    return {name: c[len(name) :].lstrip(": ") for c, name in zip(clauses, NAMES, strict=True)}
