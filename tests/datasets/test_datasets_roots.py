from pathlib import Path

from fobench.datasets.roots import data_root, fetch_command


def test_option_goes_before_environment_and_environment_before_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FOBENCH_DATA", raising=False)
    assert data_root() == tmp_path / "cache/fobench/data"
    monkeypatch.setenv("FOBENCH_DATA", "/from/environment")
    assert data_root() == Path("/from/environment")
    assert data_root("/from/option") == Path("/from/option")


def test_empty_environment_variable_counts_as_unset(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FOBENCH_DATA", "")
    assert data_root() == tmp_path / "fobench/data"


def test_relative_folder_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert data_root("data") == tmp_path / "data"


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert data_root("~/data") == Path("/home/someone/data")


def test_command_names_the_folder_only_when_it_is_not_the_default(monkeypatch):
    monkeypatch.setenv("FOBENCH_DATA", "/data")
    assert fetch_command("mnist", Path("/data")) == "`fobench data fetch mnist`"
    assert fetch_command("mnist", Path("/my data")) == "`fobench data fetch mnist --data '/my data'`"
