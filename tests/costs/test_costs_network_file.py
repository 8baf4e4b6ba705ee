"""Network files: what they hold, and every kind of malformed one with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import FobenchError, Task
from fobench.costs.network_file import NetworkFileError, read
from fobench.networks import conv, dense, expand, named_networks

HEAD = "input: [3, 8, 8]\nclasses: 4\nlayers:\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "net.yaml"
    file.write_text(text)
    return file


def test_a_network_with_its_task(tmp_path: Path) -> None:
    found = read(written(tmp_path, HEAD + "  - {kind: conv, channels: 5, padding: same}\n  - 20\n"))
    assert found.task == Task("classification", (3, 8, 8), 4)
    assert list(found.records) == [conv(5, padding="same"), dense(20)]
    assert found.name == "net"


def test_a_named_network_and_a_reconstruction(tmp_path: Path) -> None:
    found = read(written(tmp_path, "name: mine\ninput: 640\ntask: reconstruction\nlayers: autoencoder\n"))
    assert found.task == Task("reconstruction", (640,))
    assert list(found.records) == expand(named_networks()["autoencoder"])
    assert found.name == "mine"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty; expected a mapping with input"),
        ("- 3\n", "1:1: expected a mapping with input"),
        ("input: [3\n", "2:1: YAML syntax"),
        ("input: 3\n\tclasses: 4\n", "2:1: YAML syntax"),
        ("classes: 4\nlayers: [3]\n", "1:1: a network file needs input"),
        ("input: 3\nclasses: 4\n", "1:1: a network file needs layers"),
        ("input: 3\nlayers: [3]\n", "1:1: a network file needs classes; expected a whole number of at least 2"),
        ("input: [3, 8]\nclasses: 4\nlayers: [3]\n", "1:8: input has 2 sizes"),
        ("input: [3, 8, 0]\nclasses: 4\nlayers: [3]\n", "1:15: input has size 0"),
        ("input: 1.5\nclasses: 4\nlayers: [3]\n", "1:8: input has size 1.5"),
        ("input: 3\nclasses: 1\nlayers: [3]\n", "2:10: classes is 1; expected"),
        ("input: 3\nclasses: true\nlayers: [3]\n", "2:10: classes is true"),
        ("input: 3\ntask: regression\nlayers: [3]\n", "2:7: task is 'regression'; expected classification or recons"),
        ("input: 3\ntask: reconstruction\nclasses: 3\nlayers: [3]\n", "3:1: a reconstruction has no classes"),
        ("input: 3\nclasses: 4\nlayer: [3]\n", "3:1: a network file has no 'layer'; did you mean 'layers'?"),
        ("input: 3\nclasses: 4\nlayers: [3]\nlayers: [4]\n", "4:1: duplicate key 'layers'"),
        ("input: 3\nclasses: 4\nlayers: resnet9\n", "3:9: unknown network 'resnet9'; did you mean 'resnet8'?"),
        ("input: 3\nclasses: 4\nlayers: 5\n", "3:9: a network is a name"),
        (HEAD + "  - {kind: conv, channels: 0}\n", "4:5: layer 0: channels is 0"),
        (HEAD + "  - 0\n", "4:5: layer 0: units is 0"),
        (HEAD + "  - 5\n  - {kind: convolution}\n", "5:5: layer 1:"),
        (HEAD + "  - {kind: conv, chanels: 3}\n", "4:5: layer 0: a conv layer has no field 'chanels'"),
        (HEAD + "  - {kind: conv}\n", "4:5: layer 0: a conv layer needs 'channels'"),
        (
            HEAD + "  - {kind: conv, channels: 2, source: 1}\n  - {kind: conv, channels: 2}\n",
            "4:5: layer 0: reads layer 1",
        ),
        (HEAD + "  - {kind: conv, channels: 2, source: 0}\n", "4:5: layer 0: reads layer 0"),
        (HEAD + "  - {kind: conv, channels: 2}\n  - {kind: add, source: -1}\n", "5:5: layer 1: add of shapes"),
        (HEAD + "  - {kind: conv, channels: 2, kernel: 9}\n", "4:5: layer 0: a window of (9, 9) does not fit"),
        (HEAD + "  - 7\n  - {kind: pool}\n", "5:5: layer 1: pool needs a map"),
        (HEAD + "  - &a [*a]\n", "4:5: an alias that contains itself"),
    ],
)
def test_a_malformed_file_is_one_error_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(NetworkFileError) as caught:
        read(file)
    first, *lines = str(caught.value).splitlines()
    assert "nothing was computed" in first
    assert lines[0].startswith(f"{file}:{expected}"), lines


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(0, 200))
def test_damage_never_gives_a_traceback(tmp_path_factory: pytest.TempPathFactory, noise: str, at: int) -> None:
    whole = HEAD + "  - {kind: conv, channels: 2, padding: same}\n  - {kind: add, source: -1}\n  - 7\n"
    file = tmp_path_factory.mktemp("net") / "net.yaml"
    file.write_text(whole[:at] + noise + whole[at:], encoding="utf-8", errors="replace")
    try:
        read(file)
    except FobenchError as error:
        assert str(file) in str(error)
