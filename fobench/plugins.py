"""Turn a plug-in's name into its class, and list what is installed without importing it.

A name is one of: an entry point (`bp`), `package.module:Class`, or `path/to/file.py:Class` relative to the suite file.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from fobench.contracts import FobenchError, Reference

GROUPS = ("learners", "datasets", "meters", "tracers", "costs", "sections")


class PluginError(FobenchError):
    """A plug-in that does not exist, cannot be imported, or does not take the arguments given."""


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of one group by name; fobench's own are declared in the same table as a stranger's."""
    if group not in GROUPS:
        raise PluginError(f"unknown plug-in group {group!r}; expected one of {', '.join(GROUPS)}")
    return {point.name: point for point in sorted(entry_points(group=f"fobench.{group}"), key=lambda p: p.name)}


def nearest(name: str, valid: list[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest valid name, or the list of valid names."""
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"expected one of: {', '.join(sorted(valid))}"


def locate(target: str, group: str, base: Path = Path()) -> tuple[str, str]:
    """Split a target into (module or file, class) without importing it; an unknown one is refused with the nearest name."""
    where, separator, name = target.rpartition(":")
    if not separator:
        points = installed(group)
        if target not in points:
            what = "learner" if group == "costs" else group.rstrip("s")  # a cost program has its rule's name
            raise PluginError(f"unknown {what} {target!r}; {nearest(target, list(points))}")
        where, _, name = points[target].value.partition(":")
        return where, name
    if not name.isidentifier() or not all(part.isidentifier() or where.endswith(".py") for part in where.split(".")):
        raise PluginError(f"{target!r} is no plug-in; expected a name, package.module:Class or path/to/file.py:Class")
    if where.endswith(".py"):
        path = (base / where).resolve()
        if not path.is_file():
            raise PluginError(
                f"no file {where!r} (looked in {base.resolve()}); give the path relative to the suite file"
            )
        return str(path), name
    return where, name


def load(target: str, group: str, base: Path = Path()) -> type[Any]:
    """Import a plug-in and return its class."""
    where, name = locate(target, group, base)
    try:
        module = _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except Exception as error:
        raise PluginError(f"{target!r} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise PluginError(f"{where} has no {name!r}; {nearest(name, classes)}")
    plugin: type[Any] = getattr(module, name)
    return plugin


def create(reference: Reference, group: str, base: Path = Path()) -> Any:
    """Construct a plug-in from its reference; an argument that it does not have is refused with the nearest one."""
    plugin = load(reference.target, group, base)
    check_arguments(plugin, reference)
    try:
        return plugin(**reference.arguments)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{reference.target}: {error}") from error


def check_arguments(plugin: type[Any], reference: Reference) -> None:
    """Raise for the first argument that the plug-in's constructor does not take."""
    known = argument_names(plugin)
    for name in reference.arguments:
        if name not in known:
            raise PluginError(
                f"{reference.target} has no argument {name!r}; {nearest(name, known) if known else 'it takes none'}"
            )


def argument_names(plugin: type[Any]) -> list[str]:
    """Return the names of a plug-in's arguments: its dataclass fields, or its constructor's parameters."""
    if dataclasses.is_dataclass(plugin):
        return [field.name for field in dataclasses.fields(plugin) if field.init]
    return [name for name in inspect.signature(plugin).parameters if name not in ("self", "args", "kwargs")]


def _import_file(path: Path) -> Any:
    """Import one file under a name of its own; it is registered first, or its dataclasses cannot resolve their hints."""
    name = "fobench_file_" + hashlib.sha256(str(path).encode()).hexdigest()[:12]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


# --- what a plug-in is made of: staleness -------------------------------------------------------------------------------


def source_hash(target: str, group: str, base: Path = Path()) -> str:
    """Hash a plug-in's file and every file of its own package and of fobench that it imports, transitively.

    Nothing is imported: the imports are read off the syntax trees, so that the parent process stays free of torch.
    """
    start, where = _file(target, group, base)
    packages = {"fobench", where.partition(".")[0]}
    digest = hashlib.sha256()
    for piece in sorted(path.name.encode() + b"\0" + path.read_bytes() for path in _closure(start, where, packages)):
        digest.update(piece)
    return digest.hexdigest()[:16]


def docstring(target: str, group: str, base: Path = Path()) -> str:
    """Return the docstring of a plug-in's file, empty if it has none; nothing is imported."""
    path, _ = _file(target, group, base)
    try:
        return ast.get_docstring(ast.parse(path.read_bytes())) or ""
    except (SyntaxError, ValueError) as error:
        raise PluginError(f"{path} is not valid Python: {error}") from error


def _file(target: str, group: str, base: Path) -> tuple[Path, str]:
    """Return a plug-in's file and the module (or file) that it is known by."""
    where, _ = locate(target, group, base)
    path = Path(where) if where.endswith(".py") else file_of(where)
    if path is None:
        raise PluginError(f"the module {where!r} of {target!r} cannot be found; is its package installed?")
    return path, where


def _closure(start: Path, module: str, packages: set[str]) -> set[Path]:
    found: set[Path] = set()
    pending = [(start, module)]
    while pending:
        path, name = pending.pop()
        if path in found:
            continue
        found.add(path)
        for imported in _imports(path, name):
            if imported.partition(".")[0] in packages and (file := file_of(imported)):
                pending.append((file, imported))
    return found


def _imports(path: Path, module: str) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise PluginError(f"{path} is not valid Python: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parent, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


@cache
def file_of(module: str) -> Path | None:
    """Return the Python file of a module, or None; unlike `importlib.util.find_spec`, without importing its parents."""
    folders: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    if not all(parts):
        return None
    for count in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:count]), folders)
        if spec is None or (spec.submodule_search_locations is None and count < len(parts)):
            return None
        folders = spec.submodule_search_locations
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _spec(name: str, folders: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, folders)
        if spec is not None:
            return spec
    return None
