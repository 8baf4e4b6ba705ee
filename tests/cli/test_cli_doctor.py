import subprocess
import sys
from importlib.metadata import EntryPoint, version

import pytest
import typer
from typer.testing import CliRunner

from fobench import plugins
from fobench.cli import doctor_verb
from fobench.contracts import MeterError, Provenance, Reading
from fobench.harness import machine
from fobench.meters.rapl import RAPL
from fobench.testing import FakeMeter, PowercapTree


class Ready(FakeMeter):
    """A meter that reads."""

    notes = ("package-1: unreadable (Permission denied)",)


class Absent(FakeMeter):
    """A meter that does not."""

    def unavailable(self):
        return "no sensor [here]; plug one in"


class Broken(FakeMeter):
    """A stranger's meter with a bug."""

    def unavailable(self):
        raise KeyError("volts")


class Estimated(FakeMeter):
    """A model of energy."""

    def stop(self):
        return [Reading("energy", 1.0, Provenance.ESTIMATED, "board")]


class Unreadable(FakeMeter):
    """A sensor that only root may read."""

    def unavailable(self):
        return "RAPL is present but unreadable (package-0: Permission denied); allow it with a udev rule"


class Silent(FakeMeter):
    """A sensor that fails in every window."""

    def stop(self):
        raise MeterError("stuck")


class Closed(FakeMeter):
    """Counts how often it was closed."""

    closed = 0

    def close(self):
        type(self).closed += 1


@pytest.fixture
def doctor(monkeypatch):
    def run(*arguments, **meters):
        points = {name: EntryPoint(name, target, "fobench.meters") for name, target in meters.items()}
        monkeypatch.setattr(plugins, "installed", lambda group: points)
        monkeypatch.setenv("COLUMNS", "200")
        app = typer.Typer()
        app.command()(doctor_verb.verb)
        return CliRunner().invoke(app, list(arguments))

    return run


def line(result, meter):
    return next(text.strip() for text in result.output.splitlines() if text.split()[:1] == [meter])


def test_each_meter_is_available_or_absent_with_its_remedy(doctor):
    result = doctor(ready=f"{__name__}:Ready", absent=f"{__name__}:Absent")
    assert result.exit_code == 0
    assert line(result, "ready").split(maxsplit=2)[1:] == ["available", "package-0; every 0.001 s"]
    assert "package-1: unreadable (Permission denied)" in result.output
    assert line(result, "absent").split(maxsplit=2)[1] == "absent"
    assert "plug one in" in line(result, "absent")


def test_a_broken_meter_does_not_hide_the_others(doctor):
    result = doctor(broken=f"{__name__}:Broken", gone="no_such_package:Meter", ready=f"{__name__}:Ready")
    assert result.exit_code == 0
    assert "KeyError: 'volts'" in line(result, "broken")
    assert "cannot be imported" in line(result, "gone")
    assert "available" in line(result, "ready")


def test_meters_are_closed_again(doctor):
    doctor(closed=f"{__name__}:Closed")
    assert Closed.closed == 1


def test_square_brackets_in_a_reason_are_no_markup(doctor):
    assert "no sensor [here]" in line(doctor(absent=f"{__name__}:Absent"), "absent")


def test_a_sensor_that_may_not_be_read_is_a_state_of_its_own(doctor):
    result = doctor(unreadable=f"{__name__}:Unreadable")
    assert line(result, "unreadable").split(maxsplit=2)[1] == "unreadable"
    assert "udev rule" in result.output


def test_a_counter_that_stands_still_gives_no_measured_energy(doctor, monkeypatch, tmp_path):
    tree = PowercapTree(tmp_path).add("intel-rapl:0", "package-0", 5_000_000)
    monkeypatch.setattr(RAPL.__init__, "__defaults__", (str(tree.root), 1000.0, str(tmp_path)))
    result = doctor("--require", "measured", rapl="fobench.meters.rapl:RAPL")
    assert line(result, "rapl").split(maxsplit=2)[1] == "available"
    assert result.exit_code == 1
    assert "No available meter gives measured energy" in result.output


def test_measured_energy_may_be_required(doctor):
    result = doctor("--require", "measured", ready=f"{__name__}:Ready", estimated=f"{__name__}:Estimated")
    assert result.exit_code == 0
    assert "Energy is measured by: ready" in result.output


@pytest.mark.parametrize("others", [[], ["Estimated"], ["Absent", "Broken", "Unreadable"]])
def test_without_a_meter_that_measures_energy_the_exit_code_is_1(doctor, others):
    result = doctor("--require", "measured", **{name.lower(): f"{__name__}:{name}" for name in others})
    assert result.exit_code == 1
    assert "No available meter gives measured energy" in result.output
    assert all(name.lower() in result.output for name in others)


def test_a_meter_that_gives_nothing_in_a_window_does_not_measure(doctor):
    """A reading is required, not only the answer to the probe."""
    assert doctor("--require", "measured", silent=f"{__name__}:Silent").exit_code == 1


def test_only_known_requirements_are_taken(doctor):
    assert doctor("--require", "guessed").exit_code == 2


def test_the_machine_is_named(doctor):
    result = doctor()
    assert line(result, "Python").split()[1] == ".".join(map(str, sys.version_info[:3]))
    assert line(result, "torch").split()[1] == version("torch")
    assert int(line(result, "cores").split()[1]) >= 1
    assert line(result, "memory").endswith("GiB")
    assert len(line(result, "CPU").split()) > 1


def test_no_torch_is_said_with_a_remedy(doctor, monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("numpy",))
    assert "pip install" in line(doctor(), "torch")


def test_every_built_in_meter_is_listed_without_importing_torch():
    code = (
        "import sys; from fobench.cli.doctor_verb import verb; verb(); "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    words = [text.split() for text in process.stdout.splitlines()]
    assert ["clock", "available"] in [text[:2] for text in words]
    assert set(plugins.installed("meters")) <= {text[0] for text in words if text}
