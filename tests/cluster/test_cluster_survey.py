"""What machines of a cluster differ in, said once each and by name, before anything runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import BOARD, STATION, VERSIONS

from fobench.cluster.host import Look, code_checksum
from fobench.cluster.survey import Seen, survey
from fobench.harness.preflight import Findings

HERE = code_checksum()


def seen(name: str, facts: dict[str, Any] = BOARD, ahead_s: float = 0.0, **changes: Any) -> Seen:
    look = Look(name, facts, HERE, f"host of {name}", 0.0, Findings())
    return Seen(f"tls://{name}:1", replace(look, **changes), ahead_s)


def versions(**changes: str) -> dict[str, Any]:
    return {**BOARD, "versions": {**VERSIONS, **changes}}


def test_equal_machines_differ_in_nothing() -> None:
    found = Findings([], [], ["digits"])
    assert survey([seen("a", findings=found), seen("b", findings=found)]) == found


def test_nobody_has_nothing_to_say() -> None:
    assert survey([]) == Findings()


def test_a_version_that_differs_is_told_once_with_all_names() -> None:
    found = survey([seen("a"), seen("b", versions(torch="2.12.1")), seen("c"), seen("d", versions(torch="2.12.1"))])
    assert found.problems == ["torch differs: 2.13.0 on a, c; 2.12.1 on b, d; make them the same"]
    assert found.notes == []


def test_a_package_that_only_one_has() -> None:
    found = survey([seen("a"), seen("b", versions(codecarbon="3.0"))])
    assert found.problems == ["codecarbon differs: absent on a; 3.0 on b; make them the same"]


@pytest.mark.parametrize(("governor", "said"), [("powersave", "powersave"), (None, "absent")])
def test_governors(governor: str | None, said: str) -> None:
    found = survey([seen("a"), seen("b", {**BOARD, "governor": governor})])
    assert found.problems == [f"governor differs: performance on a; {said} on b; make them the same"]


def test_all_differences_are_told_at_once() -> None:
    unlike = {**versions(torch="2.12.1", python="3.12.0"), "governor": "powersave"}
    found = survey([seen("a"), seen("b", unlike, code="0123456789abcdef")])
    starts = [problem.partition(" ")[0] for problem in found.problems]
    assert starts == ["b", "governor", "python", "torch"]


def test_types_of_machine_may_have_versions_of_their_own_and_are_named() -> None:
    """The report keeps their values apart; data sets they must share."""
    other = {**STATION, "governor": "powersave", "versions": {**VERSIONS, "torch": "2.12.1"}}
    found = survey([seen("a"), seen("b"), seen("c", other)])
    assert found.problems == []
    assert found.notes == [
        "2 types of machine, which the report keeps apart: "
        "a, b (cpu Cortex-A78, architecture aarch64, cores 6, memory_gib 8); "
        "c (cpu Xeon, architecture x86_64, cores 16, memory_gib 64)"
    ]


def test_another_fobench() -> None:
    found = survey([seen("a"), seen("b", code="0123456789abcdef")])
    assert found.problems == [
        f"b has another fobench: source 0123456789abcdef, {HERE} here; install the same everywhere"
    ]


def test_the_checksum_is_of_the_source(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fobench

    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "rule.py").write_text("eta = 0.1\n")
    monkeypatch.setattr(fobench, "__file__", str(tmp_path / "__init__.py"))
    sums = [code_checksum()]
    (tmp_path / "rule.py").write_text("eta = 0.2\n")
    sums.append(code_checksum())
    (tmp_path / "rule.py").rename(tmp_path / "other.py")
    sums.append(code_checksum())
    (tmp_path / "notes.txt").write_text("no source")
    assert len(set(sums)) == 3
    assert code_checksum() == sums[2]


def test_a_data_set_that_one_machine_lacks() -> None:
    missing = "dataset mnist: a surrogate stands in; no mnist; run fobench data fetch mnist"
    lacking = Findings([], [missing], ["digits"])
    having = Findings([], [], ["digits", "mnist"])
    found = survey([seen("a", findings=having), seen("b", findings=lacking), seen("c", STATION, findings=having)])
    assert found.problems == ["data set mnist differs: its files on a, c; no files on b; make them the same"]
    assert found.real == ["digits"]
    assert f"b: {missing}" in found.notes


def test_a_data_set_that_nobody_has_is_no_difference() -> None:
    note = "dataset mnist: a surrogate stands in"
    found = survey([seen(name, findings=Findings([], [note])) for name in "ab"])
    assert found == Findings([], [note], [])


def test_what_all_machines_say_is_said_once_and_what_one_says_with_its_name() -> None:
    absent, bad = "meter rapl is absent: no zones", "learner bp on digits: no such argument"
    said = {"a": Findings([bad], [absent]), "b": Findings([bad]), "c": Findings([bad], [absent])}
    found = survey([seen(name, findings=findings) for name, findings in said.items()])
    assert found.problems == [bad]
    assert found.notes == [f"a, c: {absent}"]


def test_two_workers_of_one_host() -> None:
    found = survey([seen("a", host="the same"), seen("b", host="the same"), seen("c")])
    assert found.problems == [
        "a and b are workers of one host, where only one cell can be measured at a time; stop all but one"
    ]


def test_two_workers_of_one_name() -> None:
    twin = replace(seen("a", host="another"), address="tls://twin:1")
    assert survey([seen("a"), twin]).problems == [
        "tls://a:1 and tls://twin:1 both call themselves a; give each worker its own --name"
    ]


@pytest.mark.parametrize(("ahead_s", "said"), [(-3600.4, "-3600"), (-5.1, "-5"), (5.6, "+6"), (86400.0, "+86400")])
def test_a_clock_that_misleads_is_noted(ahead_s: float, said: str) -> None:
    found = survey([seen("a"), seen("b", ahead_s=ahead_s)])
    assert found.problems == []
    assert found.notes == [f"the clock of b is {said} s from the one here; dates in its results are wrong by that"]


@pytest.mark.parametrize("ahead_s", [-5.0, 0.0, 4.9])
def test_a_clock_that_is_near_enough(ahead_s: float) -> None:
    assert survey([seen("a", ahead_s=ahead_s)]).notes == []


FAULTS = {
    "torch": versions(torch="2.12.1"),
    "python": versions(python="3.12.0"),
    "governor": {**BOARD, "governor": "powersave"},
}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([None, *FAULTS]), min_size=2, max_size=6))
def test_there_is_one_line_for_everything_that_differs_and_every_machine_is_in_it(faults: list[str | None]) -> None:
    machines = [seen(f"m{number}", FAULTS[fault] if fault else BOARD) for number, fault in enumerate(faults)]
    found = survey(machines)
    differ = sorted({fault for fault in faults if fault and set(faults) != {fault}})
    assert [problem.partition(" differs: ")[0] for problem in found.problems] == differ
    for problem in found.problems:
        assert all(problem.count(item.look.machine) == 1 for item in machines)
