"""Folders carried over by hand: taken whole, once and in any order, or refused by name with nothing taken."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measured import BOARD, STATION, SUITE, VERSIONS, a_cell, contents, describe, leave

from fobench.cluster.collect import collect
from fobench.contracts import Cell, FobenchError, Newcomer, Part
from fobench.store import StoreError, note_newcomer

FIRST, SECOND, THIRD = (a_cell(seed=seed) for seed in range(3))


def carried(folder: Path, machine: str, *cells: Cell, facts=BOARD, seconds: float = 1.0) -> Path:
    """What one machine has: its facts, and every cell with trace, specification and output."""
    describe(folder, machine, facts)
    for cell in cells:
        for part in Part:
            path = leave(folder, machine, replace(cell, seed=0) if part == Part.TRACE else cell, part, seconds=seconds)
            stem = path.name.removesuffix(".jsonl")
            path.with_name(f"{stem}.cell.json").write_text(f"{machine}\n")
            path.with_name(f"{stem}.log").write_bytes(b"12 %\r100 %\r\n")
    return folder


def refusal(*folders: Path, results: Path) -> list[str]:
    """Collect in vain; nothing may be taken."""
    before = contents(results)
    with pytest.raises(FobenchError) as refused:
        collect(folders, results)
    assert contents(results) == before
    first, *conflicts = str(refused.value).splitlines()
    assert first == "nothing was collected:"
    return [conflict.strip() for conflict in conflicts]


# --- taken ------------------------------------------------------------------------------------------------------------


def test_two_machines_become_one_folder(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST, SECOND)
    b = carried(tmp_path / "b", "board-2", THIRD)
    found = collect([a, b], tmp_path / "results")
    assert (len(found.taken), found.known) == (5, 0), "three measurements, and a trace of each machine"
    assert contents(tmp_path / "results") == contents(a) | contents(b)


@pytest.mark.parametrize("inside", ["", SUITE, f"{SUITE}/board-1"])
def test_the_folder_may_be_that_of_results_of_a_suite_or_of_a_machine(tmp_path: Path, inside: str) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST)
    collect([a / inside], tmp_path / "results")
    assert contents(tmp_path / "results") == contents(a)


def test_collecting_again_takes_nothing_new(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST, SECOND)
    collect([a], tmp_path / "results")
    before = contents(tmp_path / "results")
    again = collect([a, a], tmp_path / "results")
    assert (again.taken, again.known) == ({}, 6)
    assert contents(tmp_path / "results") == before


def test_a_folder_that_has_grown_adds_what_is_new(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST)
    collect([a], tmp_path / "results")
    carried(a, "board-1", SECOND)
    found = collect([a], tmp_path / "results")
    assert {path.name for path in found.taken} == {f"{SECOND.stem}.jsonl"}
    assert found.known == 2
    assert contents(tmp_path / "results") == contents(a)


def test_two_types_of_machine_may_have_the_same_cell(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board", FIRST)
    b = carried(tmp_path / "b", "station", FIRST, facts=STATION)
    assert len(collect([a, b], tmp_path / "results").taken) == 4


def test_a_renamed_copy_is_no_other_result(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST)
    path = a / SUITE / "board-1" / f"{FIRST.stem}.jsonl"
    shutil.copyfile(path, path.with_name("copy of it.jsonl"))
    found = collect([a], tmp_path / "results")
    assert (len(found.taken), found.known) == (2, 1)
    assert not list((tmp_path / "results").rglob("copy*"))


def test_files_that_went_through_windows_are_taken_as_they_are(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST)
    path = a / SUITE / "board-1" / f"{FIRST.stem}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    for _ in range(2):
        collect([a], tmp_path / "results")
        assert contents(tmp_path / "results") == contents(a)


def test_unfinished_and_abandoned_files_are_left_behind(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST)
    folder = a / SUITE / "board-1"
    for ending in (".partial", ".abandoned"):
        (folder / f"{SECOND.stem}.jsonl{ending}").write_text("half")
    collect([a], tmp_path / "results")
    assert {path.suffix for path in (tmp_path / "results").rglob("*.*")} == {".jsonl", ".json", ".log"}


def test_who_is_new_in_a_suite_comes_along(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST)
    note_newcomer(a / SUITE, Newcomer("mine", ("BP",), "wearables"))
    collect([a], tmp_path / "results")
    assert contents(tmp_path / "results") == contents(a)


def test_a_machine_without_facts_is_a_kind_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        leave(tmp_path / name, f"bare-{name}", FIRST)
    assert len(collect([tmp_path / "a", tmp_path / "b"], tmp_path / "results").taken) == 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    holdings=st.lists(
        st.tuples(st.sampled_from(["board-1", "board-2", "station"]), st.sets(st.integers(0, 3))),
        min_size=1,
        max_size=3,
    )
)
def test_any_order_gives_the_same_folder(tmp_path_factory: pytest.TempPathFactory, holdings) -> None:
    """Folders may overlap; a block is on one board, as a run leaves it, and on the station."""
    root = tmp_path_factory.mktemp("orders")
    folders = []
    for number, (machine, seeds) in enumerate(holdings):
        own = [seed for seed in seeds if machine == "station" or seed % 2 == (machine == "board-2")]
        if own:
            facts = STATION if machine == "station" else BOARD
            folders.append(carried(root / f"in-{number}", machine, *map(seeded, own), facts=facts))
    made = []
    for number, order in enumerate(permutations(folders)):
        collect(order, root / f"at-once-{number}")
        for folder in order:
            collect([folder], root / f"in-turn-{number}")
        made += [contents(root / f"at-once-{number}"), contents(root / f"in-turn-{number}")]
    expected: dict[str, bytes] = {}
    for folder in folders:
        expected |= contents(folder)
    assert all(found == expected for found in made)


def seeded(seed: int) -> Cell:
    return a_cell(seed=seed)


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_conflict_is_named_and_nothing_is_taken(tmp_path: Path) -> None:
    results = carried(tmp_path / "results", "board-1", FIRST)
    a = carried(tmp_path / "a", "board-1", SECOND, FIRST, seconds=2.0)
    theirs, ours = (folder / SUITE / "board-1" / f"{FIRST.stem}.jsonl" for folder in (a, results))
    assert refusal(a, results=results) == [
        f"BP on digits, seed 0 ({FIRST.id}) is in {theirs} and, with other results, in {ours}; delete one of the two"
    ]


def test_two_folders_may_contradict_each_other(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST, seconds=1.0)
    b = carried(tmp_path / "b", "board-1", FIRST, seconds=2.0)
    theirs, ours = (folder / SUITE / "board-1" / f"{FIRST.stem}.jsonl" for folder in (b, a))
    for results in (tmp_path / "none", carried(tmp_path / "some", "board-2", SECOND)):
        assert refusal(a, b, results=results) == [
            f"BP on digits, seed 0 ({FIRST.id}) is in {theirs} and, with other results, in {ours}; delete one of the two"
        ]


def test_all_conflicts_are_named(tmp_path: Path) -> None:
    results = carried(tmp_path / "results", "board-1", FIRST, SECOND)
    a = carried(tmp_path / "a", "board-1", FIRST, SECOND, THIRD, seconds=2.0)
    (tmp_path / "empty").mkdir()
    found = refusal(a, tmp_path / "empty", results=results)
    assert sorted(conflict.partition(" is in ")[0] for conflict in found[:2]) == sorted(
        f"BP on digits, seed {cell.seed} ({cell.id})" for cell in (FIRST, SECOND)
    )
    assert found[2:] == [
        f"{tmp_path}/empty holds no result files; expected results/, results/SUITE or results/SUITE/MACHINE"
    ]


def test_a_cell_of_two_machines_of_one_type_counts_once(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST)
    b = carried(tmp_path / "b", "board-2", FIRST)
    said = (
        f"BP on digits, seed 0 ({FIRST.id}) was measured on board-1 and on board-2, machines of one type; it counts once: "
        "leave one of them out"
    )
    assert refusal(a, b, results=tmp_path / "results") == [said]
    collect([b], tmp_path / "results")
    assert refusal(a, results=tmp_path / "results") == [said]


def test_one_name_for_two_machines(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board", FIRST)
    b = carried(tmp_path / "b", "board", SECOND, facts=STATION)
    theirs, ours = (folder / SUITE / "board/machine.json" for folder in (b, a))
    assert refusal(a, b, results=tmp_path / "results") == [
        f"{theirs} and {ours} are two machines of one name: cpu 'Xeon' and 'Cortex-A78'; rename the folder and the machine "
        "in its files, or measure again with --machine"
    ]
    collect([a], tmp_path / "results")
    assert len(refusal(b, results=tmp_path / "results")) == 1


def test_versions_of_a_machine_may_change(tmp_path: Path) -> None:
    """They stand in every header; the newer `machine.json` of one machine is no other machine."""
    a = carried(tmp_path / "a", "board", FIRST)
    b = carried(tmp_path / "b", "board", SECOND, facts={**BOARD, "versions": {**VERSIONS, "torch": "2.14.0"}})
    collect([a, b], tmp_path / "results")
    facts = json.loads((tmp_path / "results" / SUITE / "board/machine.json").read_text())
    assert facts["cpu"] == "Cortex-A78"


def test_a_broken_file_is_named_and_nothing_is_taken(tmp_path: Path) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST, SECOND)
    path = a / SUITE / "board-1" / f"{SECOND.stem}.jsonl"
    whole = path.read_text()
    for broken in (whole[:-30], whole.replace('"phase"', '"face"'), "", "\n\n"):
        path.write_text(broken)
        (conflict,) = refusal(a, results=tmp_path / "results")
        assert conflict.startswith(f"{path} is not a whole result file")


def test_a_broken_file_that_is_there_already_is_named(tmp_path: Path) -> None:
    results = carried(tmp_path / "results", "board-1", FIRST)
    (results / SUITE / "board-1" / f"{FIRST.stem}.jsonl").write_text("{}\n{}\n")
    with pytest.raises(StoreError, match=rf"results/.*{FIRST.stem}\.jsonl is not a whole result file"):
        collect([carried(tmp_path / "a", "board-2", SECOND)], results)


@pytest.mark.parametrize("text", ["", "[]", "[1]", "{"])
def test_facts_that_describe_no_machine_are_named(tmp_path: Path, text: str) -> None:
    a = carried(tmp_path / "a", "board-1", FIRST)
    (a / SUITE / "board-1/machine.json").write_text(text)
    with pytest.raises(
        FobenchError, match=r"a/rack/board-1/machine\.json does not describe a machine .*; copy it again"
    ):
        collect([a], tmp_path / "results")
    assert contents(tmp_path / "results") == {}


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_results(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / name, results=tmp_path / "results") == [
        f"{tmp_path}/{name} holds no result files; expected results/, results/SUITE or results/SUITE/MACHINE"
    ]


@pytest.mark.parametrize("field", ["suite", "machine"])
@pytest.mark.parametrize("name", ["../../elsewhere", "/elsewhere", "..", "."])
def test_no_file_leads_out_of_the_results_folder(tmp_path: Path, field: str, name: str) -> None:
    path = leave(tmp_path / "a", "board-1", FIRST)
    path.write_text(re.sub(rf'"{field}": "[^"]*"', f'"{field}": "{name}"', path.read_text(), count=1))
    (conflict,) = refusal(tmp_path / "a", results=tmp_path / "results")
    assert f"{field} {name!r}" in conflict


def test_newcomers_that_contradict_each_other(tmp_path: Path) -> None:
    folders = [carried(tmp_path / name, f"board-{name}", cell) for name, cell in (("a", FIRST), ("b", SECOND))]
    for folder, label in zip(folders, ("mine", "yours"), strict=True):
        note_newcomer(folder / SUITE, Newcomer(label, ("BP",), "wearables"))
    (conflict,) = refusal(*folders, results=tmp_path / "results")
    assert f"{SUITE}/newcomer.json" in conflict
