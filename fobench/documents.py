"""A YAML file as plain values, each with its line and column, and everything that is wrong with the YAML itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from fobench.contracts import FobenchError, Json

Place = tuple[str | int, ...]
"""Keys and indices that lead from the top of the file to a value: `("learners", 0, "network")`."""

TAG = "tag:yaml.org,2002:"
MOST_VALUES = 100_000
"""More values than any file needs; a chain of aliases grows without bound."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to mend; line and column count from 1."""

    line: int
    column: int
    text: str


class DocumentError(FobenchError):
    """A file that is not valid: all its problems at once, one per line as `file:line:column: what is wrong`."""

    refused = "nothing was read"

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.path = path
        self.problems = sorted(set(problems))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = [f"{path}:{problem.line}:{problem.column}: {problem.text}" for problem in self.problems]
        super().__init__("\n".join([f"{path} has {count}, {self.refused}:", *lines]))


@dataclass(frozen=True)
class Form:
    """What a file describes, as messages call it (`suite`), the keys that it has, and the error that refuses it."""

    name: str
    keys: str
    error: type[DocumentError] = DocumentError


@dataclass
class Document:
    """Plain values of a YAML file, the place of each in the text, and the problems found so far.

    `refused` are the marks of values that stand as None because they could not be read.
    """

    path: Path
    form: Form
    value: Json = None
    problems: list[Problem] = field(default_factory=list)
    marks: dict[Place, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Place, tuple[int, int]] = field(default_factory=dict)
    refused: set[tuple[int, int]] = field(default_factory=set)

    def problem(self, place: Place, text: str, at_key: bool = False) -> None:
        """Note a problem at a value, or at its key; a place that is not in the file stands for the nearest above it."""
        while place and place not in self.marks:
            place, at_key = place[:-1], False
        line, column = self.keys.get(place, (1, 1)) if at_key else self.marks.get(place, (1, 1))
        if (line, column) not in self.refused:
            self.problems.append(Problem(line, column, text))


def read(path: Path, form: Form) -> Document:
    """Read one YAML file; raises the form's error if there is no mapping to speak of, else notes what is wrong."""
    text = _text(path, form)
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            node = yaml.compose(text)
    except MarkedYAMLError as error:
        raise form.error(path, [_syntax_problem(error)]) from error
    except RecursionError as error:
        raise form.error(path, [Problem(1, 1, "the file is nested too deeply")]) from error
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
        # ruamel's scanner lets plain exceptions through on some malformed escapes, tags and directives
        raise form.error(path, [Problem(1, 1, f"this is not YAML: {str(error).splitlines()[0]}")]) from error
    if node is None:
        raise form.error(path, [Problem(1, 1, f"the file is empty; expected a mapping with {form.keys}")])
    if not isinstance(node, MappingNode):
        raise form.error(path, [Problem(*_mark(node), f"expected a mapping with {form.keys}")])
    document = Document(path, form)
    document.value = _Builder(document, yaml.constructor).build(node, ())
    return document


def shown(value: Json) -> str:
    """Return a value as an error message quotes it: short."""
    if isinstance(value, dict | list):
        return ("an empty " if not value else "a ") + ("mapping" if isinstance(value, dict) else "list")
    if value is None:
        return "empty"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(path: Path, form: Form) -> str:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = "is a folder" if path.is_dir() else f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise form.error(path, [Problem(1, 1, f"{reason}; expected a {form.name} file (YAML)")]) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        found = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise form.error(path, [Problem(line, column, found)]) from error


def _syntax_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    text = "; ".join(part for part in (error.problem, error.context) if part)
    return Problem(mark.line + 1, mark.column + 1, f"YAML syntax: {text}") if mark else Problem(1, 1, text)


def _mark(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


class _Builder:
    """Turns YAML nodes into plain values; notes their places, and problems instead of raising."""

    def __init__(self, document: Document, constructor: Any) -> None:
        self.document = document
        self.constructor = constructor
        self.open: list[Node] = []

    def build(self, node: Node, place: Place) -> Json:
        """Return the value of a node and of everything below it."""
        self.document.marks[place] = _mark(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node, place)
        if any(node is outer for outer in self.open):
            return self._refuse(node, "an alias that contains itself; write the values out")
        if len(self.document.marks) > MOST_VALUES:
            document = self.document
            found = f"more values than a {document.form.name} can have"
            raise document.form.error(document.path, [Problem(*_mark(node), found)])
        self.open.append(node)
        value: Json = self._mapping(node, place) if isinstance(node, MappingNode) else self._sequence(node, place)
        self.open.pop()
        return value

    def _sequence(self, node: Node, place: Place) -> list[Json]:
        return [self.build(item, (*place, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for key_node, value_node, merged in self._pairs(node):
            key = self._key(key_node)
            if key is not None and key not in found:
                self.document.keys[(*place, key)] = _mark(key_node)
                found[key] = self.build(value_node, (*place, key))
            elif key is not None and not merged:
                first = self.document.keys[(*place, key)][0]
                self._refuse(key_node, f"duplicate key {key!r} (first on line {first}); remove one of the two")
        return found

    def _pairs(self, node: MappingNode, merged: bool = False) -> Iterator[tuple[Node, Node, bool]]:
        """Return a mapping's own pairs, then those of its `<<: *anchor`, which count where there is no own one."""
        merges = [value for key, value in node.value if key.tag == TAG + "merge"]
        yield from ((key, value, merged) for key, value in node.value if key.tag != TAG + "merge")
        for source in merges:
            if not isinstance(source, MappingNode) or any(source is outer for outer in self.open):
                self._refuse(source, "`<<` merges a mapping that stands elsewhere in the file")
                continue
            self.open.append(source)
            yield from self._pairs(source, merged=True)
            self.open.pop()

    def _key(self, node: Node) -> str | None:
        if isinstance(node, ScalarNode) and node.tag == TAG + "str":
            return str(node.value)
        found = f"key {shown(node.value)} is not text" if isinstance(node, ScalarNode) else "a key that is not text"
        self._refuse(node, f"{found}; expected a word, or a number in quotes")
        return None

    def _scalar(self, node: ScalarNode, place: Place) -> Json:
        kind = str(node.tag).removeprefix(TAG)
        if kind in ("str", "timestamp"):
            return str(node.value)
        if kind not in ("int", "float", "bool", "null"):
            return self._refuse(node, f"tag {node.tag} is not known; write a plain value")
        try:
            value = self.constructor.construct_object(node)
        except (YAMLError, ValueError, TypeError, LookupError):
            return self._refuse(node, f"{shown(node.value)} is not a valid {kind}")
        if isinstance(value, float) and not math.isfinite(value):
            return self._refuse(node, f"{node.value} is not a finite number")
        return value

    def _refuse(self, node: Node, text: str) -> None:
        self.document.problems.append(Problem(*_mark(node), text))
        self.document.refused.add(_mark(node))
