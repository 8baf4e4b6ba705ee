"""`collect`, `certificates` and the dry run as a user sees them; what cannot be meant is refused before anything starts."""

from __future__ import annotations

import builtins
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))

from measured import SUITE, a_cell, contents, describe, leave

from fobench.cli.main import app
from fobench.contracts import FobenchError, Part
from fobench.suite import load_suite

RACK = f"""\
suite: {SUITE}
blocks: 4
datasets: [digits]
learners: [{{target: bp, label: BP, network: []}}, {{target: bp, label: other, network: []}}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOBENCH_TLS", str(tmp_path / "tls"))
    monkeypatch.setattr("fobench.cli.run_verb._measure", lambda *_: pytest.fail("this would measure"))
    Path("rack.yaml").write_text(RACK)
    return tmp_path


def fobench(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def said(*arguments: str) -> list[str]:
    answer = fobench(*arguments)
    assert answer.exit_code == 0, answer.output
    return answer.stdout.splitlines()


def refused(*arguments: str) -> str:
    """What `main` prints after `fobench: ` with exit code 2."""
    error = fobench(*arguments).exception
    assert isinstance(error, FobenchError), error
    return str(error)


# --- dry run ----------------------------------------------------------------------------------------------------------


def test_a_plan_names_every_machine_and_the_end(folder: Path) -> None:
    """Four blocks of two cells on three machines: one of them has two blocks, 4 cells of 600 s."""
    before = datetime.now().astimezone()
    *machines, last = said("run", "rack.yaml", "--dry-run", "--workers", "3", "--cell-seconds", "600")
    assert machines == ["  worker-0: 4 cells, 40 min", "  worker-1: 2 cells, 20 min", "  worker-2: 2 cells, 20 min"]
    found = re.fullmatch(r"8 cells in 40 min, finished (\d{4}-\d\d-\d\d \d\d:\d\d) \(600 s a cell\)", last)
    assert found
    end = datetime.strptime(found[1], "%Y-%m-%d %H:%M").astimezone()
    expected = before + timedelta(minutes=40)
    assert timedelta(minutes=-1) <= end - expected <= timedelta(minutes=5)
    assert [path.name for path in folder.iterdir()] == ["rack.yaml"], "nothing is written"


def test_a_plan_without_a_length_counts_cells(folder: Path) -> None:
    assert said("run", "rack.yaml", "--dry-run", "--workers", "3") == [
        "  worker-0: 4 cells",
        "  worker-1: 2 cells",
        "  worker-2: 2 cells",
        "8 cells, at most 4 on one machine; no cell of this suite was measured yet: give --cell-seconds to see when it would "
        "finish",
    ]  # fmt: skip


def test_a_plan_for_this_machine_alone(folder: Path) -> None:
    first, last = said("run", "rack.yaml", "--dry-run", "--cell-seconds", "1")
    assert first == "  worker-0: 8 cells, 8 s"
    assert last.startswith("8 cells in 8 s, finished ")


def test_a_plan_knows_what_is_done_and_how_long_it_took(folder: Path) -> None:
    """Of BP one seed is done, in 20 s: three are left at 20 s; the others of unknown length last as long."""
    cells = load_suite(Path("rack.yaml")).cells
    done = next(cell for cell in cells if cell.label == "BP")
    describe(folder / "results", "board")
    for part in Part:
        leave(folder / "results", "board", done, part, seconds=20.0)
    first, last = said("run", "rack.yaml", "--dry-run")
    assert first == "  worker-0: 7 cells, 2 min"
    assert last.startswith("7 cells in 2 min, finished ")
    assert last.endswith("(cells as long as the finished ones, traces not counted)")
    chosen = said("run", "rack.yaml", "--dry-run", "--cell-seconds", "1")
    assert chosen[0] == "  worker-0: 7 cells, 7 s", "what the user says counts"


def test_a_plan_for_a_suite_that_is_done(folder: Path) -> None:
    describe(folder / "results", "board")
    for cell in load_suite(Path("rack.yaml")).cells:
        for part in Part:
            leave(folder / "results", "board", cell, part)
    first, last = said("run", "rack.yaml", "--dry-run", "--workers", "1")
    assert first == "  worker-0: 0 cells, 0 s"
    assert last.startswith("0 cells in 0 s")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--workers", "4"), "--workers imagines machines for --dry-run"),
        (("--dry-run", "--workers", "4", "--cluster", "tls://head:1"), "--workers imagines machines for --dry-run"),
        (("--cluster", "tls://head:1", "--machine", "me"), "--machine names this machine; those of a cluster name themselves"),
        (("--cell-seconds", "3"), "--cell-seconds is for --dry-run"),
        (("--move-blocks",), "--move-blocks and --tls are for --cluster"),
        (("--tls", "here"), "--move-blocks and --tls are for --cluster"),
        (("--dry-run", "--report"), "--report is not for --dry-run"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused("run", "rack.yaml", *arguments)
    assert [path.name for path in folder.iterdir()] == ["rack.yaml"]


@pytest.mark.parametrize(
    "arguments", [("--workers", "0"), ("--cell-seconds", "0"), ("--cell-seconds", "nan"), ("--cell-seconds", "inf")]
)
def test_numbers_that_plan_nothing(folder: Path, arguments: tuple[str, str]) -> None:
    answer = fobench("run", "rack.yaml", "--dry-run", *arguments)
    assert answer.exit_code == 2
    assert arguments[0] in answer.output


# --- a cluster that is not there --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("tcp://192.0.2.1:8786", "neither encrypted nor loopback"),
        ("tls://192.0.2.1:8786", "no certificate: "),
        ("http://head", "'http://head' is no scheduler; expected tls://HOST:PORT"),
        ("nowhere.yaml", "nowhere.yaml:1:1: cannot be read"),
        ("rack.yaml", "rack.yaml has"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "check", "overhead"])
def test_a_cluster_that_cannot_be_reached(folder: Path, verb: str, target: str, words: str) -> None:
    assert words in refused(verb, "rack.yaml", "--cluster", target)


@pytest.mark.parametrize("arguments", [("run", "rack.yaml", "--cluster", "tls://head:1"), ("certificates", "tls")])
def test_without_the_engine_a_cluster_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    expected = "a cluster needs dask.distributed, which is not installed: pip install 'fobench[cluster]'"
    assert refused(*arguments) == expected


def test_without_the_engine_everything_else_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest):
        assert name.partition(".")[0] not in ("distributed", "dask"), name
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    leave(folder / "usb", "board", a_cell())
    assert said("run", "rack.yaml", "--dry-run")[0] == "  worker-0: 8 cells"
    assert said("collect", "usb")[0] == "collected 1 files of board; 0 were there already"


# --- collect ----------------------------------------------------------------------------------------------------------


def test_collect_says_what_it_took_and_what_is_next(folder: Path) -> None:
    for name, seed in (("board-1", 0), ("board-2", 1)):
        describe(folder / name, name)
        leave(folder / name, name, a_cell(seed=seed))
    assert said("collect", "board-1", "board-2", "--results", "all") == [
        "collected 2 files of board-1, board-2; 0 were there already",
        f"next: fobench report {SUITE} --results all",
    ]
    assert said("collect", "board-1", "--results", "all") == ["collected 0 files; 1 were there already"]


def test_collect_refuses_conflicts_by_name(folder: Path) -> None:
    for name in ("usb", "results"):
        describe(folder / name, "board")
        leave(folder / name, "board", a_cell(), seconds=len(name))
    before = contents(folder / "results")
    assert f"BP on digits, seed 0 ({a_cell().id}) is in usb/" in refused("collect", "usb")
    assert contents(folder / "results") == before


def test_collect_needs_a_folder(folder: Path) -> None:
    assert fobench("collect").exit_code == 2
    assert "usb holds no result files; expected" in refused("collect", "usb")


# --- certificates -----------------------------------------------------------------------------------------------------


def test_certificates_are_made_once_and_the_next_commands_are_said(folder: Path) -> None:
    lines = said("certificates", "rack-tls")
    made = folder / "rack-tls"
    assert (
        lines[0] == f"wrote {made}: valid for a year; whoever has key.pem can run code on every machine of the cluster"
    )
    options = f"--tls-ca-file {made}/certificate.pem --tls-cert {made}/certificate.pem --tls-key {made}/key.pem"
    quiet = "--dashboard-address 127.0.0.1:0"
    assert lines[2:] == [
        f"  dask scheduler --protocol tls {options} {quiet}",
        f"  dask worker tls://SCHEDULER:8786 {options} {quiet} --resources meter=1 --name NAME --death-timeout 60",
        f"  fobench run SUITE.yaml --cluster tls://SCHEDULER:8786 --tls {made}",
    ]
    assert "exists; machines that hold it would be locked out" in refused("certificates", "rack-tls")


def test_the_exit_code_of_a_refusal_is_2_without_a_traceback(folder: Path, capsys, monkeypatch) -> None:
    from fobench.cli.main import main

    monkeypatch.setattr(sys, "argv", ["fobench", "collect", "usb"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("fobench: nothing was collected:\n  usb holds no result files")
