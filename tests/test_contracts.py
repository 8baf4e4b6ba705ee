"""The vocabulary: names of cells by content, round trips through JSON, units that cannot be wrong."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import (
    SCHEMA_VERSION,
    UNITS,
    Cell,
    FobenchError,
    Header,
    Origin,
    Part,
    Plan,
    Provenance,
    Reading,
    Recipe,
    Reference,
    Role,
    Task,
    is_trained,
    role,
    role_of,
)

MODEST = settings(max_examples=50, deadline=None)
CELL = Cell(
    learner=Reference("bp", {"network": [{"kind": "dense", "units": 8}], "eta": 0.1}, "BP"),
    dataset=Reference("digits", {"seed": 0}),
    recipe=Recipe(),
    plan=Plan(),
    seed=3,
)

names = st.text(min_size=1, max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
references = st.builds(Reference, names, st.dictionaries(names, values, max_size=4), st.just("") | names)
cells = st.builds(
    Cell,
    references,
    references,
    st.builds(Recipe, epochs=st.integers(1, 99), train_samples=st.none() | st.integers(1, 99)),
    st.builds(Plan, meters=st.lists(references, max_size=2).map(tuple), tracers=st.lists(names, max_size=2).map(tuple)),
    st.integers(0, 2**31),
)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@MODEST
@given(cells)
def test_a_cell_survives_json(cell: Cell) -> None:
    again = Cell.from_json(json.loads(json.dumps(cell.as_json())))
    assert again == cell
    assert again.id == cell.id


@MODEST
@given(cells)
def test_the_order_of_keys_does_not_change_the_id(cell: Cell) -> None:
    turned = replace(cell, learner=replace(cell.learner, arguments=reordered(dict(cell.learner.arguments))))
    assert (turned.id, turned.trace_id) == (cell.id, cell.trace_id)
    assert Cell.from_json(reordered(cell.as_json())).id == cell.id


@pytest.mark.parametrize(
    "other",
    [
        replace(CELL, seed=4),
        replace(CELL, learner=replace(CELL.learner, label="B")),
        replace(CELL, learner=replace(CELL.learner, arguments={**CELL.learner.arguments, "eta": 0.2})),
        replace(CELL, dataset=replace(CELL.dataset, target="mnist")),
        replace(CELL, recipe=replace(CELL.recipe, epochs=2)),
        replace(CELL, plan=replace(CELL.plan, window_s=2.0)),
    ],
)
def test_every_part_of_the_specification_is_in_the_id(other: Cell) -> None:
    assert other.id != CELL.id
    assert (other.trace_id == CELL.trace_id) == (other.seed != CELL.seed)


@pytest.mark.parametrize("wrong", [{"training": "half"}, {"guards": ("swap", "ghosts")}])
def test_a_plan_knows_its_trainings_and_guards(wrong) -> None:
    with pytest.raises(
        FobenchError, match=r"a plan cannot have '(half|ghosts)'; expected one of (full, sampled|foreign)"
    ):
        Plan(**wrong)


def test_the_notes_of_a_header_survive_and_old_headers_have_none() -> None:
    header = Header(Part.MEASURE, CELL, "suite", "here", notes=("warm-up: 6 steps, stable",))
    assert Header.from_json(header.as_json()) == header
    old = {name: value for name, value in header.as_json().items() if name != "notes"}
    assert Header.from_json(old).notes == ()


def test_an_id_is_the_hash_of_this_very_text() -> None:
    """A changed id orphans every result on disk: only a new field of a cell may change it."""
    import hashlib

    text = (
        '{"dataset":{"arguments":{"seed":0},"label":"","target":"digits"},'
        '"learner":{"arguments":{"eta":0.1,"network":[{"kind":"dense","units":8}]},"label":"BP","target":"bp"},'
        '"plan":{"cooldown_band_c":null,"cooldown_s":0.0,"foreign_cpu_limit":0.25,'
        '"guards":["foreign-cpu","steal","throttling","swap","suspend","battery"],"idle_s":5.0,'
        '"meters":[{"arguments":{},"label":"","target":"clock"}],"precision":0.02,"retries":3,'
        '"timeout_s":86400.0,"tracers":["macs","live-tensors"],"training":"full","window_s":1.0},'
        '"recipe":{"batch_size":100,"device":"cpu","dtype":"float32","epochs":1,"score_samples":null,"threads":1,'
        '"train_samples":null},"schema":1,"seed":3}'
    )
    assert CELL.id == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert CELL.stem == f"BP--digits--s3--{CELL.id}"
    assert CELL.trace_stem == f"BP--digits--trace--{CELL.trace_id}"


@MODEST
@given(cells)
def test_file_names_are_safe_and_short(cell: Cell) -> None:
    for stem in (cell.stem, cell.trace_stem):
        assert stem.isascii()
        assert not set(stem) & set('/\\:*?"<>| \n\0')
        assert len(stem) < 150


def test_a_foreign_schema_is_refused() -> None:
    data = {**CELL.as_json(), "schema": SCHEMA_VERSION + 1}
    with pytest.raises(FobenchError, match=f"has schema {SCHEMA_VERSION + 1}, this fobench reads {SCHEMA_VERSION}"):
        Cell.from_json(data)
    with pytest.raises(FobenchError, match="has schema None"):
        Cell.from_json({})


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("origin", [None, *Origin])
def test_a_header_survives_json(part: Part, origin: Origin | None) -> None:
    header = Header(
        part, CELL, "suite", "machine", "64-8", 600, origin, {"a": "b"}, {"learner": "00"}, {"torch": "2"},
        {"rapl": {"absent": "no counter"}}, {"train": 5}, "2020-01-01T00:00:00+00:00",
    )  # fmt: skip
    again = Header.from_json(json.loads(json.dumps({"kind": "header", **header.as_json()})))
    assert again == header
    assert again.id == (CELL.trace_id if part == Part.TRACE else CELL.id)


@pytest.mark.parametrize("quantity", UNITS)
def test_a_reading_has_the_one_unit_of_its_quantity(quantity: str) -> None:
    assert Reading(quantity, 1.0, Provenance.MEASURED).unit == UNITS[quantity]
    assert Reading(quantity, 1.0, Provenance.MEASURED, unit=UNITS[quantity]).unit == UNITS[quantity]
    with pytest.raises(FobenchError, match=f"{quantity} in 'furlong'; fobench stores it in '{UNITS[quantity]}'"):
        Reading(quantity, 1.0, Provenance.MEASURED, unit="furlong")


def test_readings_of_unknown_quantity_or_provenance_are_refused() -> None:
    with pytest.raises(FobenchError, match="unknown quantity 'enregy'"):
        Reading("enregy", 1.0, Provenance.MEASURED)
    with pytest.raises(ValueError, match="guessed"):
        Reading("energy", 1.0, "guessed")  # type: ignore[arg-type]
    assert Reading("energy", 1.0, "measured").provenance is Provenance.MEASURED  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None])
def test_a_reading_without_a_finite_number_is_refused(value: float) -> None:
    with pytest.raises(FobenchError, match=f"energy is {value!r}, expected a finite number"):
        Reading("energy", value, Provenance.MEASURED)


def test_tasks() -> None:
    task = Task("classification", (3, 8, 4), 10)
    assert (task.inputs, task.outputs, task.score) == (96, 10, "error")
    rebuild = Task("reconstruction", (640,))
    assert (rebuild.inputs, rebuild.outputs, rebuild.score) == (640, 640, "auc")
    with pytest.raises(FobenchError, match="unknown kind of task 'regression'"):
        Task("regression", (1,))


def test_feedback_masks_and_running_means_are_not_trained() -> None:
    assert [symbol for symbol in ("W1", "b2", "V1", "F", "B2", "S1", "r1") if is_trained(symbol)] == ["W1", "b2", "V1"]


def test_roles_are_read_off_code_objects() -> None:
    @role(Role.PROJECTION)
    def project() -> int:
        return 3

    assert project() == 3
    assert role_of(project.__code__) is Role.PROJECTION
    assert role_of(test_tasks.__code__) is None

    @functools.wraps(project)
    def wrapper() -> None:
        project()

    role(Role.HEAD)(wrapper)
    assert role_of(wrapper.__code__) is None, "a decorator's code is shared by all that it decorates"
    assert role_of(project.__code__) is Role.HEAD
    with pytest.raises(ValueError, match="gradient"):
        role("gradient")(project)  # type: ignore[arg-type]
