import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fobench.cli.data_verb import verb
from fobench.contracts import FobenchError


def run(*arguments):
    return CliRunner().invoke(verb, arguments)


def failure(*arguments):
    """The known failure that `fobench` turns into one message."""
    result = run(*arguments)
    assert isinstance(result.exception, FobenchError)
    return str(result.exception)


def test_path_prints_the_root(monkeypatch, tmp_path):
    monkeypatch.setenv("FOBENCH_DATA", str(tmp_path))
    assert run("path").output.strip() == str(tmp_path)
    assert run("path", "--data", "/elsewhere").output.strip() == "/elsewhere"


def test_list_shows_every_data_set_with_its_state(tmp_path):
    result = run("list", "--data", str(tmp_path))
    assert result.exit_code == 0
    for name in ("chb-mit", "digits", "mit-bih", "mnist"):
        assert name in result.output
    assert "144 of 144 files not found" in " ".join(result.output.split())
    assert "ready" in next(line for line in result.output.splitlines() if "digits" in line)


def test_fetch_of_data_that_needs_none():
    assert run("fetch", "digits", "--data", "/nowhere").output == "digits: ready under /nowhere\n"


def test_fetch_of_an_unknown_data_set_names_the_nearest():
    assert "did you mean 'mnist'" in failure("fetch", "mnis")


def test_fetch_from_a_server_that_is_not_there(tmp_path):
    sentence = failure("fetch", "mnist", "--data", str(tmp_path), "--from", "http://127.0.0.1:9/")
    assert "no answer" in sentence
    assert "train-images" in sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("chb-mit", "--patients", "1,x"), "expected numbers with commas"),
        (("chb-mit", "--patients", "6"), "patients: [6]"),
        (("mnist", "--patients", "1"), "no argument 'patients'"),
        (("digits", "--from", "http://127.0.0.1:9/"), "does not come from a server"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments, words):
    assert words in failure("fetch", *arguments)


def test_listing_imports_no_torch(tmp_path):
    code = "import sys; from fobench.cli.data_verb import verb; verb(['list', '--data', sys.argv[1]], standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True).returncode == 0
