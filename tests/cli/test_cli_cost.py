"""`fobench cost` and `fobench fit` as a user sees them: numbers line by line, devices, maps, exit codes, errors with lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fobench.cli import main
from fobench.cli.target import memory
from fobench.contracts import FobenchError
from fobench.costs.findings import findings

NET = """\
input: [1, 6, 6]
classes: 3
layers:
  - {kind: conv, channels: 4, padding: same}
  - {kind: conv, channels: 4, padding: same, activate: false}
  - {kind: add, source: 0, activate: true}
  - {kind: pool, kernel: 6, mode: mean}
  - {kind: flatten}
"""


def fobench(*arguments: str, code: int = 0) -> str:
    answer = CliRunner().invoke(main.app, arguments)
    if isinstance(answer.exception, FobenchError):
        raise answer.exception
    assert answer.exit_code == code, answer.output
    return answer.output


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def net(tmp_path: Path) -> str:
    file = tmp_path / "net.yaml"
    file.write_text(NET)
    return str(file)


def test_the_published_number_line_by_line() -> None:
    text = words(fobench("cost", "ds-cnn", "--learner", "mempepita", "--accounting", "published"))
    assert "1 padding padding 12,096 0 0 0" in text
    assert "2 conv conv 8,000 4,160 1,536,000 512,000" in text
    assert "12 error + 5,880 projection = 10,657,648" in text
    assert "training RAM = 22,604 parameters + 28,096 activations = 50,700 B" in text


def test_all_slips_give_the_sheets_own_total() -> None:
    text = fobench("cost", "mobilenet-v1-0.25", "--learner", "ff", "--accounting", "published", "--slip", "all")
    assert "31,454,720" in text
    assert "293,795 B" in text


def test_both_accountings_stand_side_by_side() -> None:
    text = words(fobench("cost", "resnet8", "--learner", "bp"))
    assert "training MACs / sample 37,099,592 " in text
    assert "published complete" in text


def test_a_rule_without_published_accounting_says_so() -> None:
    text = fobench("cost", "resnet8", "--learner", "drtp")
    assert text.splitlines()[0].startswith("drtp on resnet8")
    assert "published accounting: none of drtp" in text
    with pytest.raises(FobenchError, match="no published accounting of 'drtp'"):
        fobench("cost", "resnet8", "--learner", "drtp", "--accounting", "published")


@pytest.mark.parametrize("finding", findings(), ids=lambda finding: finding.name)
def test_every_finding_is_shown_by_its_command(finding: object) -> None:
    from fobench.costs.findings import Finding

    assert isinstance(finding, Finding)
    text = fobench(*finding.command.split()[1:])
    for number in finding.shown:
        assert number in text, number


def test_formats_batches_and_optimizers_change_the_complete_bytes(net: str) -> None:
    def ram(*options: str) -> int:
        lines = fobench("cost", net, "--learner", "bp", "--accounting", "complete", *options).splitlines()
        return int(next(line for line in lines if "RAM as planned" in line).split()[-1].replace(",", ""))

    plain = ram()
    assert plain < ram("--batch", "2") < ram("--batch", "8")
    assert ram("--format", "float32") == 4 * plain
    parameters = 4 * 9 + 4 + 4 * 4 * 9 + 4 + 4 * 3 + 3
    assert ram("--optimizer", "momentum") == plain + parameters
    assert ram("--optimizer", "adam") >= plain + 2 * parameters


def test_a_device_projects_and_says_what_is_absent(net: str) -> None:
    text = fobench(
        *("cost", "autoencoder", "--learner", "bp", "--accounting", "published", "--device", "stm32h735"),
        *("--epochs", "100", "--samples", "4000", "--battery", "5"),
    )
    assert "0.003880 s" in text or "0.00388 s" in text
    assert "0.4311 h (single figure, no spread); absent" in text
    assert "no energy: the profile of STM32H735 has no energy per MAC" in text
    assert "battery-days: absent" in text
    spread = fobench("cost", net, "--learner", "bp", "--device", "STM32L4R5", "--battery", "5", "--per-day", "1000")
    assert "estimated from inference kernels of ic networks" in spread
    assert "battery of 5 Wh at 1000 training samples a day" in spread
    assert " to " in spread


def test_the_published_hours_are_the_default_budget_of_a_published_network() -> None:
    text = fobench("cost", "ds-cnn", "-l", "bp", "--accounting", "published", "--device", "STM32H735", "--slip", "all")
    assert "training of 36 x 85,511 samples: 35.76 h" in text
    text = fobench("cost", "ds-cnn", "-l", "bp", "--accounting", "published", "--device", "STM32G474", "--epochs", "3")
    assert "give both --epochs and --samples" in text


def test_profiles_from_a_folder(net: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nclock: {value: 1000000, source: my board}\nram: {value: 900, source: my board}\n"
        "cycles_per_mac:\n  any: {value: 2, source: my board}\n"
    )
    text = fobench("cost", net, "-l", "bp", "--device", "mine", "--devices", str(tmp_path))
    assert "cycles per mac, any: 2 [my board]" in text
    text = fobench("fit", "--network", net, "--device", "mine", "--devices", str(tmp_path), "-l", "bp", "-l", "pepita")
    assert "in 900 B of RAM" in text
    (tmp_path / "mine.yaml").write_text("name: mine\nram: {value: 900}\n")
    with pytest.raises(FobenchError, match=r"mine\.yaml:2:6: ram has no source"):
        fobench("cost", net, "-l", "bp", "--device", "mine", "--devices", str(tmp_path))


def test_nothing_is_printed_before_an_error(net: str) -> None:
    answer = CliRunner().invoke(main.app, ["cost", net, "-l", "bp", "--device", "nobody"])
    assert isinstance(answer.exception, FobenchError)
    assert answer.output == ""


def test_a_memory_map_is_drawn(net: str, tmp_path: Path) -> None:
    for name, head in (("map.png", b"\x89PNG"), ("map.svg", b"<?xml")):
        fobench("cost", net, "--learner", "pepita", "--map", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(head)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--learner", "bq"), "did you mean 'bp'"),
        (("--learner", "bp", "--format", "int9"), "did you mean 'int8'"),
        (("--learner", "bp", "--accounting", "all"), "expected published or complete"),
        (("--learner", "bp", "--set", "seeded"), "expected NAME=VALUE"),
        (("--learner", "bp", "--set", "seedy=true"), "did you mean 'seeded'"),
        (("--learner", "bp", "--optimizer", "lamb"), "unknown optimizer 'lamb'"),
        (("--learner", "bp", "--slip", "all"), "has no slip for net"),
        (("--learner", "bp", "--device", "STM32L4"), "did you mean 'STM32L4R5'"),
        (("--learner", "bp", "--map", "map.pdf"), r"ends in \.png or \.svg"),
        (("--learner", "bp", "--map", "map.png", "--accounting", "published"), "has no plan to draw"),
        (("--learner", "bp", "--slip", "all", "--accounting", "complete"), "--slip is of the published accounting"),
        (("--learner", "bp", "--classes", "3"), "remove --input and --classes"),
    ],
)
def test_wrong_options_are_one_message(net: str, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(FobenchError, match=message):
        fobench("cost", net, *options)


def test_named_networks_without_a_task_need_one() -> None:
    with pytest.raises(FobenchError, match="pepita-conv has no task of its own"):
        fobench("cost", "pepita-conv", "--learner", "bp")
    text = fobench("cost", "pepita-conv", "--learner", "bp", "--input", "3x32x32", "--classes", "10")
    assert "10 classes" in text


def in_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fobench.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_a_malformed_network_ends_with_its_line_and_nothing_computed(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(NET.replace("source: 0", "source: 5"))
    answer = in_process("cost", "bad.yaml", "--learner", "bp", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "bad.yaml:6:5: layer 2: reads layer 5, which does not come before it" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_neither_torch_nor_its_friends_are_imported(tmp_path: Path) -> None:
    records = "".join("  - {kind: conv, channels: 8, padding: same}\n" for _ in range(100))
    (tmp_path / "deep.yaml").write_text(f"input: [3, 16, 16]\nclasses: 10\nlayers:\n{records}")
    heavy = ("torch", "numpy", "pandas", "matplotlib", "scipy")
    code = (
        "import sys\nfrom fobench.cli.main import app\n"
        "app(['cost', 'deep.yaml', '--learner', 'mempepita', '--device', 'STM32U575'], standalone_mode=False)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
    assert "99 conv" in answer.stdout


# --- fit ---------------------------------------------------------------------------------------------------------------------


def test_what_fits_and_what_would_make_the_next_fit() -> None:
    text = words(fobench("fit", "--network", "resnet8", "--device", "STM32H735", "--ram", "320K"))
    assert "resnet8 in 327,680 B of RAM and 1,048,576 B of flash" in text
    assert "fits, smallest first" in text
    assert "fits with: B from a seed" in text


def test_nothing_fits_is_an_exit_code() -> None:
    text = fobench("fit", "--network", "autoencoder", "--ram", "100KB", code=1)
    assert "nothing fits" in text
    assert "not even with: F from a seed" in text
    assert "drtp needs class labels" in text


def test_recomputation_and_a_smaller_batch_are_proposed() -> None:
    text = fobench("fit", "--network", "resnet8", "--ram", "290K", "-l", "pepita", code=1)
    assert "fits with: F from a seed" in text or "fits with: recompute the standard pass (mempepita)" in text
    text = fobench("fit", "--network", "resnet8", "--ram", "240K", "-l", "pepita", code=1)
    assert "fits with: recompute the standard pass (mempepita)" in text
    text = fobench("fit", "--network", "resnet8", "--ram", "200K", "-l", "bp", "--batch", "4", code=1)
    assert "fits with: batch 1" in text
    text = fobench("fit", "--network", "resnet8", "--ram", "200K", "-l", "bp", "--format", "float32", code=1)
    assert "fits with: int8" in text


def test_fit_without_any_ram_says_what_to_give() -> None:
    with pytest.raises(FobenchError, match="no RAM to fit into: the profile of Jetson-Nano has no RAM; give --ram"):
        fobench("fit", "--network", "resnet8", "--device", "Jetson-Nano")
    with pytest.raises(FobenchError, match="no --device; give --ram"):
        fobench("fit", "--network", "resnet8")
    with pytest.raises(FobenchError, match="did you mean 'bp'"):
        fobench("fit", "--network", "resnet8", "--ram", "1M", "-l", "bq")
    with pytest.raises(FobenchError, match="does not fit a map"):
        fobench("fit", "--network", "resnet8", "--ram", "1M", "--input", "3x4x4")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("320K", 327_680), ("320KiB", 327_680), ("320KB", 320_000), ("1M", 1_048_576), ("2.5k", 2560), ("77", 77)],
)
def test_sizes_of_memory(text: str, expected: int) -> None:
    assert memory(text, "--ram") == expected


@pytest.mark.parametrize("text", ["", "K", "-3K", "3X", "0", "nan", "1e400", "3 apples"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(FobenchError, match="--ram is"):
        memory(text, "--ram")
