import json
from datetime import UTC, datetime, timedelta

import pytest

from fobench.contracts import IDENTITY, FobenchError
from fobench.harness import machine, profile


@pytest.fixture(autouse=True)
def configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def save(period=0.02):
    profile.save(
        profile.default_path(),
        {"rapl": {"update_period_s": period}, "nvml": {}},
        {"hwmon": "no sensor"},
    )


def rewrite(change):
    path = profile.default_path()
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_profile_names_date_machine_and_versions(configuration):
    save()
    path = configuration / "fobench" / "profiles" / f"{machine.default_name()}.json"
    content = json.loads(path.read_text())
    assert content["machine"] == machine.facts()
    assert content["machine"]["versions"]["python"]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(content["date"])) < timedelta(minutes=10)
    assert content["absent"] == {"hwmon": "no sensor"}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_profiled_period_is_taken_where_there_is_one():
    assert profile.profiled_period("rapl", 0.001) == 0.001
    assert "fobench calibrate" in profile.load()[1]
    save(0.02)
    assert profile.profiled_period("rapl", 0.001) == 0.02
    assert profile.profiled_period("nvml", 0.1) == 0.1
    assert profile.profiled_period("codecarbon", 0.5) == 0.5


@pytest.mark.parametrize("period", [0, -1, None, "fast", float("nan"), float("inf"), True])
def test_a_period_that_is_none_is_not_taken(period):
    save()
    rewrite(lambda content: content["meters"]["rapl"].update(update_period_s=period))
    assert profile.profiled_period("rapl", 0.001) == (1.0 if period is True else 0.001)


@pytest.mark.parametrize(("hours", "valid"), [(0.1, True), (23.9, True), (24.1, False), (1000, False), (-1, False)])
def test_a_profile_of_another_day_is_ignored_with_a_note(hours, valid):
    save()
    date = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    rewrite(lambda content: content.update(date=date))
    meters, note = profile.load()
    assert bool(meters) is valid
    assert ("ignored" in note) is not valid
    assert profile.profiled_period("rapl", 0.001) == (0.02 if valid else 0.001)


@pytest.mark.parametrize("fact", IDENTITY)
def test_a_profile_of_another_machine_is_ignored_with_a_note(fact):
    save()
    rewrite(lambda content: content["machine"].update({fact: "another"}))
    meters, note = profile.load()
    assert meters == {}
    assert f"of another machine ({fact} differ)" in note


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"date": "yesterday"}', '{"date": 5, "machine": {}, "meters": {}}', "\xff"]
)
def test_a_broken_profile_is_ignored_with_a_note(content):
    save()
    profile.default_path().write_text(content, encoding="latin-1")
    meters, note = profile.load()
    assert meters == {}
    assert "cannot be read" in note


def test_a_file_that_cannot_be_written_is_one_sentence(configuration):
    (configuration / "file").write_text("")
    with pytest.raises(FobenchError, match="--output"):
        profile.save(configuration / "file" / "profile.json", {}, {})
