"""Fitting: the largest batch against a search by hand, and changes that really make it fit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import Task
from fobench.costs.fit import Choice, Room, changes, combined, largest_batch, need, remedy
from fobench.costs.program import BufferRole, Format

TASK = Task("classification", (12,), 3)
RULES = ("bp", "pepita", "mempepita", "drtp", "ff")


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(RULES), st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(100, 6000))
def test_the_largest_batch_fits_and_one_more_does_not(rule: str, widths: list[int], ram: int) -> None:
    program = Choice(rule).program(widths, TASK)
    batch = largest_batch(program, Format.INT8, Room(ram))
    if batch:
        assert need(program, batch, Format.INT8).ram <= ram
    assert need(program, batch + 1, Format.INT8).ram > ram


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(RULES), st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(1, 9))
def test_needs_grow_with_batch_and_format(rule: str, widths: list[int], batch: int) -> None:
    program = Choice(rule).program(widths, TASK)
    small = need(program, batch, Format.INT8)
    assert small.bound <= small.ram
    assert sum(small.roles.values()) == small.bound
    assert need(program, batch + 1, Format.INT8).bound >= small.bound
    assert need(program, batch, Format.INT16).bound > small.bound
    assert need(program, batch, Format.FLOAT32).bound > need(program, batch, Format.INT16).bound


def test_flash_counts_too() -> None:
    wanted = need(Choice("drtp").program([10], TASK), 1, Format.INT8)
    assert wanted.flash == 12 * 10 + 10 + 10 * 3 + 3 + 10 * 3
    assert Room(wanted.ram, wanted.flash).holds(wanted)
    assert not Room(wanted.ram, wanted.flash - 1).holds(wanted)


@pytest.mark.parametrize("rule", RULES)
def test_a_remedy_fits_and_no_single_change_less_does(rule: str) -> None:
    choice = Choice(rule, Format.FLOAT32, 8, {"optimizer": "adam"})
    whole = need(choice.program([40, 40], TASK), 8, Format.FLOAT32).ram
    for ram in (whole - 1, whole // 2, whole // 4, whole // 8):
        made = remedy(choice, [40, 40], TASK, Room(ram), RULES)
        if made:
            after = combined(choice, [change.choice for change in made])
            assert need(after.program([40, 40], TASK), after.batch, after.format).ram <= ram
        else:
            everything = combined(choice, [change.choice for change in changes(choice, [40, 40], TASK, RULES)])
            assert need(everything.program([40, 40], TASK), everything.batch, everything.format).ram > ram


def test_changes_are_those_that_apply() -> None:
    def texts(choice: Choice) -> list[str]:
        return [change.text for change in changes(choice, [9], TASK, RULES)]

    assert texts(Choice("bp")) == []
    assert texts(Choice("pepita", batch=2)) == ["batch 1", "F from a seed", "recompute the standard pass (mempepita)"]
    assert texts(Choice("drtp", Format.INT16)) == ["B from a seed", "int8"]
    assert texts(Choice("mempepita", options={"seeded": True, "optimizer": "momentum"})) == ["no optimizer state"]
    kept = Choice("mempepita", options={"seeded": True}).program([9], TASK).persistent_bytes(Format.INT8)
    assert kept.get(BufferRole.FEEDBACK, 0) < 12 * 3
