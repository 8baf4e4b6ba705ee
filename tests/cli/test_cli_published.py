"""`fobench published`, and the commands that show what the papers' figures do not tell."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from fobench.cli import main
from fobench.cli.target import target
from fobench.contracts import FobenchError
from fobench.report.doubts import Doubt, doubts
from fobench.report.published import tables


def fobench(*arguments: str) -> str:
    answer = CliRunner().invoke(main.app, arguments)
    if isinstance(answer.exception, FobenchError):
        raise answer.exception
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_all_tables_are_listed() -> None:
    lines = fobench("published").splitlines()
    assert [line.split()[0] for line in lines[1:]] == [found.name for found in tables()]


def test_a_table_with_what_was_counted_and_what_is_doubtful() -> None:
    text = fobench("published", "lightff")
    assert "MIT-BIH   MACs [2^20]: FF       11.90  2^20 MAC  ff" in text
    assert "counted: hidden layers of one prediction for one label" in text
    assert "doubts: no counting gives 11.90" in text
    assert "checked, cannot be reproduced as published: No counting that fits" in text
    with pytest.raises(FobenchError, match="no published table is called 'biofo'"):
        fobench("published", "biofo")


@pytest.mark.parametrize("item", doubts(), ids=lambda item: item.name)
def test_every_statement_is_shown_by_its_command(item: Doubt) -> None:
    text = fobench(*item.command.split()[1:])
    for number in item.shown:
        assert number in text, number


@pytest.mark.parametrize(
    ("name", "widths"),
    [("2000x4", [2000] * 4), ("500", [500]), ("300-200x2", [300, 200, 200])],
)
def test_hidden_widths_have_a_short_name(name: str, widths: list[int]) -> None:
    found = target(name, "784", 10)
    assert [record["units"] for record in found.network] == widths
    assert {record["kind"] for record in found.network} == {"dense"}


@pytest.mark.parametrize("name", ["0x4", "2000x", "x4", "2000x400", "2000-"])
def test_what_is_no_short_name_is_refused(name: str) -> None:
    with pytest.raises(FobenchError, match="unknown network"):
        target(name, "784", 10)
