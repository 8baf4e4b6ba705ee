import logging
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import codecarbon
import pytest

from fobench.contracts import MeterError, Provenance
from fobench.meters.codecarbon import CodeCarbon


class RAM:
    """A component as codecarbon names it: by its class."""


class GPU:
    """The same."""


class CPU:
    """The same, with the mode of its power model."""

    def __init__(self, mode="cpu_load"):
        self._mode = mode


class FakeTracker:
    """Stands for OfflineEmissionsTracker; `script` holds what stop_task returns or raises, in kWh per component."""

    script = ()
    hardware = ()

    def __init__(self, **arguments):
        self.arguments = arguments
        self._hardware = list(self.hardware)
        self._script = iter(self.script)
        self.stopped = False

    def start_task(self):
        pass

    def stop_task(self):
        task = next(self._script)
        if isinstance(task, Exception):
            raise task
        return task

    def stop(self):
        self.stopped = True


def task(cpu=None, gpu=None, ram=None):
    return SimpleNamespace(cpu_energy=cpu, gpu_energy=gpu, ram_energy=ram)


@pytest.fixture
def fake(monkeypatch):
    def install(*script, hardware=None):
        parts = hardware or (RAM(), CPU())
        tracker = type("Tracker", (FakeTracker,), {"script": script, "hardware": parts})
        monkeypatch.setattr(codecarbon, "OfflineEmissionsTracker", tracker)
        return CodeCarbon()

    return install


# --- the real package ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """One real run with every network call refused, in a folder of its own; what it read and what it changed."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("cwd")
    connections = []

    def refuse(self, address):
        connections.append(address)
        raise OSError("no network in this test")

    patch.chdir(folder)
    patch.setattr(socket.socket, "connect", refuse)
    patch.setattr(socket.socket, "connect_ex", refuse)
    patch.setenv("CODECARBON_PUE", "3.0")
    patch.setenv("CODECARBON_TRACKING_MODE", "process")
    patch.setenv("CODECARBON_ELECTRICITYMAPS_API_TOKEN", "token")
    root = logging.getLogger()

    def around():
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return handlers, root.level, list(root.handlers)

    before = around()
    meter = CodeCarbon(ram_w=5.0, cpu_w=40.0)
    reason = meter.unavailable()
    windows = []
    for _ in range(2):
        start = time.perf_counter()
        meter.start()
        inner = time.perf_counter()
        time.sleep(0.3)
        end = time.perf_counter()
        windows.append((end - inner, meter.stop(), time.perf_counter() - start))
    tracker = meter._tracker
    meter.close()
    patch.undo()
    yield SimpleNamespace(
        reason=reason,
        windows=windows,
        meter=meter,
        tracker=tracker,
        connections=connections,
        files=list(folder.rglob("*")),
        unchanged=around() == before,
    )


def test_a_real_window_is_watts_times_seconds(offline):
    """Memory: 5 W x time. Processor: 40 W x (0.1 + 0.9 load^3) x time, between a tenth and all of 40 W."""
    assert offline.reason is None
    for shortest, readings, longest in offline.windows:
        by_channel = {r.channel: r for r in readings}
        assert 5 * shortest <= by_channel["ram"].value <= 5 * longest
        assert 4 * shortest <= by_channel["cpu"].value <= 40 * longest
        assert {(r.quantity, r.unit, r.provenance) for r in readings} == {("energy", "J", Provenance.ESTIMATED)}


def test_configuration_of_the_user_does_not_reach_it(offline):
    assert (offline.tracker._pue, offline.tracker._tracking_mode) == (1.0, "machine")


def test_it_leaves_network_files_signals_and_logging_alone(offline):
    assert offline.connections == []
    assert offline.files == []
    assert offline.unchanged


def test_it_says_nothing():
    """In a process of its own: its log level, once set, outlives the tracker."""
    code = "from fobench.meters.codecarbon import CodeCarbon as C; m = C(); assert not m.unavailable(); m.close()"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")


def test_a_gpu_that_is_named_but_absent_is_no_channel(monkeypatch):
    """CodeCarbon then counts one GPU and reports 0 J for it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    meter = CodeCarbon()
    assert meter.unavailable() is None
    found = {type(part).__name__ for part in meter._tracker._hardware}
    assert ("gpu" in meter.channels) == ("GPU" in found)
    meter.close()


# --- with a fake tracker ---------------------------------------------------------------------------------------------------


def test_kilowatt_hours_become_joules_per_component(fake):
    meter = fake(task(0, 0, 0), task(cpu=2e-6, gpu=5e-6, ram=1e-6), hardware=(RAM(), CPU(), GPU()))
    assert meter.unavailable() is None
    assert meter.channels == ("cpu", "gpu", "ram")
    meter.start()
    readings = {r.channel: r.value for r in meter.stop()}
    assert readings == {"cpu": pytest.approx(7.2), "gpu": pytest.approx(18.0), "ram": pytest.approx(3.6)}


def test_only_a_processor_read_through_rapl_is_measured(fake):
    meter = fake(task(1, 1, 1), task(1e-6, 1e-6, 1e-6), hardware=(RAM(), CPU("intel_rapl"), GPU()))
    assert meter.unavailable() is None
    meter.start()
    assert {r.channel: r.provenance for r in meter.stop()} == {
        "cpu": Provenance.MEASURED,
        "gpu": Provenance.ESTIMATED,
        "ram": Provenance.ESTIMATED,
    }
    assert meter.notes == (
        "cpu mode: intel_rapl",
        "gpu mode: counter or samples, codecarbon does not say which",
        "ram mode: constant from a guessed number of modules",
    )


def test_a_declared_power_of_memory_is_named_as_its_mode(fake):
    meter = fake(task(1, 0, 1))
    meter.ram_w = 3.0
    assert meter.unavailable() is None
    assert meter.notes[-1] == "ram mode: declared constant"


def test_without_a_gpu_there_is_no_channel_for_it(fake):
    meter = fake(task(1, 0, 1), task(1e-6, 0.0, 1e-6))
    assert meter.unavailable() is None
    assert meter.channels == ("cpu", "ram")
    meter.start()
    assert [r.channel for r in meter.stop()] == ["cpu", "ram"]


@pytest.mark.parametrize("nothing", [0, 0.0, None])
def test_a_swallowed_failure_is_left_out_not_zero(fake, nothing):
    meter = fake(task(1, 1, 1), task(nothing, nothing, 1e-6), hardware=(RAM(), CPU(), GPU()))
    assert meter.unavailable() is None
    meter.start()
    assert [r.channel for r in meter.stop()] == ["ram"]


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (None, "no result"),
        (AttributeError("_tasks"), "AttributeError: _tasks"),
        (task(0, 0, 0), "no energy for cpu, ram"),
    ],
)
def test_a_window_without_a_result_is_an_error(fake, outcome, why):
    meter = fake(task(1, 1, 1), outcome)
    assert meter.unavailable() is None
    meter.start()
    with pytest.raises(MeterError, match=why):
        meter.stop()


@pytest.mark.parametrize("outcome", [None, RuntimeError("cpuinfo is broken")])
def test_a_trial_without_a_result_is_one_sentence_with_a_remedy(fake, outcome):
    meter = fake(outcome)
    reason = meter.unavailable()
    assert "pip install" in reason
    assert "\n" not in reason
    with pytest.raises(MeterError, match="probe"):
        meter.start()


def test_close_stops_the_tracker(fake):
    meter = fake(task(1, 1, 1))
    assert meter.unavailable() is None
    tracker = meter._tracker
    meter.close()
    assert tracker.stopped
    with pytest.raises(MeterError, match="without start"):
        meter.stop()
