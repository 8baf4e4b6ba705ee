"""Budgets for learning steps in anybody's tests: `mac_budget`, `peak_bytes_budget`, `energy_budget`, and the fixture `step_cost`.

    @pytest.mark.mac_budget(2_000_000)
    @pytest.mark.peak_bytes_budget(400_000)
    def test_my_rule_stays_lean(step_cost):
        step_cost(lambda: learner.train_step(x, y), learner)

Beside pytest-benchmark, whose fixture the test asks for as well, the counts stand in its JSON under `extra_info`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from fobench.contracts import FobenchError, Meter, total_channels

MARKERS = {
    "mac_budget(macs)": "fail if a step measured by `step_cost` takes more multiply-accumulates",
    "peak_bytes_budget(bytes)": "fail if more bytes are alive within such a step, beside what lived before it",
    "energy_budget(joules, meter='rapl')": "fail if such a step takes more joules; skipped where the meter is unavailable",
}
WINDOW_PERIODS = 10
"""Refreshes of a meter's sensor that a window spans at least."""


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


@dataclass(frozen=True)
class StepCost:
    """What one step took: exact counts, and J, s and steps of the window of `meter` if one was asked for."""

    macs: int
    peak_bytes: int
    joules: float | None = None
    seconds: float | None = None
    steps: int | None = None
    meter: str = ""


class Owner:
    """Stands in for a learner where a step belongs to none."""

    def state(self) -> dict[str, Any]:
        """Return no weights."""
        return {}


@pytest.fixture
def step_cost(request: pytest.FixtureRequest) -> Callable[..., StepCost]:
    """Return `measure(step, owner=None, meter=None)`, which costs a step and holds it against the test's budgets.

    `step` is called without arguments, several times; `owner` is the learner whose tensors live before the step (what the
    step is given counts as its own memory unless it hangs on the owner); `meter` is a meter or its name.
    """

    def measure(step: Callable[[], Any], owner: Any = None, meter: Meter | str | None = None) -> StepCost:
        marked = request.node.get_closest_marker("energy_budget")
        wanted = meter or (marked and marked.kwargs.get("meter", "rapl"))
        cost = _cost(step, owner if hasattr(owner, "state") else Owner(), wanted)
        _note(request, cost)
        _hold(request, "mac_budget", cost.macs, "multiply-accumulates")
        _hold(request, "peak_bytes_budget", cost.peak_bytes, "live bytes")
        if cost.joules is not None:
            _hold(request, "energy_budget", cost.joules, f"J by {cost.meter}")
        return cost

    return measure


def _cost(step: Callable[[], Any], owner: Any, meter: Meter | str | None) -> StepCost:
    step()  # what a first step allocates for good is no cost of a step
    macs, peak = _counted(step, owner)
    if not meter:
        return StepCost(macs, peak)
    name, instrument = (meter, _installed(meter)) if isinstance(meter, str) else (type(meter).__name__, meter)
    if reason := instrument.unavailable():
        pytest.skip(f"{name}: {reason}")
    joules, seconds, steps = _metered(step, instrument)
    return StepCost(macs, peak, joules, seconds, steps, name)


def _counted(step: Callable[[], Any], owner: Any) -> tuple[int, int]:
    from fobench.tracers.macs import MACs
    from fobench.tracers.memory import step_peak

    counter = MACs()
    with counter.trace(owner, ()):
        step()
    rows = counter.readings()
    missing = [row.channel for row in rows if row.quantity == "uncovered"]
    if missing:
        raise FobenchError(f"no formula counts {', '.join(missing)}; the multiply-accumulates would be too few")
    return int(sum(row.value for row in rows if row.quantity == "macs")), step_peak(owner, step)


def _installed(name: str) -> Meter:
    from fobench import plugins

    meter: Meter = plugins.load(name, "meters")()
    return meter


def _metered(step: Callable[[], Any], meter: Meter) -> tuple[float, float, int]:
    """Take whole steps until a window of ten refreshes is full; return J and s per step, and the steps."""
    length, steps = WINDOW_PERIODS * meter.update_period_s, 0
    try:
        meter.start()
        started = time.perf_counter()
        while not steps or time.perf_counter() - started < length:
            step()
            steps += 1
        seconds = time.perf_counter() - started
        readings = [row for row in meter.stop() if row.quantity == "energy"]
    finally:
        meter.close()
    counted = total_channels(row.channel for row in readings)
    if not counted:
        raise FobenchError("the meter gave no energy; ask for one that does, such as rapl, nvml or codecarbon")
    return sum(row.value for row in readings if row.channel in counted) / steps, seconds / steps, steps


def _note(request: pytest.FixtureRequest, cost: StepCost) -> None:
    """Put the cost into the test's properties (JUnit XML) and into pytest-benchmark's `extra_info`."""
    found = {name: value for name, value in asdict(cost).items() if value not in (None, "")}
    request.node.user_properties += list(found.items())
    if "benchmark" in request.fixturenames:
        request.getfixturevalue("benchmark").extra_info.update(found)


def _hold(request: pytest.FixtureRequest, marker: str, value: float, unit: str) -> None:
    mark = request.node.get_closest_marker(marker)
    if mark is None:
        return
    if not mark.args or isinstance(mark.args[0], bool) or not isinstance(mark.args[0], int | float):
        pytest.fail(f"{marker} needs its budget as a number, found {mark.args!r}", pytrace=False)
    if value > mark.args[0]:
        share = f", {value / mark.args[0] - 1:.1%} over" if mark.args[0] else ""
        pytest.fail(f"a step takes {value:,.10g} {unit}, the budget is {mark.args[0]:,.10g}{share}", pytrace=False)
