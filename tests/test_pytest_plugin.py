"""Budgets in a stranger's tests: held, broken, skipped, and beside pytest-benchmark."""

from __future__ import annotations

import json

import pytest

pytest_plugins = ["pytester"]

STEP = """
import pytest, torch
W, x = torch.ones(20, 10), torch.ones(4, 10)

def step():
    return torch.relu(x @ W.T) + 1          # 4 x 10 x 20 = 800 MAC; two maps of 4 x 20 x 4 B alive at once
"""


def run(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(STEP + body)
    return pytester.runpytest_subprocess("-q", "--strict-markers", *options)


def test_counts_are_those_of_the_closed_form(pytester: pytest.Pytester) -> None:
    body = """
def test_it(step_cost):
    cost = step_cost(step)
    assert (cost.macs, cost.peak_bytes, cost.joules) == (800, 2 * 4 * 20 * 4, None)
"""
    run(pytester, body).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("mac_budget(799)", "800 multiply-accumulates, the budget is 799, 0.1% over"),
        ("peak_bytes_budget(639)", "640 live bytes, the budget is 639"),
        ("mac_budget()", "mac_budget needs its budget as a number"),
    ],
)
def test_a_broken_budget_says_by_how_much(pytester: pytest.Pytester, marker: str, words: str) -> None:
    result = run(pytester, f"\n@pytest.mark.{marker}\ndef test_it(step_cost):\n    step_cost(step)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{words}*"])


def test_kept_budgets_pass(pytester: pytest.Pytester) -> None:
    body = """
@pytest.mark.mac_budget(800)
@pytest.mark.peak_bytes_budget(640)
def test_it(step_cost):
    step_cost(step)
"""
    run(pytester, body).assert_outcomes(passed=1)


METERED = """
from fobench.contracts import Provenance, Reading

class Meter:
    update_period_s, channels = 0.002, ("package-0", "package-0/core")
    def __init__(self): self.steps = 0
    def unavailable(self): return None
    def start(self): pass
    def stop(self):
        joules = 0.5 * calls
        return [Reading("energy", joules, Provenance.MEASURED, name) for name in self.channels]
    def close(self): pass

calls = 0
def counted():
    global calls
    calls += 1
    step()

@pytest.mark.energy_budget({budget})
def test_it(step_cost):
    global calls
    first = []
    def fresh():
        global calls
        first.append(1)
        calls = len(first) - 3      # the steps before the window: one that warms up, two that are counted
        step()
    cost = step_cost(fresh, meter=Meter())
    assert cost.steps >= 1 and cost.joules == pytest.approx(0.5) and cost.meter == "Meter"
"""


@pytest.mark.parametrize(("budget", "outcome"), [("0.5001", {"passed": 1}), ("0.4", {"failed": 1})])
def test_joules_of_any_meter_are_per_step_and_without_inner_channels(
    pytester: pytest.Pytester, budget: str, outcome: dict[str, int]
) -> None:
    run(pytester, METERED.replace("{budget}", budget)).assert_outcomes(**outcome)


def test_an_absent_meter_skips_with_its_reason(pytester: pytest.Pytester) -> None:
    body = """
class Absent:
    update_period_s, channels = 0.001, ()
    def unavailable(self): return "no sensor here"

@pytest.mark.energy_budget(1)
def test_it(step_cost):
    step_cost(step, meter=Absent())
"""
    result = run(pytester, body, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*Absent: no sensor here*"])


def test_counts_stand_in_the_benchmarks_json(pytester: pytest.Pytester) -> None:
    body = """
def test_it(step_cost, benchmark):
    step_cost(step)
    benchmark.pedantic(step, rounds=2)
"""
    run(pytester, body, "--benchmark-json=found.json").assert_outcomes(passed=1)
    extra = json.loads((pytester.path / "found.json").read_text())["benchmarks"][0]["extra_info"]
    assert extra == {"macs": 800, "peak_bytes": 640}


def test_a_learner_owns_its_weights(pytester: pytest.Pytester) -> None:
    body = """
from fobench.contracts import Task
from fobench.learners.bp import BP

@pytest.mark.mac_budget(4 * (3 * (10 * 8 + 8 * 3) - 10 * 8))    # 3M - m_1 a sample
def test_it(step_cost):
    learner = BP(network=[8])
    learner.setup(Task("classification", (10,), 3), torch.Generator().manual_seed(0), "cpu")
    cost = step_cost(lambda: learner.train_step(x, torch.zeros(4, dtype=torch.int64)), learner)
    assert cost.macs == 4 * (3 * (10 * 8 + 8 * 3) - 10 * 8)
"""
    run(pytester, body).assert_outcomes(passed=1)
