"""`--set NAME=VALUE`: arguments of a plug-in on the command line, the value in YAML."""

from __future__ import annotations

from collections.abc import Iterable

from fobench.contracts import FobenchError, Json


def settings(texts: Iterable[str] | None) -> dict[str, Json]:
    """Return the arguments by name; raises FobenchError for a text that is no NAME=VALUE."""
    return dict(map(_pair, texts or ()))


def _pair(text: str) -> tuple[str, Json]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    name, separator, value = text.partition("=")
    if not (separator and name.isidentifier()):
        raise FobenchError(f"--set is {text!r}; expected NAME=VALUE, such as eta=0.1 or network=[100, 100]")
    try:
        return name, YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        raise FobenchError(f"--set is {text!r}, and its value is not YAML: {str(error).splitlines()[0]}") from error
