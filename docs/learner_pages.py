"""One page per installed learner: its docstring, which reads like its paper, and its hyperparameters; nothing is imported."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = "rules"
"""Below docs/; written at each build, not kept under version control."""


def write_pages(folder: Path) -> None:
    """Write `NAME.md` for every learner of pyproject.toml, and `index.md`."""
    folder.mkdir(exist_ok=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"]["fobench.learners"]
    for name, target in points.items():
        (folder / f"{name}.md").write_text(page(name, *target.split(":")), encoding="utf-8")
    listed = "\n".join(points)
    index = f"# One page per learner\n\nFrom the docstring of each rule's file.\n\n```{{toctree}}\n{listed}\n```\n"
    (folder / "index.md").write_text(index, encoding="utf-8")


def page(name: str, module: str, cls: str) -> str:
    """Return the page of one learner as Markdown; the equations of a docstring are its indented lines."""
    source = (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
    tree = ast.parse(source)
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls)
    text = ast.get_docstring(tree) or ""
    rows = [
        f"| `{field}` | {default} | {meaning} |"
        for field, default, meaning in _fields(tree, found, source.splitlines())
    ]
    here = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    table = [f"Those of {ast.unparse(base)}.\n" for base in found.bases if ast.unparse(base) not in here]
    table += ["| hyperparameter | default | meaning |", "|---|---|---|", *rows] if rows else []
    return "\n".join([f"# {name}", "", text, "", "## Hyperparameters", "", *table, ""])


def _fields(tree: ast.Module, found: ast.ClassDef, lines: list[str]) -> list[tuple[str, str, str]]:
    """Return name, default and comment of each field, those of a base class in the same file first."""
    bases = {ast.unparse(base) for base in found.bases}
    above = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in bases]
    fields = {row[0]: row for node in above for row in _fields(tree, node, lines)}
    for item in found.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            comment = lines[(item.end_lineno or item.lineno) - 1].partition("  # ")[2]
            row = (item.target.id, _default(item.value), _cell(comment))
            fields[item.target.id] = row if comment else (*row[:2], fields.get(item.target.id, row)[2])
    return list(fields.values())


def _default(value: ast.expr | None) -> str:
    if value is None:
        return "none: it must be given"
    if isinstance(value, ast.Call) and ast.unparse(value.func).startswith("optimizers."):
        words = ", ".join(f"{word.arg}: {ast.unparse(word.value)}" for word in value.keywords)
        return _cell(f"`{{{words}}}`")
    if isinstance(value, ast.Call) and value.args:
        return _default(value.args[0])
    if isinstance(value, ast.Call):
        default = [word.value for word in value.keywords if word.arg == "default"]
        return _default(default[0]) if default else "`{}`"
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return f"`{value.value}`"
    return _cell(f"`{ast.unparse(value)}`")


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|")
