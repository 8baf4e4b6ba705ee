"""All problems together, before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from toys import FAST, toy_cell

from fobench.contracts import Recipe, Reference
from fobench.harness.preflight import inspect, preflight

HERE = Path(__file__).parent


def test_a_good_suite_has_notes_only(make_order, tmp_path: Path) -> None:
    order = make_order(toy_cell(seed=0), toy_cell(seed=1))
    findings = preflight(order.suite, tmp_path, require_real=False)
    assert findings.problems == []
    assert findings.notes == ["dataset blobs: a surrogate stands in; no blobs.txt; run fobench data fetch blobs"]
    assert findings.real == []


def test_files_at_hand_make_a_dataset_real(tmp_path: Path) -> None:
    (tmp_path / "blobs.txt").touch()
    findings = inspect([toy_cell()], HERE, tmp_path, require_real=True)
    assert (findings.problems, findings.notes, findings.real) == ([], [], ["blobs"])


def test_every_problem_is_listed_once(tmp_path: Path) -> None:
    meters = (Reference("clock", {"speed": 1}), Reference("toys.py:Sensor", {"absent": "unplugged"}, "sensor"))
    plan = replace(FAST, meters=meters, tracers=("marcs",))
    cells = [
        toy_cell(plan=plan, label="one", ets=0.1),
        toy_cell(
            plan=plan, label="two", network=[{"kind": "conv", "channels": 2, "kernel": 3, "stride": 1, "padding": 0}]
        ),
        replace(toy_cell(plan=plan, label="three"), learner=Reference("toys.py:Toi", {}, "three")),
        replace(toy_cell(plan=plan, label="four"), dataset=Reference("blob"), recipe=Recipe()),
    ]
    findings = inspect([*cells, *cells], HERE, tmp_path, require_real=True)
    assert [problem for problem in findings.problems if problem.startswith("learner")] == [
        "learner one on blobs: toys.py:Toy has no argument 'ets'; did you mean 'eta'?",
        "learner two on blobs: layer 0: conv needs a map (channels, rows, columns), found shape (4,)",
        f"learner three on blobs: {HERE / 'toys.py'} has no 'Toi'; did you mean 'Toy'?",
    ]
    rest = "\n".join(problem for problem in findings.problems if not problem.startswith("learner"))
    assert rest.count("\n") == 3
    for word in ("unknown dataset 'blob'", "no blobs.txt", "clock has no argument 'speed'", "did you mean 'macs'?"):
        assert word in rest
    assert "meter sensor is absent: unplugged" in findings.notes


def test_plug_ins_that_raise_anything_are_problems_by_name_and_what_they_print_is_ignored(
    make_order, tmp_path: Path
) -> None:
    (tmp_path / "rude.py").write_text(
        (HERE / "toys.py").read_text() + "\nprint('hello')\n\n\nclass Rude:\n"
        "    def __init__(self):\n        self.x = 1\n\n"
        "    def unavailable(self):\n        raise OSError('no sensor')\n"
    )
    plan = replace(FAST, meters=(Reference("rude.py:Rude", {}, "rude"),), tracers=("rude.py:Rude",))
    suite = replace(make_order(toy_cell(plan=plan)).suite, base=str(tmp_path))
    (tmp_path / "toys.py").write_bytes((HERE / "toys.py").read_bytes())
    assert preflight(suite, tmp_path, require_real=False).problems == [
        "meter rude: OSError: no sensor",
        "tracer rude.py:Rude: OSError: no sensor",
    ]
