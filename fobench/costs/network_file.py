"""Network files: a task and layer records as YAML; a malformed one is one error with its line, and nothing is computed.

name: wake-word              # optional
input: [1, 49, 10]           # channels, rows, columns, or one number of values
classes: 12                  # or `task: reconstruction`
layers:                      # a list of records and widths, without the output layer, or the name of a network
  - {kind: conv, channels: 8, kernel: [10, 4], stride: 2, padding: same}
  - 64
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fobench import documents, networks
from fobench.contracts import Task
from fobench.documents import Document, DocumentError, Form
from fobench.networks import NetworkError, Record
from fobench.plugins import nearest

KEYS = ("name", "input", "classes", "task", "layers")


class NetworkFileError(DocumentError):
    """A network file that is not valid, with its lines."""

    refused = "nothing was computed"


FORM = Form("network", "input, classes (or task) and layers", NetworkFileError)


@dataclass(frozen=True)
class NetworkFile:
    """A network with the task that it is for."""

    name: str
    task: Task
    records: tuple[Record, ...]


def read(path: Path) -> NetworkFile:
    """Read one network file and check that its layers fit each other; raises NetworkFileError."""
    document = documents.read(path, FORM)
    for key in document.value:
        if key not in KEYS:
            document.problem((key,), f"a network file has no {key!r}; {nearest(key, list(KEYS))}", at_key=True)
    if document.problems:
        raise NetworkFileError(path, document.problems)
    name, task = _name(document, path), _task(document)
    if "layers" not in document.value:
        document.problem((), "a network file needs layers")
    records = _records(document, task) if task and not document.problems else ()
    if document.problems or task is None:
        raise NetworkFileError(path, document.problems)
    return NetworkFile(name, task, records)


def _name(document: Document, path: Path) -> str:
    name = document.value.get("name", path.stem)
    if not isinstance(name, str) or not name.strip():
        document.problem(("name",), f"name is {documents.shown(name)}; expected text")
    return str(name)


def _task(document: Document) -> Task | None:
    """Return the task, or None with the problem noted."""
    shape = _input_shape(document)
    kind, classes = document.value.get("task", Task.KINDS[0]), document.value.get("classes")
    if not isinstance(kind, str) or kind not in Task.KINDS:
        document.problem(("task",), f"task is {documents.shown(kind)}; expected {' or '.join(Task.KINDS)}")
        return None
    if kind == Task.KINDS[0] and (not _is_count(classes) or classes < 2):
        found = (
            f"classes is {documents.shown(classes)}" if "classes" in document.value else "a network file needs classes"
        )
        document.problem(("classes",), f"{found}; expected a whole number of at least 2, or task: reconstruction")
        return None
    if kind != Task.KINDS[0] and classes is not None:
        document.problem(("classes",), "a reconstruction has no classes; remove them", at_key=True)
        return None
    return Task(kind, shape, classes or 0) if shape else None


def _input_shape(document: Document) -> tuple[int, ...] | None:
    if "input" not in document.value:
        document.problem((), "a network file needs input: [channels, rows, columns] or a number of values")
        return None
    given = document.value["input"]
    sizes = given if isinstance(given, list) else [given]
    if len(sizes) not in (1, 3):
        document.problem(("input",), f"input has {len(sizes)} sizes; expected channels, rows, columns, or one number")
        return None
    for index, size in enumerate(sizes):
        if not _is_count(size):
            place = ("input", index) if isinstance(given, list) else ("input",)
            document.problem(place, f"input has size {documents.shown(size)}; expected a whole number of at least 1")
            return None
    return tuple(sizes)


def _records(document: Document, task: Task) -> tuple[Record, ...]:
    given = document.value["layers"]
    try:
        records = networks.expand(given)
        networks.layers([*records, networks.dense(task.outputs)], task)
    except NetworkError as error:
        # the output layer comes after the last of the list: its place is the list's
        document.problem(("layers",) if error.layer is None else ("layers", error.layer), str(error))
        return ()
    return tuple(records)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
