"""`fobench new`: write a plug-in package to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

verb = typer.Typer(no_args_is_help=True, help="Write a package for a plug-in of your own.")


@verb.callback()
def group() -> None:
    """Write a package for a plug-in of your own."""


@verb.command()
def learner(
    name: Annotated[str, typer.Argument(help="Name of the learning rule, such as my-rule.", show_default=False)],
    into: Annotated[Path, typer.Option("--into", help="Folder in which the package's folder is made.")] = Path(),
) -> None:
    """Write a learning rule that works as it stands, with its test and a suite that puts it beside backpropagation."""
    from fobench.scaffold import new_learner

    made = new_learner(name, into)
    for path in made:
        print(f"wrote {path}")
    print(
        f"next: cd {made[0].parent} && fobench check --learner {made[0].name}:{made[0].read_text().split(':', 1)[0][3:]}"
    )
