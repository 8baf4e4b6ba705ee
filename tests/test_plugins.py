"""Names into classes: entry points, modules and files; near misses; what a plug-in's code is made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fobench import plugins
from fobench.contracts import Reference
from fobench.plugins import PluginError

RULE = """\
from __future__ import annotations
from dataclasses import dataclass, field
from typing import ClassVar, Literal

@dataclass
class Rule:
    network: list[int]
    eta: float = 0.1
    kind: Literal["a", "b"] = "a"
    count: ClassVar[int] = 0
    memory: list[float] = field(default_factory=list, init=False)

class Plain:
    def __init__(self, width, *args, height=2, **kwargs):
        if width < 0:
            raise ValueError(f"width is {width}; expected 0 or more")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path that leaves nothing behind."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    plugins.file_of.cache_clear()
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    plugins.file_of.cache_clear()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_built_in_plugins_are_declared_like_a_strangers() -> None:
    assert set(plugins.installed("learners")) >= {"bp", "bp-autograd", "drtp", "pepita", "ff", "biofo"}
    assert set(plugins.installed("datasets")) >= {"mit-bih", "chb-mit", "mnist", "digits"}
    assert set(plugins.installed("meters")) >= {"clock", "codecarbon", "rapl", "nvml"}
    with pytest.raises(PluginError, match="unknown plug-in group 'learner'; expected one of learners"):
        plugins.installed("learner")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("pepito", "unknown learner 'pepito'; did you mean 'pepita'?"),
        ("bp-autogard", "did you mean 'bp-autograd'?"),
        ("zzz", "unknown learner 'zzz'; expected one of: afa, biofo, bp, bp-autograd"),
        ("nope.py:Rule", "no file 'nope.py' .* relative to the suite file"),
        ("rule.py:", "'rule.py:' is no plug-in; expected a name"),
        (":Rule", "':Rule' is no plug-in"),
        ("a..b:Rule", "'a..b:Rule' is no plug-in"),
        ("a.b:not a name", "is no plug-in"),
    ],
)
def test_what_cannot_be_located(tmp_path: Path, target: str, expected: str) -> None:
    with pytest.raises(PluginError, match=expected):
        plugins.locate(target, "learners", tmp_path)


def test_a_class_of_a_file_with_postponed_annotations(folder: Path) -> None:
    write(folder / "deep/rule.py", RULE)
    rule = plugins.create(Reference("deep/rule.py:Rule", {"network": [3], "kind": "b"}), "learners", folder)
    assert (rule.network, rule.eta, rule.kind) == ([3], 0.1, "b")
    assert plugins.load("deep/rule.py:Rule", "learners", folder) is type(rule)


def test_a_class_of_a_module(folder: Path) -> None:
    write(folder / "stranger/__init__.py", "")
    write(folder / "stranger/rules.py", RULE)
    assert plugins.create(Reference("stranger.rules:Rule", {"network": [1]}), "learners").network == [1]


