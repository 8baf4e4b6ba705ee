"""Budgets in a stranger's tests: held, broken, skipped, and beside pytest-benchmark; all in one run of pytest."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STRANGER = '''
import pytest, torch
from fobench.contracts import Provenance, Reading, Task
from fobench.learners.bp import BP

W, x = torch.ones(20, 10), torch.ones(4, 10)

def step():
    return torch.relu(x @ W.T) + 1          # 4 x 10 x 20 = 800 MAC; two maps of 4 x 20 x 4 B alive at once

def test_closed_form(step_cost):
    cost = step_cost(step)
    assert (cost.macs, cost.peak_bytes, cost.joules) == (800, 2 * 4 * 20 * 4, None)

@pytest.mark.mac_budget(799)
def test_too_many_macs(step_cost):
    step_cost(step)

@pytest.mark.peak_bytes_budget(639)
def test_too_many_bytes(step_cost):
    step_cost(step)

@pytest.mark.mac_budget()
def test_no_number(step_cost):
    step_cost(step)

@pytest.mark.mac_budget(800)
@pytest.mark.peak_bytes_budget(640)
def test_kept(step_cost):
    step_cost(step)

class Meter:
    """Half a joule for each step of its window, and its core's share of it once more."""
    update_period_s, channels = 0.002, ("package-0", "package-0/core")
    def unavailable(self): return None
    def start(self): self.steps = 0
    def step(self): self.steps += 1
    def stop(self): return [Reading("energy", 0.5 * self.steps, Provenance.MEASURED, name) for name in self.channels]
    def close(self): pass

def metered(step_cost):
    meter = Meter()
    meter.steps = 0
    cost = step_cost(meter.step, meter=meter)
    assert cost.steps > 1 and cost.joules == pytest.approx(0.5) and cost.meter == "Meter"

@pytest.mark.energy_budget(0.5001)
def test_joules_kept(step_cost):
    metered(step_cost)

@pytest.mark.energy_budget(0.4)
def test_too_many_joules(step_cost):
    metered(step_cost)

class Absent(Meter):
    def unavailable(self): return "no sensor here"

@pytest.mark.energy_budget(1)
def test_absent(step_cost):
    step_cost(step, meter=Absent())

def test_benchmark(step_cost, benchmark):
    step_cost(step)
    benchmark.pedantic(step, rounds=2)

def test_learner(step_cost):
    learner = BP(network=[8])
    learner.setup(Task("classification", (10,), 3), torch.Generator().manual_seed(0), "cpu")
    cost = step_cost(lambda: learner.train_step(x, torch.zeros(4, dtype=torch.int64)), learner)
    assert cost.macs == 4 * (3 * (10 * 8 + 8 * 3) - 10 * 8)          # 3M - m_1 a sample
'''


@dataclass(frozen=True)
class Run:
    """What one run of pytest on the stranger's tests said."""

    outcomes: dict[str, str]
    text: str
    extra: dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder: Path = tmp_path_factory.mktemp("stranger")
    (folder / "test_stranger.py").write_text(STRANGER)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rA",
        "-q",
        "--strict-markers",
        "--benchmark-json=found.json",
        "--rootdir=.",
    ]
    text = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False).stdout
    outcomes = {name: word for word, name in re.findall(r"^(PASSED|FAILED) \S+::(\w+)", text, re.M)}
    benchmarks = json.loads((folder / "found.json").read_text())["benchmarks"]
    return Run(outcomes, text, benchmarks[0]["extra_info"])


@pytest.mark.parametrize("name", ["closed_form", "kept", "joules_kept", "benchmark", "learner"])
def test_what_keeps_its_budget_passes(run: Run, name: str) -> None:
    assert run.outcomes[f"test_{name}"] == "PASSED", run.text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("too_many_macs", "a step takes 800 multiply-accumulates, the budget is 799, 0.1% over"),
        ("too_many_bytes", "a step takes 640 live bytes, the budget is 639"),
        ("too_many_joules", "a step takes 0.5 J by Meter, the budget is 0.4, 25.0% over"),
        ("no_number", "mac_budget needs its budget as a number, found ()"),
    ],
)
def test_a_broken_budget_says_by_how_much(run: Run, name: str, words: str) -> None:
    assert run.outcomes[f"test_{name}"] == "FAILED"
    assert words in run.text


def test_an_absent_meter_skips_with_its_reason(run: Run) -> None:
    assert "test_absent" not in run.outcomes
    assert re.search(r"SKIPPED.*Absent: no sensor here", run.text)


def test_counts_stand_in_the_benchmarks_json(run: Run) -> None:
    assert run.extra == {"macs": 800, "peak_bytes": 640}
