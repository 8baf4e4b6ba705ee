"""`fobench fit`: which learning rules fit a chip with this network, how large a batch, and what would make the next one fit?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from fobench.cli.cost_verb import Device, Folder, Format, Optimizer, Set, chosen, profile
from fobench.cli.target import Classes, Shape, Target, memory, target
from fobench.contracts import FobenchError

if TYPE_CHECKING:
    from fobench.costs.devices import Device as DeviceProfile
    from fobench.costs.fit import Choice, Need, Room


def verb(
    network: Annotated[str, typer.Option("--network", help="A named network or a network file.", show_default=False)],
    device: Device = None,
    folder: Folder = None,
    ram: Annotated[str | None, typer.Option("--ram", help="RAM to use: 320K, ... [default: the device's].")] = None,
    flash: Annotated[str | None, typer.Option("--flash", help="Flash likewise.")] = None,
    learners: Annotated[
        list[str] | None, typer.Option("--learner", "-l", help="Only these rules [default: all].", show_default=False)
    ] = None,
    format: Format = "int8",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples a step.")] = 1,
    optimizer: Optimizer = "none",
    options: Set = None,
    shape: Shape = None,
    classes: Classes = None,
) -> None:
    """Print which rules fit, the largest batch and bytes by role, and what to change; exit with 1 if nothing fits."""
    from fobench import plugins

    found = target(network, shape, classes)
    room = _room(profile(device, folder) if device else None, ram, flash)
    rules = tuple(learners or plugins.installed("costs"))
    held = "" if room.flash is None else f" and {room.flash:,} B of flash"
    print(f"{found.name} in {room.ram:,} B of RAM{held}: {format}, batch {batch}, optimizer {optimizer}")
    print("analytical: RAM = weights, state and the planned arena of one training step, nothing else in the chip's RAM")
    choices = [chosen(rule, format, batch, optimizer, options) for rule in rules]
    if not _print_all(found, choices, room):
        raise typer.Exit(1)


def _room(chip: DeviceProfile | None, ram: str | None, flash: str | None) -> Room:
    from fobench.costs.fit import Room

    if ram is None and (chip is None or chip.ram is None):
        whose = f"the profile of {chip.name} has no RAM" if chip else "no --device"
        raise FobenchError(f"no RAM to fit into: {whose}; give --ram, such as --ram 320K")
    own_ram = int(chip.ram.value) if chip and chip.ram else 0
    own_flash = int(chip.flash.value) if chip and chip.flash else None
    found = Room(memory(ram, "--ram") if ram else own_ram, memory(flash, "--flash") if flash else own_flash)
    if chip and chip.ram and found.ram > own_ram:
        print(f"note: {chip.name} itself has {own_ram:,} B of RAM [{chip.ram.source}]")
    return found


def _print_all(found: Target, choices: list[Choice], room: Room) -> bool:
    """Print every rule, those that fit first; say whether any does."""
    from fobench.cli.text import table
    from fobench.costs import CostError
    from fobench.costs.fit import largest_batch, need

    fitting: list[tuple[int, list[str]]] = []
    failing: list[tuple[Choice, Need]] = []
    refused: list[str] = []
    for choice in choices:
        try:
            program = choice.program(found.network, found.task)
        except CostError as error:
            refused.append(f"  {choice.rule}: {error}")
            continue
        wanted = need(program, choice.batch, choice.format)
        if room.holds(wanted):
            batch = largest_batch(program, choice.format, room)
            fitting.append((wanted.ram, [choice.rule, f"{wanted.ram:,}", f"{batch:,}", _roles(wanted)]))
        else:
            failing.append((choice, wanted))
    print("fits, smallest first:" if fitting else "nothing fits")
    rows = [["rule", "RAM B", "largest batch", "bytes by role at the peak"], *(row for _, row in sorted(fitting))]
    for line in table(rows, left=(0, 3)) if fitting else ():
        print(line)
    for line in (*_failing_lines(found, failing, room), *(("does not apply:", *refused) if refused else ())):
        print(line)
    return bool(fitting)


def _failing_lines(found: Target, failing: list[tuple[Choice, Need]], room: Room) -> Iterator[str]:
    """Yield what does not fit, nearest first, each with what would make it fit."""
    from fobench.costs.fit import changes, combined, need, remedy
    from fobench.plugins import installed

    if failing:
        yield "does not fit:"
    for choice, wanted in sorted(failing, key=lambda item: item[1].ram):
        over = wanted.ram - room.ram
        much = f"{over:,} B of RAM too much" if over > 0 else f"{wanted.flash:,} B do not fit the flash"
        yield f"  {choice.rule}: {wanted.ram:,} B, {much} ({_roles(wanted)})"
        rules = tuple(installed("costs"))
        made = remedy(choice, found.network, found.task, room, rules)
        all_changes = list(changes(choice, found.network, found.task, rules))
        after = combined(choice, [change.choice for change in made or all_changes])
        ram = need(after.program(found.network, found.task), after.batch, after.format).ram
        text = " and ".join(change.text for change in made or all_changes) or "nothing to change"
        yield f"    fits with: {text} -> {ram:,} B" if made else f"    not even with: {text} -> {ram:,} B"


def _roles(wanted: Need) -> str:
    return ", ".join(f"{role} {value:,}" for role, value in wanted.roles.items() if value)
