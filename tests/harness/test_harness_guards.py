"""Guards on scripted trees of procfs and sysfs, and what a window does with what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toys import FAST, toy_cell

from fobench.contracts import GUARDS, Header, Part, Phase, Plan, Provenance, Reading, Status
from fobench.harness.guards import Battery, ForeignCPU, Guard, Steal, open_guards, suspend, swap, throttling
from fobench.harness.windows import Window, Windows
from fobench.store import Writer, read
from fobench.testing import FakeMeter


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def said(guard: Guard, *during) -> str:
    """What a guard says at the end of a window during which `during` happens."""
    guard.start()
    for change in during:
        put(*change)
    return guard.stop([])


@pytest.mark.parametrize(("share", "reason"), [(0.25, ""), (0.3, "other programs used 30% of the CPU (limit 25%)")])
def test_foreign_cpu_above_the_limit_fires(share: float, reason: str) -> None:
    guard = ForeignCPU(0.25)
    guard.start()
    assert guard.stop([Reading("foreign_cpu", share, Provenance.MEASURED)]) == reason
    assert guard.stop([]) == "", "a window too short for a share cannot be judged"


def stat(root: Path, idle: int, steal: int) -> tuple[Path, str, str]:
    return root, "proc/stat", f"cpu  100 0 0 {idle} 0 0 0 {steal} 40 0\ncpu0 1 2 3\n"


@pytest.mark.parametrize(
    ("idle", "steal", "fires"),
    [(95, 5, False), (94, 6, True), (0, 19, False)],
    ids=["5 % is allowed", "6 % is not", "too few ticks to tell"],
)
def test_steal(tmp_path: Path, idle: int, steal: int, fires: bool) -> None:
    put(*stat(tmp_path, 1000, 7))
    reason = said(Steal(tmp_path), stat(tmp_path, 1000 + idle, 7 + steal))
    assert reason == ("the hypervisor took 6% of the CPU (limit 5%)" if fires else "")


def test_any_throttling_event_on_any_processor_fires(tmp_path: Path) -> None:
    for cpu in (0, 1, 10):
        for kind in ("core", "package"):
            put(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/{kind}_throttle_count", f"{cpu}\n")
    assert said(throttling(tmp_path)) == ""
    hot = (tmp_path, "sys/devices/system/cpu/cpu10/thermal_throttle/core_throttle_count", "12\n")
    assert said(throttling(tmp_path), hot) == "throttled: the thermal counters rose by 2"


@pytest.mark.parametrize(("pages", "fires"), [(255, False), (257, True)])
def test_swapping_more_than_a_mebibyte_fires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int, fires: bool
) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 4096)
    put(tmp_path, "proc/vmstat", "nr_free 9\npswpin 10\npswpout 20\npswpin_zero 5\n")
    after = (tmp_path, "proc/vmstat", f"nr_free 9\npswpin {10 + pages - 100}\npswpout 120\npswpin_zero 500000\n")
    assert said(swap(tmp_path), after) == (f"swapped: {pages * 4096} bytes" if fires else "")


def test_a_suspend_shows_in_the_clocks() -> None:
    slept = iter([100.0, 100.001, 100.001, 130.001])
    guard = suspend(lambda: next(slept))
    assert [said(guard), said(guard)] == ["", "suspended for 30.0 s"]


def test_a_battery_fires_while_it_feeds_the_machine_and_when_that_changes(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/power_supply/AC/type", "Mains\n")
    put(tmp_path, "sys/class/power_supply/mouse/type", "Battery\n")
    put(tmp_path, "sys/class/power_supply/mouse/scope", "Device\n")
    put(tmp_path, "sys/class/power_supply/mouse/status", "Discharging\n")
    guard = Battery(tmp_path)
    assert guard.unavailable() == "no battery"
    put(tmp_path, "sys/class/power_supply/BAT0/type", "Battery\n")
    status = "sys/class/power_supply/BAT0/status"
    put(tmp_path, status, "Full\n")
    assert guard.unavailable() is None
    assert said(guard) == ""
    assert said(guard, (tmp_path, status, "Discharging\n")) == "the power supply changed to battery"
    assert "leave battery out of plan.guards" in said(guard)
    assert said(guard, (tmp_path, status, "Charging\n")) == "the power supply changed from battery"


def test_a_guard_that_sees_nothing_is_said_and_not_asked(tmp_path: Path) -> None:
    guards, notes = open_guards(Plan(), tmp_path)
    assert len(guards) + len(notes) == len(GUARDS)
    for name in ("steal", "throttling", "swap", "battery"):
        assert sum(f"the guard {name} sees nothing here" in note for note in notes) == 1
    assert open_guards(replace(Plan(), guards=()), tmp_path) == ([], [])


def test_broken_files_are_no_reason_and_no_crash(tmp_path: Path) -> None:
    put(*stat(tmp_path, 1000, 7))
    put(tmp_path, "proc/vmstat", "pswpin 1\n")
    steal, swapping = Steal(tmp_path), swap(tmp_path)
    assert said(steal, (tmp_path, "proc/stat", "cpu 1 2\n")) == ""
    assert said(swapping, (tmp_path, "proc/vmstat", "")) == ""


class Scripted:
    """A guard that says what it is told, window after window, and counts its starts."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)
        self.started = 0

    def unavailable(self) -> None:
        return None

    def start(self) -> None:
        self.started += 1

    def stop(self, readings) -> str:
        return self.reasons[self.started - 1]


def guarded(tmp_path: Path, guard: Scripted, retries: int) -> tuple[list[dict], int]:
    """Repeat one window under a guard; return the rows and how often it was measured."""
    writer = Writer(tmp_path / "x.jsonl")
    writer.header(Header(Part.MEASURE, toy_cell(), "test", "here"))
    meters = {"fake": FakeMeter(), "other": FakeMeter(script=(2.0,))}
    windows = Windows(meters, writer, lambda: None, 0.1, [guard], retries)

    def once() -> Window:
        with windows.open(Phase.IDLE) as window:
            pass
        return window

    windows.repeat(once)
    writer.footer(Status.DONE)
    return read(writer.path).rows(), guard.started


def test_an_invalid_window_is_kept_on_all_its_rows_and_measured_again(tmp_path: Path) -> None:
    rows, measured = guarded(tmp_path, Scripted("swapped", "swapped", ""), retries=3)
    assert measured == 3
    assert [(row["meter"], row["window"], row["invalid"]) for row in rows] == [
        (meter, window, "" if window == 2 else "swapped") for window in range(3) for meter in ("fake", "other")
    ]


def test_a_window_that_stays_invalid_is_given_up_after_the_retries(tmp_path: Path) -> None:
    rows, measured = guarded(tmp_path, Scripted(*["hot"] * 9), retries=2)
    assert measured == 3
    assert all(row["invalid"] == "hot" for row in rows)


def test_two_reasons_stand_beside_each_other(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "x.jsonl")
    writer.header(Header(Part.MEASURE, toy_cell(), "test", "here"))
    windows = Windows(
        {"fake": FakeMeter()}, writer, lambda: None, 0.1, [Scripted("hot"), Scripted(""), Scripted("old")]
    )
    with windows.open(Phase.IDLE) as window:
        pass
    assert window.invalid == "hot; old"


def test_the_limit_of_a_plan_reaches_its_guard() -> None:
    (guard,), _ = open_guards(replace(FAST, guards=("foreign-cpu",), foreign_cpu_limit=0.5))
    assert guard == ForeignCPU(0.5)
