"""Suite files as text: YAML that is broken, and where the problems are said to be."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from fobench.suite import SuiteError, load_suite
from fobench.suite.document import read

SMALLEST = "suite: a\ndatasets: [digits]\nlearners: [{target: bp, network: [3]}]\n"


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    file = tmp_path / "s.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SuiteError) as caught:
        load_suite(file)
    first, *lines = str(caught.value).splitlines()
    assert str(file) in first
    assert len(lines) == len(caught.value.problems)
    return [line.removeprefix(f"{file}:") for line in lines]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("- bp\n", "1:1: expected a mapping"),
        ("\n\njust words\n", "3:1: expected a mapping"),
        ("suite: a\n\tblocks: 1\n", "2:1: YAML syntax: found character '\\t'"),
        ("suite: [a\n", "2:1: YAML syntax: expected ',' or ']'"),
        ("suite: *a\n", "1:8: YAML syntax: found undefined alias"),
        ("suite: a\n---\nsuite: b\n", "2:1: YAML syntax: but found another document"),
        (b"suite: a\ndescription: caf\xe9\n", "2:17: byte 0xe9 is not UTF-8"),
        ("[" * 5000, "1:1: the file is nested too deeply"),
        ("a: \x01", "1:1: this is not YAML"),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str | bytes, expected: str) -> None:
    (line,) = problems(tmp_path, text)
    assert line.startswith(expected)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"none\.yaml:1:1: cannot be read \(No such file"):
        load_suite(tmp_path / "none.yaml")
    with pytest.raises(SuiteError, match="is a folder"):
        load_suite(tmp_path)


def test_every_duplicate_key_is_reported_at_its_second_place(tmp_path: Path) -> None:
    text = "suite: a\nblocks: 1\nblocks: 2\nrecipe: {epochs: 1, epochs: 2}\n" + SMALLEST.removeprefix("suite: a\n")
    assert problems(tmp_path, text) == [
        "3:1: duplicate key 'blocks' (first on line 2); remove one of the two",
        "4:21: duplicate key 'epochs' (first on line 4); remove one of the two",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (".inf", ".inf is not a finite number"),
        (".nan", ".nan is not a finite number"),
        ("1e999", "1e999 is not a finite number"),
        ("!py/object 3", "tag !py/object is not known"),
        ("!!int x", "'x' is not a valid int"),
        ("!!binary aGk=", "tag tag:yaml.org,2002:binary is not known"),
    ],
)
def test_values_that_json_cannot_hold_are_reported_once(tmp_path: Path, value: str, expected: str) -> None:
    (line,) = problems(tmp_path, f"plan: {{idle_s: {value}}}\n{SMALLEST}")
    assert line.startswith(f"1:16: {expected}")


def test_keys_are_text(tmp_path: Path) -> None:
    found = problems(tmp_path, f"{SMALLEST}1: x\n[a]: y\n")
    assert found[0].startswith("4:1: key '1' is not text")
    assert found[1].startswith("5:1: a key that is not text")


def test_numbers_with_exponents_are_floats(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("a: 1e-4\nb: 1.0e-4\nc: -2E3\nd: 3\ne: NO\nf: 2020-01-01\n")
    value = read(file).value
    assert value == {"a": 1e-4, "b": 1e-4, "c": -2000.0, "d": 3, "e": "NO", "f": "2020-01-01"}
    assert [type(value[key]) for key in "abcd"] == [float, float, float, int]


def test_anchors_aliases_and_merges(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("base: &base {eta: 1, name: sgd}\nsame: *base\nother: {<<: *base, eta: 2}\n")
    value = read(file).value
    assert value["same"] == {"eta": 1, "name": "sgd"}
    assert value["other"] == {"eta": 2, "name": "sgd"}


@pytest.mark.parametrize(
    "text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "a: &a {<<: *a}\n", "a: &a {b: {<<: *a}}\nc: {<<: *a}"]
)
def test_an_alias_of_itself_is_refused(tmp_path: Path, text: str) -> None:
    assert any("alias that contains itself" in line or "stands elsewhere" in line for line in problems(tmp_path, text))


def test_a_chain_of_aliases_does_not_fill_the_memory(tmp_path: Path) -> None:
    names = "abcdefghij"
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{name}: &{name} [{', '.join(['*' + before] * 10)}]" for before, name in pairwise(names)]
    assert "more values than a suite can have" in problems(tmp_path, "\n".join(lines))[0]


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())
    assert load_suite(file).name == "a"