@pytest.mark.parametrize(
    ("target", "arguments", "expected"),
    [
        ("rule.py:Role", {}, "has no 'Role'; did you mean 'Rule'?"),
        ("rule.py:Rule", {"networks": []}, "has no argument 'networks'; did you mean 'network'?"),
        ("rule.py:Rule", {"memory": []}, "has no argument 'memory'"),
        ("rule.py:Rule", {"count": 1}, "has no argument 'count'"),
        ("rule.py:Rule", {}, "missing 1 required positional argument: 'network'"),
        ("rule.py:Plain", {"heigth": 1}, "has no argument 'heigth'; did you mean 'height'?"),
        ("rule.py:Plain", {"width": -1}, "rule.py:Plain: width is -1; expected 0 or more"),
        ("broken.py:X", {}, "cannot be imported: SyntaxError"),
        ("raises.py:X", {}, "cannot be imported: RuntimeError: no luck"),
        ("no_such_module:X", {}, "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_created(folder: Path, target: str, arguments: dict[str, object], expected: str) -> None:
    write(folder / "rule.py", RULE)
    write(folder / "broken.py", "class :")
    write(folder / "raises.py", "raise RuntimeError('no luck')")
    with pytest.raises(PluginError, match=expected):
        plugins.create(Reference(target, arguments), "learners", folder)


def test_a_file_that_failed_to_import_is_read_again(folder: Path) -> None:
    file = write(folder / "late.py", "raise RuntimeError")
    with pytest.raises(PluginError):
        plugins.load("late.py:X", "learners", folder)
    file.write_text("class X: ...")
    assert plugins.load("late.py:X", "learners", folder).__name__ == "X"


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("fobench.networks", "__init__.py"),
        ("fobench.networks.shapes", "shapes.py"),
        ("sys", None),
        ("no.such", None),
        ("", None),
    ],
)
def test_files_of_modules(module: str, found: str | None) -> None:
    file = plugins.file_of(module)
    assert (file.name if file else None) == found


# --- staleness ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(folder: Path) -> Path:
    """A stranger's package; importing it would fail, so its hash must come without an import."""
    write(folder / "outsider/__init__.py", "raise RuntimeError('imported')")
    write(
        folder / "outsider/rule.py",
        "from fobench import networks\nfrom . import helper\nimport math\n\nclass Rule: ...\n",
    )
    write(folder / "outsider/helper.py", "from .deep.inner import VALUE\n")
    write(folder / "outsider/deep/__init__.py", "")
    write(folder / "outsider/deep/inner.py", "VALUE = 1\n")
    write(folder / "outsider/unrelated.py", "VALUE = 1\n")
    return folder / "outsider"


def test_the_hash_needs_no_import(package: Path) -> None:
    plugins.source_hash("outsider.rule:Rule", "learners")
    assert "outsider" not in sys.modules


@pytest.mark.parametrize("edited", ["rule.py", "helper.py", "deep/inner.py", "__init__.py"])
def test_the_hash_changes_with_every_file_that_is_imported(package: Path, edited: str) -> None:
    before = plugins.source_hash("outsider.rule:Rule", "learners")
    file = package / edited
    file.write_text(file.read_text() + "# edited\n")
    assert plugins.source_hash("outsider.rule:Rule", "learners") != before


def test_the_hash_does_not_change_with_other_files(package: Path) -> None:
    before = plugins.source_hash("outsider.rule:Rule", "learners")
    (package / "unrelated.py").write_text("VALUE = 2\n")
    assert plugins.source_hash("outsider.rule:Rule", "learners") == before


def test_the_hash_follows_imports_into_fobench(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of fobench stands in for the real one, so that its files can be edited."""
    import shutil

    shutil.copytree(Path(plugins.__file__).parent, folder / "fobench", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    plugins.file_of.cache_clear()
    write(folder / "mine.py", "from fobench.networks import dense\nclass Rule: ...\n")
    before = plugins.source_hash("mine.py:Rule", "learners", folder)
    for edited, changes in (
        ("networks/records.py", True),
        ("contracts/vocabulary.py", True),
        ("store.py", False),
        ("report/__init__.py", False),
    ):
        file = folder / "fobench" / edited
        text = file.read_text()
        file.write_text(text + "\n# edited\n")
        assert (plugins.source_hash("mine.py:Rule", "learners", folder) != before) is changes, edited
        file.write_text(text)


def test_the_hash_does_not_depend_on_where_the_suite_lies(folder: Path) -> None:
    hashes = set()
    for place in ("a", "z/deeper"):
        write(folder / place / "mine.py", "import fobench.networks\nclass Rule: ...\n")
        hashes.add(plugins.source_hash("mine.py:Rule", "learners", folder / place))
    assert len(hashes) == 1


def test_the_hash_of_what_is_not_there(folder: Path) -> None:
    write(folder / "broken.py", "class :")
    with pytest.raises(PluginError, match="is its package installed"):
        plugins.source_hash("no_such_module:X", "learners")
    with pytest.raises(PluginError, match=r"broken\.py is not valid Python"):
        plugins.source_hash("broken.py:X", "learners", folder)
