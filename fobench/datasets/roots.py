"""Where data lies: `--data`, else `FOBENCH_DATA`, else the user's cache; and the command that brings what is not there."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from platformdirs import user_cache_path


def data_root(option: str | None = None) -> Path:
    """Return the folder under which every data set has its own folder: the option, `FOBENCH_DATA`, or the user cache."""
    named = option or os.environ.get("FOBENCH_DATA")
    return Path(named).expanduser().absolute() if named else user_cache_path("fobench", appauthor=False) / "data"


def fetch_command(name: str, root: Path) -> str:
    """Return the command that fetches a data set to `root`, in backquotes, to end a sentence with."""
    elsewhere = "" if root == data_root() else f" --data {shlex.quote(str(root))}"
    return f"`fobench data fetch {name}{elsewhere}`"
