"""The `fobench` command: collects the verbs and turns every known failure into one message and exit code 2."""

from __future__ import annotations

import importlib
import sys

import typer

from fobench import __version__
from fobench.contracts import FobenchError

VERBS = (
    "run",
    "check",
    "collect",
    "certificates",
    "report",
    "status",
    "list",
    "doctor",
    "calibrate",
    "overhead",
    "data",
    "export",
    "compare",
    "regress",
    "cost",
    "fit",
    "published",
    "new",
)
"""Each verb is a file of this room with a function (or, for `data`, a Typer group) called `verb`."""


def _asked() -> tuple[str, ...]:
    """Return the verb that the command line names, so that it waits for no other verb's imports; else all of them."""
    return tuple(name for name in sys.argv[1:2] if name in VERBS) or VERBS


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What a learning algorithm costs in energy, memory, multiply-accumulates and time.",
)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        print(f"fobench {__version__}")
        raise typer.Exit


for _name in _asked():
    _verb = importlib.import_module(f"fobench.cli.{_name}_verb").verb
    if isinstance(_verb, typer.Typer):
        app.add_typer(_verb, name=_name)
    else:
        app.command(_name)(_verb)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except FobenchError as error:
        print(f"fobench: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(
            f"fobench: {error}; check that the place exists, is writable and has space; finished cells are kept",
            file=sys.stderr,
        )
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as end:
        # newer versions of typer turn an interrupt into exit code 130 without a word
        if isinstance(end, SystemExit) and end.code != 130:
            raise
        print("fobench: interrupted; finished cells are kept, the next run resumes", file=sys.stderr)
        sys.exit(130)
