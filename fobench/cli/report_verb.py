"""`fobench report`: write the report of finished results."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

WHERE_AND_HOW = ("output", "format")
"""Options that change no number and no figure."""


def verb(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="A suite's name, its YAML file, or a results folder.")],
    results: Annotated[Path, typer.Option(help="Folder that holds the results of all suites.")] = Path("results"),
    output: Annotated[Path, typer.Option(help="Folder to write reports to, one folder per suite.")] = Path("reports"),
    machine: Annotated[str | None, typer.Option(help="Whose results, where several machines have some.")] = None,
    format: Annotated[str, typer.Option(help="Comma-separated: md, pdf, html, latex, csv.")] = "md,pdf",
    baseline: Annotated[
        str, typer.Option(help="Label to compare with [default: BP, or the first].", show_default=False)
    ] = "",
    margin: Annotated[float, typer.Option(help="Difference that does not matter: 0.05 is 5 %.")] = 0.05,
    mixed: Annotated[
        bool, typer.Option(help="Compare measured with estimated, and CodeCarbon's across thread counts.")
    ] = False,
    country: Annotated[str, typer.Option(help="ISO code of three letters, for CO2e.", show_default=False)] = "",
    target_error: Annotated[
        float | None, typer.Option(help="Error (0 to 1) to give joules to.", show_default=False)
    ] = None,
    battery_mah: Annotated[float, typer.Option(help="Wearable's cell, mAh.")] = 300.0,
    battery_v: Annotated[float, typer.Option(help="Wearable's cell, V.")] = 3.7,
    updates: Annotated[float, typer.Option(help="Trainings per day.")] = 1.0,
    inferences: Annotated[float, typer.Option(help="Predictions per day.")] = 86_400.0,
    diff: Annotated[
        str | None, typer.Option("--diff", help="Older results: report what differs from them.", show_default=False)
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Open the report when it is written.")] = False,
) -> None:
    """Write reports/SUITE/report.md and report.pdf (and .html, LaTeX and CSV tables) from finished results."""
    from fobench.report.build import build
    from fobench.report.comparison import Rules
    from fobench.report.target import results_folder
    from fobench.report.units import Scenario

    options = {
        "command": _again(context),
        "comparison": Rules(baseline, margin, mixed),
        "units": Scenario(battery_mah, battery_v, updates, inferences, target_error, country, baseline),
    }
    formats = [name.strip() for name in format.split(",") if name.strip()]
    before = results_folder(diff, results) if diff else None
    paths = build(results_folder(target, results), output, machine, formats, options, before)
    for path in paths:
        print(path)
    if open:
        _open(next((path for path in paths if path.suffix in (".pdf", ".html")), paths[0]))


def _open(path: Path) -> None:
    """Show a file in the desktop's own viewer; say so where there is none."""
    import webbrowser

    try:
        shown = webbrowser.open(path.resolve().as_uri())
    except webbrowser.Error:
        shown = False
    if not shown:
        print(f"nothing here can show {path}: no desktop, no browser; copy it to a machine that has one")


def _again(context: typer.Context) -> str:
    """Return the command line that writes the same figures: the arguments given, as Markdown."""
    words = ["fobench", "report"]
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.param_type_name == "argument":
            words.append(str(value))
        elif value != parameter.get_default(context) and parameter.name not in WHERE_AND_HOW:
            words += [parameter.opts[0]] if value is True else [parameter.opts[0], str(value)]
    return shlex.join([*words, "--format", "md"])
