"""The arguments of a plug-in, read off the syntax tree of its file: nothing is imported, the parent has no torch."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fobench import plugins
from fobench.contracts import Json

SIMPLE: dict[str, tuple[type[Any], ...]] = {
    "int": (int,), "float": (int, float), "str": (str,), "bool": (bool,),
    "list": (list,), "tuple": (list,), "Sequence": (list,), "dict": (dict,), "Mapping": (dict,),
}  # fmt: skip
"""What YAML must give for a type; a type that is not here accepts everything, and the preflight has the last word."""


@dataclass(frozen=True)
class Field:
    """One argument: whether it must be given, and its type as written."""

    required: bool
    annotation: ast.expr
    names: dict[str, ast.expr]

    @property
    def expected(self) -> str:
        """The type for an error message."""
        if isinstance(self.annotation, ast.Constant):
            return str(self.annotation.value)
        named = self.names.get(self.annotation.id) if isinstance(self.annotation, ast.Name) else None
        return ast.unparse(named or self.annotation)

    def accepts(self, value: Json) -> bool:
        """Say whether a value fits the type; a type that is not simple accepts everything."""
        return _fits(value, self.annotation, self.names)


def fields(target: str, group: str, base: Path) -> dict[str, Field] | None:
    """Return the arguments of a plain dataclass by name, or None for what only an import can tell.

    Raises PluginError for a plug-in that does not exist, or whose file has no such class.
    """
    where, name = plugins.locate(target, group, base)
    file = Path(where) if where.endswith(".py") else plugins.file_of(where)
    if file is None and ":" not in target:
        return None
    if file is None:
        raise plugins.PluginError(f"no module {where!r} ({target!r}); is its package installed?")
    try:
        tree = _parsed(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise plugins.PluginError(f"{where} is not valid Python: {error}") from error
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _dataclass_fields(node, _assigned(tree)) if _is_plain_dataclass(node) else None
    known = _bound(tree)
    if "*" not in known and name not in known:
        raise plugins.PluginError(f"{where} has no class {name!r}; {plugins.nearest(name, known)}")
    return None


@lru_cache(maxsize=64)
def _parsed(source: bytes) -> ast.Module:
    return ast.parse(source)


def _bound(tree: ast.Module) -> list[str]:
    """Return the names that a module's top level binds, `*` for a star import or a module that defines `__getattr__`."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append("*" if node.name == "__getattr__" else node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
    return names


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the module's own names for types: `Activation = Literal["relu", "tanh"]`."""
    pairs = [(node.targets[0], node.value) for node in tree.body if isinstance(node, ast.Assign)]
    return {target.id: value for target, value in pairs if isinstance(target, ast.Name)}


def _is_plain_dataclass(node: ast.ClassDef) -> bool:
    decorators = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
    names = [ast.unparse(item).rpartition(".")[2] for item in decorators]
    return not node.bases and names == ["dataclass"]


def _dataclass_fields(node: ast.ClassDef, names: dict[str, ast.expr]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        options = _field_options(item.value)
        kind = ast.unparse(item.annotation)
        if "ClassVar" in kind or "KW_ONLY" in kind or options.get("init") == "False":
            continue
        given = item.value is not None and (not options or {"default", "default_factory"} & options.keys())
        found[item.target.id] = Field(not given, item.annotation, names)
    return found


def _field_options(value: ast.expr | None) -> dict[str, str]:
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "field":
        return {word.arg: ast.unparse(word.value) for word in value.keywords if word.arg} or {"": ""}
    return {}


def _fits(value: Json, annotation: ast.expr, names: dict[str, ast.expr]) -> bool:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = _unquoted(annotation.value)
    if isinstance(annotation, ast.Name) and annotation.id in names:
        # a name stands for itself only once: an alias that mentions itself cannot go on for ever
        rest = {name: meaning for name, meaning in names.items() if name != annotation.id}
        return _fits(value, names[annotation.id], rest)
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return any(_fits(value, side, names) for side in (annotation.left, annotation.right))
    if isinstance(annotation, ast.Constant):
        return annotation.value is not None or value is None
    if isinstance(annotation, ast.Subscript):
        return _fits_subscript(value, annotation, names)
    return _is_instance(value, ast.unparse(annotation).rpartition(".")[2])


def _fits_subscript(value: Json, annotation: ast.Subscript, names: dict[str, ast.expr]) -> bool:
    head = ast.unparse(annotation.value).rpartition(".")[2]
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if head == "Literal":
        literals = [item.value for item in inner if isinstance(item, ast.Constant)]
        return len(literals) < len(inner) or any(value == item and type(value) is type(item) for item in literals)
    if head in ("Optional", "Union"):
        return (head == "Optional" and value is None) or any(_fits(value, item, names) for item in inner)
    return _is_instance(value, head)


def _is_instance(value: Json, kind: str) -> bool:
    if kind not in SIMPLE:
        return True
    # a bool is an int for Python, never for a suite
    return isinstance(value, SIMPLE[kind]) and (kind == "bool" or not isinstance(value, bool))


def _unquoted(annotation: str) -> ast.expr:
    try:
        return ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return ast.Name("Any")
