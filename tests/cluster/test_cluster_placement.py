"""Blocks on machines: who takes which, when all is done; and nothing is measured twice or split, whatever happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from measured import a_cell

from fobench.cluster.placement import Block, Machine, Placement, forecast
from fobench.contracts import Cell

A, B, C = Machine("a", "board"), Machine("b", "board"), Machine("c", "station")
RACK = [A, B, C]


def block(seed: int, cells: int = 2, home: str | None = None, kind: str | None = None) -> Block:
    return Block(seed, tuple(a_cell(f"learner-{number}", seed) for number in range(cells)), home, kind)


def test_blocks_are_taken_in_running_order() -> None:
    placement = Placement([block(0), block(1), block(2)])
    assert [taken.seed for taken in (placement.take(A), placement.take(C), placement.take(B)) if taken] == [0, 1, 2]
    assert placement.take(A) is None


def test_a_machine_ends_what_it_began_before_it_begins_another() -> None:
    placement = Placement([block(0), block(1, home="b"), block(2, home="a")])
    assert placement.take(A) == block(2, home="a")
    assert placement.take(A) == block(0)
    assert placement.take(A) is None, "block 1 was begun on b"
    assert placement.take(B) == block(1, home="b")


def test_a_block_of_one_kind_goes_to_no_other() -> None:
    placement = Placement([block(0, kind="station"), block(1, kind="board")])
    assert placement.take(A) == block(1, kind="board")
    assert placement.take(B) is None
    assert placement.take(C) == block(0, kind="station")


def test_a_block_without_cells_is_no_work() -> None:
    assert Placement([block(0, cells=0)]).take(A) is None
    placement = Placement([])
    placement.give_back(block(0, cells=0))
    assert placement.take(A) is None


def test_what_is_given_back_untouched_goes_to_anyone_in_its_old_place() -> None:
    placement = Placement([block(0), block(1), block(2)])
    lost = placement.take(A)
    assert lost is not None
    placement.give_back(lost)
    assert placement.take(B) == block(0)


def test_what_is_given_back_begun_waits_for_its_machine() -> None:
    placement = Placement([block(0)])
    begun = placement.take(A)
    assert begun is not None
    rest = begun.after(A)
    assert (rest.cells, rest.home) == (block(0).cells[1:], "a")
    placement.give_back(rest)
    assert placement.take(B) is None
    assert placement.take(Machine("a", "board")) == rest


# --- forecast ---------------------------------------------------------------------------------------------------------


def test_equal_blocks_on_two_machines_take_half_the_time() -> None:
    foretold = forecast([block(seed, 3) for seed in range(4)], [A, B], lambda _: 10.0)
    assert foretold.finish_s == 4 * 3 * 10 / 2
    assert foretold.cells == {"a": 6, "b": 6}
    assert foretold.stranded == ()


def test_a_block_is_not_split_to_end_sooner() -> None:
    foretold = forecast([block(seed, 3) for seed in range(3)], [A, B], lambda _: 10.0)
    assert (foretold.seconds, foretold.finish_s) == ({"a": 60.0, "b": 30.0}, 60.0)


def test_whoever_is_free_first_takes_the_next_block() -> None:
    """10, 1 and 2 s: the second machine does the last two."""
    lengths = {0: 10.0, 1: 1.0, 2: 2.0}
    foretold = forecast([block(seed, 1) for seed in range(3)], [A, B], lambda cell: lengths[cell.seed])
    assert foretold.seconds == {"a": 10.0, "b": 3.0}


def test_what_nobody_can_take_is_named() -> None:
    blocks = [block(0, home="gone"), block(1, kind="phone"), block(2)]
    foretold = forecast(blocks, [A], lambda _: 1.0)
    assert foretold.stranded == (blocks[0], blocks[1])
    assert foretold.finish_s == 2.0
    assert forecast(blocks, [], lambda _: 1.0).finish_s == 0.0


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(0, 6), max_size=12), machines=st.integers(1, 5), length=st.integers(1, 9))
def test_no_forecast_is_worse_than_grahams_bound(sizes: list[int], machines: int, length: int) -> None:
    """List scheduling ends before total / m + (1 - 1/m) times the longest block (Graham 1966), and not before total / m."""
    blocks = [block(seed, size) for seed, size in enumerate(sizes)]
    rack = [Machine(f"m{number}", "board") for number in range(machines)]
    foretold = forecast(blocks, rack, lambda _: length)
    total, longest = sum(sizes) * length, max(sizes, default=0) * length
    assert sum(foretold.cells.values()) == sum(sizes)
    assert total / machines <= foretold.finish_s <= total / machines + (1 - 1 / machines) * longest + 1e-9
    assert sum(foretold.seconds.values()) <= total + 1e-9


# --- whatever happens -------------------------------------------------------------------------------------------------


@dataclass
class Rack:
    """Machines at work as a run has them: one that is lost gives its block back; what it was measuring is not done."""

    placement: Placement
    here: set[Machine] = field(default_factory=lambda: set(RACK))
    held: dict[Machine, Block] = field(default_factory=dict)
    done: list[tuple[Cell, Block, Machine]] = field(default_factory=list)

    def takes(self, machine: Machine) -> None:
        if machine in self.here and machine not in self.held:
            taken = self.placement.take(machine)
            if taken is not None:
                assert taken.cells
                self.held[machine] = taken

    def finishes(self, machine: Machine) -> None:
        if machine in self.held:
            held = self.held.pop(machine)
            self.done.append((held.cells[0], held, machine))
            rest = held.after(machine)
            if rest.cells:
                self.held[machine] = rest

    def is_lost(self, machine: Machine) -> None:
        self.here.discard(machine)
        if machine in self.held:
            self.placement.give_back(self.held.pop(machine))

    def comes_back(self, machine: Machine) -> None:
        self.here.add(machine)


HAPPENINGS = (Rack.takes, Rack.finishes, Rack.is_lost, Rack.comes_back)
blocks_of_suites = st.lists(
    st.builds(
        block,
        seed=st.integers(0, 9),
        cells=st.integers(0, 4),
        home=st.sampled_from([None, None, None, "a", "b", "c", "gone"]),
        kind=st.sampled_from([None, "board", "station", "phone"]),
    ),
    max_size=8,
    unique_by=lambda made: (made.seed, made.kind),
)
happenings = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.sampled_from(RACK)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(blocks=blocks_of_suites, story=happenings)
def test_every_cell_is_measured_once_and_no_block_is_split(blocks: list[Block], story) -> None:
    rack = Rack(Placement(blocks))
    for happens, machine in story:
        happens(rack, machine)
    for machine in RACK:
        rack.comes_back(machine)
    for _ in range(sum(len(asked.cells) for asked in blocks) + 1):
        for machine in RACK:
            rack.takes(machine)
            rack.finishes(machine)

    can = [asked for asked in blocks if any(asked.fits(machine) for machine in RACK)]
    wanted = Counter((cell.id, asked.kind) for asked in can for cell in asked.cells)
    assert Counter((cell.id, held.kind) for cell, held, _ in rack.done) == wanted
    places: dict[tuple[int, str | None], set[str]] = {}
    for _, held, machine in rack.done:
        places.setdefault((held.seed, held.kind), set()).add(machine.name)
        assert held.kind in (None, machine.kind)
    for asked in can:
        if asked.cells:
            (place,) = places[asked.seed, asked.kind]
            assert asked.home in (None, place)
    assert {(left.seed, left.kind) for left in rack.placement.waiting} == {
        (asked.seed, asked.kind) for asked in blocks if asked.cells and asked not in can
    }


def test_a_begun_block_waits_though_another_machine_asks() -> None:
    """The property above is about something."""
    rack = Rack(Placement([block(0)]))
    for happens, machine in [(Rack.takes, A), (Rack.finishes, A), (Rack.is_lost, A), (Rack.takes, B)]:
        happens(rack, machine)
    assert rack.held == {}
    assert [left.home for left in rack.placement.waiting] == ["a"]
