import contextlib
import json
from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from fobench import plugins
from fobench.cli import calibrate_verb
from fobench.contracts import FobenchError
from fobench.harness import calibration
from fobench.testing import FakeMeter, SimulatedHost, SimulatedMeter

HOST = SimulatedHost()


class Good(SimulatedMeter):
    """A counter without fault."""

    def __init__(self, **faulty):
        super().__init__(HOST, **faulty)


class Quantised(Good):
    """One of coarse steps, by which a second one goes."""

    def __init__(self):
        super().__init__(quantum_j=1.0, shares=(1.0, 1.0))


class Absent(FakeMeter):
    """No sensor."""

    def unavailable(self):
        return "no sensor [here]; plug one in"


class Broken(FakeMeter):
    """A stranger's meter with a bug."""

    def start(self):
        raise KeyError("volts")


class Silent(FakeMeter):
    """A meter of something else than energy."""

    def stop(self):
        return []


@pytest.fixture
def calibrate(monkeypatch, tmp_path):
    monkeypatch.setenv("FOBENCH_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(calibration, "processor", lambda: contextlib.nullcontext(HOST))

    def run(*arguments, **meters):
        points = {name: EntryPoint(name, f"{__name__}:{target}", "fobench.meters") for name, target in meters.items()}
        monkeypatch.setattr(plugins, "installed", lambda group: points)
        app = typer.Typer()
        app.command()(calibrate_verb.verb)
        return CliRunner().invoke(app, list(arguments))

    return run


def test_every_energy_meter_is_calibrated_and_the_others_say_why_not(calibrate, tmp_path):
    output = tmp_path / "profiles" / "one.json"
    result = calibrate(
        "--output", str(output), good="Good", coarse="Quantised", absent="Absent", broken="Broken", silent="Silent"
    )
    assert result.exit_code == 0, result.output
    profile = json.loads(output.read_text())
    assert {name: list(entry["channels"]) for name, entry in profile["meters"].items()} == {
        "good": ["package-0"],
        "coarse": ["package-0", "package-1"],
    }
    assert profile["absent"]["absent"] == "no sensor [here]; plug one in"
    assert "KeyError" in profile["absent"]["broken"]
    assert "no energy" in profile["absent"]["silent"]
    assert "no sensor [here]; plug one in" in result.output
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in result.output.splitlines() if "package" in line]
    assert rows == [
        ["good", "package-0", "good"],
        ["coarse", "package-0", "quantised"],
        ["coarse", "package-1", "mirrored"],
    ]


def test_the_profile_goes_to_the_users_configuration(calibrate, tmp_path):
    result = calibrate("--seconds", "5", good="Good")
    assert result.exit_code == 0, result.output
    (file,) = (tmp_path / "config" / "fobench" / "profiles").glob("*.json")
    assert str(file) in result.output.replace("\n", "")


def test_one_meter_may_be_asked_for_by_name_or_by_its_class(calibrate, tmp_path):
    output = tmp_path / "one.json"
    calibrate("--meter", "good", "--output", str(output), good="Good", coarse="Quantised")
    assert list(json.loads(output.read_text())["meters"]) == ["good"]
    target = "fobench.testing:FakeMeter"
    calibrate("--meter", target, "--seconds", "1", "--output", str(output))
    assert list(json.loads(output.read_text())["meters"]) == [target]


def test_an_unknown_meter_and_none_at_all_are_errors(calibrate, tmp_path):
    assert isinstance(calibrate("--meter", "god", good="Good").exception, FobenchError)
    result = calibrate("--output", str(tmp_path / "one.json"), absent="Absent")
    assert "no meter could be calibrated" in str(result.exception)
    assert not (tmp_path / "one.json").exists()


def test_a_nonsensical_time_is_refused(calibrate):
    assert calibrate("--seconds", "0", good="Good").exit_code == 2


def test_a_narrow_terminal_cuts_no_name_and_no_number_short(calibrate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    output = calibrate(quantised_counter="Quantised").output
    assert "…" not in output
    (row,) = (line for line in output.splitlines() if "package-0" in line)
    assert "quantised_counter" in row
