"""What the models cannot see: do the plug-ins exist, do they take these arguments, do labels and networks make sense."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fobench import plugins
from fobench.contracts import Json
from fobench.networks import NetworkError, expand
from fobench.suite.document import Document, Place, shown
from fobench.suite.fields import Field, fields

RESERVED = ("target", "label", "recipe", "per_dataset", "only")
"""Keys of a learner's entry that are not arguments; other entries have the first two."""


@dataclass(frozen=True)
class _Entry:
    """One plug-in of the file as it stands there, before the models have had their say."""

    group: str
    place: Place
    values: dict[str, Json]

    @property
    def target(self) -> str:
        return str(self.values["target"])

    @property
    def label(self) -> str:
        return str(self.values.get("label") or default_label(self.target))

    @property
    def reserved(self) -> tuple[str, ...]:
        return RESERVED if self.group == "learners" else RESERVED[:2]

    @property
    def overrides(self) -> dict[str, dict[str, Json]]:
        """Arguments for single data sets, by label."""
        given = self.values.get("per_dataset") if self.group == "learners" else None
        return {name: item for name, item in given.items() if isinstance(item, dict)} if isinstance(given, dict) else {}

    def arguments(self) -> Iterator[tuple[Place, str, Json]]:
        """Return place, name and value of every argument, those for single data sets included."""
        for name, value in self.values.items():
            if name not in self.reserved:
                yield (*self.place, name), name, value
        for dataset, override in self.overrides.items():
            for name, value in override.items():
                if name != "recipe":
                    yield (*self.place, "per_dataset", dataset, name), name, value


def default_label(target: str) -> str:
    """Return what a plug-in is called if nothing else is said: its name, or its class."""
    return target.rpartition(":")[2]


def check(document: Document, base: Path) -> None:
    """Note every problem of plug-ins, arguments, networks and labels; what the models refuse anyway is passed over."""
    plan = document.value.get("plan")
    plan = plan if isinstance(plan, dict) else {}
    datasets = _entries("datasets", ("datasets",), document.value)
    learners = _entries("learners", ("learners",), document.value)
    labels = [entry.label for entry in datasets]
    for entry in [*datasets, *learners, *_entries("meters", ("plan", "meters"), plan)]:
        known = _fields(document, entry, base)
        if known is not None:
            _check_arguments(document, entry, known, labels)
    for entry in _entries("tracers", ("plan", "tracers"), plan):
        _fields(document, entry, base)
    _check_labels(document, datasets)
    _check_labels(document, learners)
    for entry in learners:
        _check_networks(document, entry)
        named: list[tuple[str, Any, Any]] = [("per_dataset", name, name) for name in entry.overrides]
        only = entry.values.get("only")
        named += [("only", place, name) for place, name in enumerate(only if isinstance(only, list) else [])]
        for field, place, name in named:
            if isinstance(name, str) and name not in labels:
                found = f"{field} names {name!r}, which is no data set of this suite; {plugins.nearest(name, labels)}"
                document.problem((*entry.place, field, place), found, at_key=field == "per_dataset")


def _entries(group: str, place: Place, values: dict[str, Json]) -> list[_Entry]:
    given = values.get(group)
    found: list[_Entry] = []
    for index, item in enumerate(given if isinstance(given, list) else []):
        item = {"target": item} if isinstance(item, str) else item
        if isinstance(item, dict) and isinstance(item.get("target"), str):
            found.append(_Entry(group, (*place, index), item))
    return found


def _fields(document: Document, entry: _Entry, base: Path) -> dict[str, Field] | None:
    try:
        return fields(entry.target, entry.group, base)
    except (plugins.PluginError, OSError, ValueError) as error:
        document.problem((*entry.place, "target"), str(error))
        return None


def _check_arguments(document: Document, entry: _Entry, known: dict[str, Field], datasets: list[str]) -> None:
    for place, name, value in entry.arguments():
        if name not in known:
            near = plugins.nearest(name, [*known, *entry.reserved])
            document.problem(place, f"{entry.target} has no argument {name!r}; {near}", at_key=True)
        elif not known[name].accepts(value):
            document.problem(place, f"{name} is {shown(value)}; expected {known[name].expected}")
    for name, field in known.items():
        everywhere = all(name in entry.overrides.get(dataset, {}) for dataset in datasets)
        if field.required and name not in entry.values and not (datasets and everywhere):
            document.problem(entry.place, f"{entry.target} needs the argument {name!r} ({field.expected})")


def _check_networks(document: Document, entry: _Entry) -> None:
    for place, name, value in entry.arguments():
        if name == "network":
            try:
                expand(value)
            except NetworkError as error:
                document.problem(place, str(error))


def _check_labels(document: Document, entries: list[_Entry]) -> None:
    seen: dict[str, _Entry] = {}
    for entry in entries:
        if entry.label in seen:
            line = document.marks[seen[entry.label].place][0]
            found = (
                f"two {entry.group} are called {entry.label!r} (the other is on line {line}); give each its own label"
            )
            document.problem((*entry.place, "label"), found)
        seen.setdefault(entry.label, entry)
