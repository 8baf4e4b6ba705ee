"""What `fobench new` writes: a plug-in package that works as it stands, from templates beside this file."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from fobench import plugins
from fobench.contracts import FobenchError

LEARNER = {
    "rule.py.txt": "$module.py",
    "test_rule.py.txt": "test_$module.py",
    "suite.yaml.txt": "$name.yaml",
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
}
"""Templates of a learner's package, and the files that they become."""


class ScaffoldError(FobenchError):
    """A name that no package can have, or a folder that is taken."""


def new_learner(name: str, into: Path) -> list[Path]:
    """Write the package of a new learner into the folder `into/NAME` and return its files; raises ScaffoldError.

    `name` is that of the entry point, such as `my-rule`; the module is called `my_rule`, the class `MyRule`.
    """
    words = _words(name)
    folder = into / name
    if folder.exists():
        raise ScaffoldError(f"{folder} exists already; choose another name, or another folder with --into")
    folder.mkdir(parents=True)
    made = []
    for template, target in LEARNER.items():
        text = files("fobench.scaffold").joinpath("learner", template).read_text(encoding="utf-8")
        path = folder / Template(target).substitute(words)
        path.write_text(Template(text).substitute(words), encoding="utf-8")
        made.append(path)
    return made


def _words(name: str) -> dict[str, str]:
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise ScaffoldError(f"{name!r} cannot name a learner; expected small letters, digits and dashes, as in my-rule")
    if name in plugins.installed("learners"):
        raise ScaffoldError(f"a learner {name!r} is installed already; choose another name")
    if plugins.file_of(module) is not None:
        raise ScaffoldError(f"a Python module {module!r} is there already; choose another name")
    return {"name": name, "module": module, "cls": "".join(word.capitalize() for word in name.split("-"))}
