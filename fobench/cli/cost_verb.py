"""`fobench cost`: what does a rule cost on this network, and how does the number come about?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fobench.cli.settings import settings
from fobench.cli.target import Classes, Shape, Target, target
from fobench.contracts import FobenchError, Phase

if TYPE_CHECKING:
    from fobench.costs.devices import Device as DeviceProfile
    from fobench.costs.fit import Choice, Need
    from fobench.costs.program import Program
    from fobench.costs.published import Published
    from fobench.costs.sheet import Sheet

ACCOUNTINGS = ("published", "complete")

Network = Annotated[
    str, typer.Argument(help="A named network, hidden widths (2000x4), or a network file (.yaml).", show_default=False)
]
Format = Annotated[str, typer.Option("--format", help="How a value is stored: int8, int16, float32.")]
Optimizer = Annotated[str, typer.Option("--optimizer", help="State per weight: none, momentum, adam.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Option of the rule's program, NAME=VALUE: seeded=true, keep=1, ...", show_default=False
    ),
]
Device = Annotated[
    str | None, typer.Option("--device", help="Chip: a name, or the path of a profile (.yaml).", show_default=False)
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--devices", help="Folder of your own device profiles.", exists=True, file_okay=False, show_default=False
    ),
]


def verb(
    network: Network,
    learner: Annotated[str, typer.Option("--learner", "-l", help="The learning rule.", show_default=False)],
    accounting: Annotated[
        str | None, typer.Option("--accounting", help="published or complete [default: both].", show_default=False)
    ] = None,
    format: Format = "int8",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples a step; the published accounting has one.")] = 1,
    optimizer: Optimizer = "none",
    options: Set = None,
    slips: Annotated[
        list[str] | None,
        typer.Option("--slip", help="Repeat a slip of the published sheet, by name, or `all`.", show_default=False),
    ] = None,
    device: Device = None,
    folder: Folder = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Of the whole training.")] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Of one epoch.")] = None,
    battery: Annotated[float | None, typer.Option("--battery", min=1e-6, help="Battery in Wh.")] = None,
    per_day: Annotated[float | None, typer.Option("--per-day", min=1e-6, help="Training samples a day.")] = None,
    shape: Shape = None,
    classes: Classes = None,
    map: Annotated[Path | None, typer.Option("--map", help="Draw the memory map (.png, .svg).")] = None,
) -> None:
    """Explain what a rule costs on a network: MACs by role, bytes by role, layer by layer; imports no torch."""
    _check(accounting, slips, map)
    found = target(network, shape, classes)
    choice = chosen(learner, format, batch, optimizer, options)
    lines = [heading(found, choice)]
    sheet = _published(found, choice, slips or [], accounting)
    if accounting is None and sheet is None:
        lines.append(
            f"published accounting: none of {choice.rule}; Pau and Aymone (2023) have only {_published_rules()}"
        )
    program = None if accounting == "published" else choice.program(found.network, found.task)
    needs = _needs(program, choice)
    lines += [
        *_sheet_lines(sheet, choice, slips),
        *_program_lines(program, choice, needs),
        *_beside(sheet, program, needs),
    ]
    if device:
        from fobench.cli.projection_lines import Whole, projection_lines

        macs = _macs(sheet[1] if sheet and program is None else program)
        lines += projection_lines(profile(device, folder), found, macs, Whole(epochs, samples, battery, per_day))
    if map:
        lines.append(_draw(program, choice, found, map))
    print("\n".join(lines))


def _check(accounting: str | None, slips: list[str] | None, map: Path | None) -> None:
    """Refuse options that contradict each other before anything is computed."""
    if accounting not in (None, *ACCOUNTINGS):
        raise FobenchError(f"--accounting is {accounting!r}; expected {' or '.join(ACCOUNTINGS)}")
    if slips and accounting == "complete":
        raise FobenchError("--slip is of the published accounting; leave out --accounting complete")
    if map and accounting == "published":
        raise FobenchError("the published accounting has no plan to draw; leave out --accounting published or --map")
    if map and map.suffix not in (".png", ".svg"):
        raise FobenchError(f"--map is {map}; expected a name that ends in .png or .svg")


def _published_rules() -> str:
    from fobench.costs.published import RULES

    return ", ".join(RULES)


def profile(device: str, folder: Path | None) -> DeviceProfile:
    """Return a device by its name, from a folder of profiles first, or by the path of its profile."""
    from fobench.costs import devices

    return devices.device(device, (folder,) if folder else ())


def chosen(learner: str, format: str, batch: int, optimizer: str, options: list[str] | None) -> Choice:
    """Return the choice that the options of a cost verb stand for."""
    from fobench.costs.fit import Choice
    from fobench.costs.program import Format as Formats
    from fobench.plugins import nearest

    if format not in list(Formats):
        raise FobenchError(f"--format is {format!r}; {nearest(format, [str(item) for item in Formats])}")
    given = {"optimizer": optimizer} if optimizer != "none" else {}
    return Choice(learner, Formats(format), batch, {**given, **settings(options)})


def heading(found: Target, choice: Choice) -> str:
    """Return the line that says what is accounted."""
    from fobench.networks import describe

    shape = "x".join(map(str, found.task.input_shape))
    task = f"{found.task.classes} classes" if found.task.classes else found.task.kind
    said = ", ".join(f"{name} {value}" for name, value in choice.options.items())
    layers = describe(found.network, found.task)
    return (
        f"{choice.rule} on {found.name} ({layers if len(layers) < 60 else shape}; {task}){': ' + said if said else ''}"
    )


def _published(
    found: Target, choice: Choice, slips: list[str], accounting: str | None
) -> tuple[Sheet, Published] | None:
    """Return sheet and totals; None if not asked for, or if both were and the sheet has no such rule."""
    from fobench.costs.published import RULES, PublishedError, account, sheet, slips_of

    if accounting == "complete":
        return None
    if choice.rule not in RULES and accounting is None and not slips:
        return None
    if "all" in slips:
        slips = list(slips_of(found.network, found.task))
        if not slips:
            raise PublishedError(f"the published sheet has no slip for {found.name}")
    table = sheet(found.network, found.task, slips)
    return table, account(table, choice.rule, choice.format.bytes)


def _sheet_lines(sheet: tuple[Sheet, Published] | None, choice: Choice, slips: list[str] | None) -> Iterator[str]:
    from fobench.cli.cost_lines import published_lines

    if sheet is None:
        return
    yield from [f"with the slips of the published sheet: {', '.join(slips)}"] if slips else []
    if choice.batch > 1:
        yield "the published accounting is of one sample at a time; --batch counts in the complete one"
    yield ""
    yield from published_lines(*sheet, choice.format.bytes)


def _needs(program: Program | None, choice: Choice) -> dict[Phase, Need]:
    """Return the bytes of a training step and of an inference."""
    from fobench.costs.fit import need

    phases = (Phase.TRAIN, Phase.INFER) if program else ()
    return {phase: need(program, choice.batch, choice.format, phase) for phase in phases if program}


def _program_lines(program: Program | None, choice: Choice, needs: dict[Phase, Need]) -> Iterator[str]:
    from fobench.cli.cost_lines import complete_lines, role_lines

    if program is None:
        return
    for phase, wanted in needs.items():
        yield ""
        yield from complete_lines(program, choice.batch, choice.format, phase)
        yield from role_lines(program, phase, wanted)


def _beside(sheet: tuple[Sheet, Published] | None, program: Program | None, needs: dict[Phase, Need]) -> Iterator[str]:
    """Yield the totals of both accountings side by side."""
    from fobench.cli.text import count, table

    if sheet is None or program is None:
        return
    found = sheet[1]
    rows = [["", "published", "complete"]]
    for name, phase, macs, ram in (
        ("training", Phase.TRAIN, found.training_macs, found.training_ram),
        ("inference", Phase.INFER, found.inference_macs, found.inference_ram),
    ):
        rows.append([f"{name} MACs / sample", count(macs), count(sum(program.macs(phase).values()))])
        rows.append([f"{name} RAM B", count(ram), count(needs[phase].ram)])
    yield ""
    yield "totals; the published inference RAM leaves the weights in flash, the published MACs count softmax and sums too"
    yield from table(rows)


def _macs(found: Published | Program | None) -> tuple[float, float]:
    """Return the MACs of a training sample and of an inference."""
    from fobench.costs.published import Published

    if isinstance(found, Published):
        return found.training_macs, found.inference_macs
    assert found is not None
    return sum(found.macs(Phase.TRAIN).values()), sum(found.macs(Phase.INFER).values())


def _draw(program: Program | None, choice: Choice, found: Target, path: Path) -> str:
    from fobench.costs.arena import plan
    from fobench.report.memory_map import draw

    assert program is not None
    arena = plan(program.lifetimes(choice.batch, choice.format, Phase.TRAIN))
    title = f"{choice.rule} on {found.name}, {choice.format}, batch {choice.batch}: one training step"
    draw(arena, title, path)
    return f"memory map: {path}"
