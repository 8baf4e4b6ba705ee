"""The house: which room may import which, where torch may live, and how long files and functions may be.

The table is section 2 of the architecture. Imports for type checkers only do not count; imports inside functions do.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "fobench"
FILES = sorted(ROOT.rglob("*.py"))
ANYTHING_BUT_TORCH = {
    "contracts",
    "plugins",
    "store",
    "networks",
    "documents",
    "costs",
    "suite",
    "harness",
    "cluster",
    "report",
    "testing",
    "datasets",
    "scaffold",
    "cli",
}

MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "contracts": set(),
    "plugins": {"contracts"},
    "networks": {"contracts"},
    "documents": {"contracts"},
    "store": {"contracts"},
    "learners": {"contracts", "networks"},
    "datasets": {"contracts"},
    "meters": {"contracts"},
    "tracers": {"contracts"},
    "costs": {"contracts", "networks", "plugins", "documents"},
    "suite": {"contracts", "plugins", "networks", "documents"},
    "harness": {"contracts", "plugins", "store", "networks"},
    "cluster": {"contracts", "plugins", "store", "harness", "datasets", "documents", "__init__"},
    "report": {"contracts", "store", "plugins", "costs", "networks"},
    "testing": {"contracts", "plugins", "networks", "costs"},
    "scaffold": {"contracts", "plugins"},
    "pytest_plugin": {"contracts", "plugins", "tracers"},
    "cli": ANYTHING_BUT_TORCH | {"__init__"},
}
"""Room to rooms of fobench; a room may always import itself. The report reaches its sections through plugins, by name."""

TORCH = {"learners", "datasets", "tracers", "testing"}
"""Rooms that may import torch; in the harness only the files of the child process."""
CHILD = {
    "worker",
    "trace",
    "measure",
    "windows",
    "scores",
    "states",
    "lives",
    "data",
    "instruments",
    "exits",
    "stepper",
    "diagnostics",
}

MAY_EXIT = {"harness/worker.py", "harness/lock.py"}
"""The child process ends with its job's exit code, or because its parent is gone."""

LONGEST_FILE = 350
LONGEST_FUNCTION = 50


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of every import that runs, wherever it stands."""
    package = ["fobench", *path.relative_to(ROOT).parts[:-1]]
    for node in running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without the blocks that only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from running(child)


def edges(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and room of every import of another room of fobench."""
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] == "fobench":
            known = len(parts) > 1 and ((ROOT / parts[1]).is_dir() or (ROOT / f"{parts[1]}.py").is_file())
            target = parts[1] if known else "__init__"
            if target != room(path):
                yield line, target


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=short)
def test_rooms_import_only_what_the_table_allows(path: Path) -> None:
    assert room(path) in MAY_IMPORT, f"{short(path)}: a room that the table does not know"
    wrong = [
        f"line {line}: {room(path)} -> {target}" for line, target in edges(path) if target not in MAY_IMPORT[room(path)]
    ]
    assert not wrong, f"{short(path)}: {wrong}; the table is in this file and in the architecture"


@pytest.mark.parametrize("path", FILES, ids=short)
def test_torch_stays_in_its_rooms(path: Path) -> None:
    if room(path) in TORCH or (room(path) == "harness" and path.stem in CHILD):
        return
    wrong = [line for line, name in imported(path) if name.split(".")[0] in ("torch", "fvcore")]
    assert not wrong, f"{short(path)} imports torch on lines {wrong}"


@pytest.mark.parametrize("path", [path for path in FILES if room(path) != "cli"], ids=short)
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    forbidden = {"print"} if short(path) in MAY_EXIT else {"print", "sys.exit", "exit", "quit"}
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    wrong = [f"line {call.lineno}: {name}" for call in calls if (name := ast.unparse(call.func)) in forbidden]
    assert not wrong, f"{short(path)}: {wrong}"


@pytest.mark.parametrize("path", FILES, ids=short)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE, f"{short(path)} is longer than {LONGEST_FILE} lines"
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [
        f"{node.name} ({length} lines)"
        for node in functions
        if (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert not long, f"{short(path)}: {long}"


def test_the_command_line_starts_light() -> None:
    """`fobench --help` answers at once: what is heavy is imported inside the verb that needs it."""
    heavy = ("torch", "numpy", "pandas", "matplotlib", "seaborn", "codecarbon", "pydantic", "ruamel.yaml", "sklearn")
    code = f"import sys, fobench.cli.main\nprint([name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from fobench.report import derive\n", [(1, "report")]),
        ("import fobench.store\nimport fobench.networks.shapes as x\n", [(1, "store"), (2, "networks")]),
        ("def f():\n    from fobench import plugins\n", [(2, "plugins")]),
        ("from ..report import derive\nfrom . import layers\n", [(1, "report")]),
        ("if TYPE_CHECKING:\n    from fobench.report import derive\n", []),
        ("from fobench import __version__\n", [(1, "__init__")]),
    ],
)
def test_the_walker_sees_every_kind_of_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: list[tuple[int, str]]
) -> None:
    house = tmp_path / "fobench"
    for name in ("report", "store", "networks", "learners", "plugins"):
        (house / name).mkdir(parents=True)
    (house / "learners/rule.py").write_text(source)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", house)
    assert list(edges(house / "learners/rule.py")) == expected
