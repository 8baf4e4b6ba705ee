"""Does a rule fit a chip: RAM of a training step as planned, the largest batch, and what to change where it does not fit.

RAM is what stays between steps plus the planned arena of one step; flash is what a chip must hold before it has learned
anything: weights, biases and stored fixed matrices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from fobench.contracts import Phase, Task
from fobench.costs.arena import plan
from fobench.costs.catalog import program_of
from fobench.costs.program import BufferRole, Format, Program

IN_FLASH = (BufferRole.WEIGHT, BufferRole.BIAS, BufferRole.FEEDBACK)
MOST_SAMPLES = 1 << 16
"""A batch that no microcontroller collects; the search for the largest one ends here."""


@dataclass(frozen=True)
class Choice:
    """A rule with everything that decides its bytes: format, batch, and the options of its program.

    Every rule has biases here unless its options say otherwise: those of the networks hold the folded batch normalisation,
    and the published accounting counts them.
    """

    rule: str
    format: Format = Format.INT8
    batch: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def program(self, network: Any, task: Task) -> Program:
        """Return its program; raises CostError where the rule does not fit the task."""
        return program_of(self.rule, {"network": network, "bias": True, **self.options}, task)


@dataclass(frozen=True)
class Need:
    """Bytes that a training step takes, by role at its largest moment; `ram` is planned, `bound` what no plan beats."""

    ram: int
    bound: int
    flash: int
    roles: Mapping[BufferRole, int]


@dataclass(frozen=True)
class Room:
    """What a chip has, in bytes; None where nobody says."""

    ram: int
    flash: int | None = None

    def holds(self, need: Need) -> bool:
        """Say whether a step fits."""
        return need.ram <= self.ram and (self.flash is None or need.flash <= self.flash)


def need(program: Program, batch: int, format: Format, phase: Phase = Phase.TRAIN) -> Need:
    """Return the bytes of one step at this batch and format."""
    kept = program.persistent_bytes(format)
    arena = plan(program.lifetimes(batch, format, phase))
    persistent = sum(kept.values())
    flash = sum(kept.get(role, 0) for role in IN_FLASH)
    return Need(persistent + arena.peak, persistent + arena.bound, flash, program.peak(batch, format, phase).roles)


def largest_batch(program: Program, format: Format, room: Room) -> int:
    """Return the largest batch whose step fits, 0 if not even one sample does, at most MOST_SAMPLES."""

    def fits(batch: int) -> bool:
        return room.holds(need(program, batch, format))

    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= MOST_SAMPLES and fits(high):
        low, high = high, 2 * high
    if high > MOST_SAMPLES:
        return MOST_SAMPLES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class Change:
    """One thing to change, in words, and the choice after it."""

    text: str
    choice: Choice


def changes(choice: Choice, network: Any, task: Task, rules: tuple[str, ...]) -> Iterator[Change]:
    """Yield what could make a rule smaller, the cheapest to do first."""
    options = dict(choice.options)
    if choice.batch > 1:
        yield Change("batch 1", replace(choice, batch=1))
    program = choice.program(network, task)
    if options.get("optimizer", "none") not in ("none", "sgd"):
        yield Change("no optimizer state", replace(choice, options={**options, "optimizer": "none"}))
    if Counter(program.persistent_bytes(choice.format))[BufferRole.FEEDBACK] and not options.get("seeded"):
        letter = next(name for name, item in program.persistent.items() if item.role is BufferRole.FEEDBACK)[0]
        yield Change(f"{letter} from a seed", replace(choice, options={**options, "seeded": True}))
    if choice.rule == "pepita" and "mempepita" in rules:
        yield Change("recompute the standard pass (mempepita)", replace(choice, rule="mempepita"))
    if choice.rule.startswith("ff") and not options.get("apart"):
        yield Change(
            "positive and negative pass one after the other", replace(choice, options={**options, "apart": True})
        )
    if choice.format is not Format.INT8:
        yield Change("int8", replace(choice, format=Format.INT8))


def remedy(choice: Choice, network: Any, task: Task, room: Room, rules: tuple[str, ...]) -> list[Change]:
    """Return the fewest changes, up to all, after which the choice fits; empty if none do.

    Each change is that of one field, so that several are made together by taking each one's own field.
    """
    single = list(changes(choice, network, task, rules))
    for count in range(1, len(single) + 1):
        for chosen in combinations(single, count):
            together = combined(choice, [change.choice for change in chosen])
            program = together.program(network, task)
            if room.holds(need(program, together.batch, together.format)):
                return list(chosen)
    return []


def combined(choice: Choice, others: list[Choice]) -> Choice:
    """Return the choice with the differences of all others."""
    found = choice
    for other in others:
        found = Choice(
            other.rule if other.rule != choice.rule else found.rule,
            other.format if other.format is not choice.format else found.format,
            other.batch if other.batch != choice.batch else found.batch,
            {**found.options, **{k: v for k, v in other.options.items() if choice.options.get(k) != v}},
        )
    return found
