"""Suite files as meaning: what is refused and where, and the cells that a valid file stands for."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path

import pytest

from fobench.contracts import Cell, Plan, Recipe, Suite
from fobench.suite import SuiteError, load_suite

FULL = """\
suite: wearables
description: a whole file
blocks: 2
seed: 7
recipe: {epochs: 1, train_samples: 200}
plan:
  meters: [clock, {target: meters.py:Lamp, label: lamp, watts: 3}]
  tracers: [macs]
  idle_s: 2
datasets:
  - digits
  - {target: digits, label: other, seed: 3}
learners:
  - target: rule.py:Rule
    label: small
    network: [8, 8]
    recipe: {epochs: 5}
    per_dataset:
      other: {network: [4], eta: 1e-4, recipe: {batch_size: 50}}
  - target: rule.py:Rule
    network: pepita-conv
    kind: tanh
"""

RULE = '''
from __future__ import annotations
import torch
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Kind = Literal["relu", "tanh"]

@dataclass
class Rule:
    """A rule."""
    network: Any
    eta: float = 0.1
    steps: int | None = None
    kind: Kind = "relu"
    optimizer: dict[str, Any] = field(default_factory=dict)
    widths: list[int] = field(default_factory=list)
    bias: "bool" = True
    memory: Any = field(init=False, default=None)
    count: ClassVar[int] = 0

class Heir(Rule):
    pass
'''
METERS = "from dataclasses import dataclass\n\n@dataclass\nclass Lamp:\n    watts: float = 1.0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rule.py").write_text(RULE)
    (tmp_path / "meters.py").write_text(METERS)
    return tmp_path


def loaded(folder: Path, text: str) -> Suite:
    file = folder / "suite.yaml"
    file.write_text(text)
    return load_suite(file)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SuiteError) as caught:
        loaded(folder, text)
    return [f"{problem.line}:{problem.column}: {problem.text}" for problem in caught.value.problems]


def test_a_whole_file(folder: Path) -> None:
    suite = loaded(folder, FULL)
    assert (suite.name, suite.description) == ("wearables", "a whole file")
    assert (suite.base, suite.source) == (str(folder), str(folder / "suite.yaml"))
    assert len(suite.cells) == 2 * 2 * 2
    assert all(cell.plan == suite.cells[0].plan for cell in suite.cells)
    plan = suite.cells[0].plan
    assert [(meter.target, meter.label, meter.arguments) for meter in plan.meters] == [
        ("clock", "clock", {}),
        ("meters.py:Lamp", "lamp", {"watts": 3}),
    ]
    assert (plan.tracers, plan.idle_s, plan.window_s) == (("macs",), 2.0, Plan().window_s)


def test_arguments_and_recipe_of_one_cell(folder: Path) -> None:
    cells = {(cell.label, cell.dataset.name, cell.seed): cell for cell in loaded(folder, FULL).cells}
    plain, override = cells["small", "digits", 7], cells["small", "other", 8]
    assert plain.learner.arguments == {"network": [{"kind": "dense", "units": 8}] * 2}
    assert override.learner.arguments == {"network": [{"kind": "dense", "units": 4}], "eta": 1e-4}
    assert plain.recipe == Recipe(epochs=5, train_samples=200)
    assert override.recipe == Recipe(epochs=5, train_samples=200, batch_size=50)
    assert override.dataset.arguments == {"seed": 3}
    named = cells["Rule", "digits", 7]
    assert [record["kind"] for record in named.learner.arguments["network"]] == ["conv", "pool", "flatten"]
    assert named.recipe == Recipe(epochs=1, train_samples=200)


def test_blocks_hold_every_learner_once_in_an_order_of_their_own(folder: Path) -> None:
    learners = "".join(f"  - {{target: bp, label: l{number}, network: [2]}}\n" for number in range(5))
    cells = loaded(folder, f"suite: a\nblocks: 6\ndatasets: [digits]\nlearners:\n{learners}").cells
    orders = [[cell.label for cell in cells if cell.seed == seed] for seed in range(6)]
    assert [cell.seed for cell in cells] == [seed for seed in range(6) for _ in range(5)]
    for seed, order in enumerate(orders):
        expected = [f"l{number}" for number in range(5)]
        random.Random(f"a/{seed}/digits").shuffle(expected)
        assert order == expected
    assert len({tuple(order) for order in orders}) > 1


def test_defaults_are_those_of_the_contracts(folder: Path) -> None:
    (cell, *others) = loaded(folder, "suite: a\ndatasets: [digits]\nlearners: [{target: bp, network: [3]}]\n").cells
    assert [other.seed for other in (cell, *others)] == [0, 1, 2]
    assert cell.recipe == Recipe()
    assert cell.label == "bp"
    defaults = Plan()
    named = [field.name for field in fields(Plan) if field.name not in ("meters", "tracers")]
    assert [getattr(cell.plan, name) for name in named] == [getattr(defaults, name) for name in named]
    assert [meter.target for meter in cell.plan.meters] == ["clock", "codecarbon", "rapl", "nvml"]


def test_the_plan_of_a_sampled_training_and_its_guards(folder: Path) -> None:
    plan = "{training: sampled, precision: 0.05, guards: [swap], cooldown_s: 60, cooldown_band_c: 2, retries: 0}"
    text = f"suite: a\nplan: {plan}\ndatasets: [digits]\nlearners: [{{target: bp, network: [3]}}]\n"
    found = loaded(folder, text).cells[0]
    assert (found.plan.training, found.plan.precision, found.plan.guards) == ("sampled", 0.05, ("swap",))
    assert (found.plan.cooldown_s, found.plan.cooldown_band_c, found.plan.retries) == (60, 2, 0)
    assert Cell.from_json(found.as_json()) == found
    assert loaded(folder, text.replace("[swap]", "[]")).cells[0].plan.guards == ()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("training: sample", "training is 'sample'; did you mean 'sampled'?"),
        ("guards: [swapp]", "guards[0] is 'swapp'; did you mean 'swap'?"),
        ("precision: 0", "precision is 0; expected more than 0"),
        ("foreign_cpu_limit: 1.5", "foreign_cpu_limit is 1.5; expected at most 1"),
        ("cooldown_band_c: -1", "cooldown_band_c is -1; expected more than 0"),
        ("retries: 0.5", "retries is 0.5; expected a whole number"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(folder: Path, key: str, words: str) -> None:
    text = f"suite: a\nplan: {{{key}}}\ndatasets: [digits]\nlearners: [{{target: bp, network: [3]}}]\n"
    (problem,) = problems(folder, text)
    assert words in problem


def test_an_a_a_arm_is_a_learner_twice_under_two_labels_in_every_block(folder: Path) -> None:
    arms = "  - &baseline {target: bp, label: BP, network: [3]}\n  - {<<: *baseline, label: BP again}\n"
    cells = loaded(folder, f"suite: a\nblocks: 2\ndatasets: [digits]\nlearners:\n{arms}").cells
    assert len({cell.id for cell in cells}) == 4
    for seed in (0, 1):
        one, other = (cell for cell in cells if cell.seed == seed)
        assert {one.label, other.label} == {"BP", "BP again"}
        assert replace(one.learner, label="") == replace(other.learner, label="")
        assert (one.dataset, one.recipe, one.plan) == (other.dataset, other.recipe, other.plan)


def test_a_label_that_says_the_default_changes_no_id(folder: Path) -> None:
    text = "suite: a\ndatasets: [digits]\nlearners: [{target: bp, network: [3]}]\n"
    explicit = text.replace("target: bp", "target: bp, label: bp").replace("[digits]", "[{target: digits}]")
    assert [cell.id for cell in loaded(folder, text).cells] == [cell.id for cell in loaded(folder, explicit).cells]


def test_null_in_an_override_means_all_samples(folder: Path) -> None:
    text = (
        "suite: a\nrecipe: {train_samples: 5}\ndatasets: [digits]\n"
        "learners: [{target: bp, network: [3], recipe: {train_samples: null}}]\n"
    )
    assert loaded(folder, text).cells[0].recipe.train_samples is None


def test_all_problems_of_a_file_at_once(folder: Path) -> None:
    text = """\
suite: wear ables
descripton: one
blocks: 0
recipe: {epochs: 1.5, train_samples: -20000, device: gpu, dtype: float31, threads: true}
plan: {meters: [clok, {target: meters.py:Lamp, wats: 1}], window_s: 0, tracers: [mac], idle_s: -1}
datasets:
  - digit
  - 3
  - {label: z}
learners:
  - target: rule.py:Rule
    network: [20, -1]
    recipe: {epoch: 3}
    eta: fast
    kind: sigmoid
    steps: 1.5
    bias: 1
    optimizer: adam
    widths: 3
  - target: rule.py:Rule
    networks: [3]
    memory: 1
    per_dataset: {digits: {etaa: 1, recipe: {epochs: 0}}}
  - {target: rule.py:Role, network: [1]}
  - {target: nope.py:X}
  - {target: fobench.nope:Y, network: pepita-con}
"""
    expected = """\
1:8: suite is 'wear ables'; expected letters, digits and dashes
2:1: unknown key 'descripton'; did you mean 'description'?
3:9: blocks is 0; expected more than 0
4:18: epochs is 1.5; expected a whole number
4:38: train_samples is -20000; expected more than 0
4:54: device is 'gpu'; expected cpu, cuda or cuda:N
4:66: dtype is 'float31'; did you mean 'float32'?
4:84: threads is true; expected a whole number
5:17: unknown meter 'clok'; did you mean 'clock'?
5:48: meters.py:Lamp has no argument 'wats'; did you mean 'watts'?
5:69: window_s is 0; expected more than 0
5:82: unknown tracer 'mac'; did you mean 'macs'?
5:96: idle_s is -1; expected 0 or more
7:5: unknown dataset 'digit'; did you mean 'digits'?
8:5: datasets[1] is 3; expected a name, or a mapping with `target`
9:5: key 'target' is missing
12:14: layer 1: units is -1; expected a whole number of at least 1
13:14: unknown key 'epoch'; did you mean 'epochs'?
14:10: eta is 'fast'; expected float
15:11: kind is 'sigmoid'; expected Literal['relu', 'tanh']
16:12: steps is 1.5; expected int | None
17:11: bias is 1; expected bool
18:16: optimizer is 'adam'; expected dict[str, Any]
19:13: widths is 3; expected list[int]
20:5: rule.py:Rule needs the argument 'network' (Any)
20:5: two learners are called 'Rule' (the other is on line 11); give each its own label
21:5: rule.py:Rule has no argument 'networks'; did you mean 'network'?
22:5: rule.py:Rule has no argument 'memory'; expected one of: bias, eta, kind, \
label, network, only, optimizer, per_dataset, recipe, steps, target, widths
23:19: per_dataset names 'digits', which is no data set of this suite; did you mean 'digit'?
23:28: rule.py:Rule has no argument 'etaa'; did you mean 'eta'?
23:54: epochs is 0; expected more than 0
"""
    found = problems(folder, text)
    assert found[:31] == expected.splitlines()
    assert found[31].startswith("24:14: ") and "has no class 'Role'; did you mean 'Rule'?" in found[31]
    assert found[32].startswith("25:14: no file 'nope.py'")
    assert found[33].startswith("26:14: no module 'fobench.nope'")
    assert found[34] == "26:39: unknown network 'pepita-con'; did you mean 'pepita-conv'?"
    assert len(found) == 35


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("datasets:\n  - digits\n", "datasets: []\nx:\n  - digits\n"), "datasets is an empty list; expected at least one entry"),
        (("label: small", "label: Rule"), "two learners are called 'Rule'"),
        (("label: other, ", "label: digits, "), "two datasets are called 'digits'"),
        (("blocks: 2", "blocks: 2000"), "blocks is 2000; expected at most 1000"),
        (("seed: 7", "seed: -1"), "seed is -1; expected 0 or more"),
        (("label: small", "label: ''"), "label is ''; expected text"),
        (("suite: wearables\n", ""), "key 'suite' is missing"),
        (("recipe: {epochs: 5}", "recipe: 5"), "recipe is 5; expected a mapping"),
        (("tracers: [macs]", "tracers: macs"), "tracers is 'macs'; expected a list"),
        (("kind: tanh", "kind: [tanh]"), "kind is a list; expected Literal['relu', 'tanh']"),
        (("network: [4]", "network: {kind: dense}"), "a network is a name"),
        (("network: [4]", "network: [{kind: [1]}]"), "layer 0"),
        (("eta: 1e-4", "eta: true"), "eta is true; expected float"),
        (("target: digits", "target: 5"), "target is 5; expected text"),
        (("target: digits", "target: ''"), "expected text"),
        (("- digits\n", '- "a\\0.py:B"\n'), "null"),
        (("- digits\n", "- ':'\n"), "':' is no plug-in; expected a name, package.module:Class or"),
        (("- digits\n", f"- {'x' * 5000}.py:B\n"), "name too long"),
    ],
)  # fmt: skip
def test_single_problems(folder: Path, change: tuple[str, str], expected: str) -> None:
    assert change[0] in FULL
    assert any(expected.lower() in line.lower() for line in problems(folder, FULL.replace(*change)))


def test_a_required_argument_may_come_for_each_data_set_alone(folder: Path) -> None:
    text = "suite: a\ndatasets: [digits]\nlearners: [{target: rule.py:Rule, per_dataset: {digits: {network: [3]}}}]\n"
    assert loaded(folder, text).cells[0].learner.arguments["network"] == [{"kind": "dense", "units": 3}]


@pytest.mark.parametrize("machines", ["any", "same", "each"])
def test_a_suite_says_on_which_machines_a_cluster_measures_it(folder: Path, machines: str) -> None:
    suite = loaded(folder, f"machines: {machines}\n{FULL}")
    assert suite.machines == machines
    assert [cell.id for cell in suite.cells] == [cell.id for cell in loaded(folder, FULL).cells], (
        "no cell is another for it"
    )


@pytest.mark.parametrize(
    ("machines", "expected"),
    [("sme", "1:11: machines is 'sme'; did you mean 'same'?"), ("[same]", "1:11: machines is a list; expected text")],
)
def test_machines_are_one_of_three_words(folder: Path, machines: str, expected: str) -> None:
    assert problems(folder, f"machines: {machines}\n{FULL}") == [expected]


def test_classes_that_only_an_import_can_tell_are_left_to_the_preflight(folder: Path) -> None:
    text = "suite: a\ndatasets: [digits]\nlearners: [{target: rule.py:Heir, network: [3], anything: 1}]\n"
    assert loaded(folder, text).cells[0].learner.arguments["anything"] == 1


def test_a_plugin_file_that_is_not_python(folder: Path) -> None:
    (folder / "broken.py").write_text("class :\n")
    text = "suite: a\ndatasets: [digits]\nlearners:\n  - {target: broken.py:X}\n  - {target: broken.py:Y}\n"
    first, second = problems(folder, text)
    assert first.startswith("4:14: ") and second.startswith("5:14: ")
    assert "broken.py is not valid Python: " in first


def test_a_plugin_file_is_read_again_after_an_edit(folder: Path) -> None:
    text = "suite: a\ndatasets: [digits]\nlearners: [{target: rule.py:Rule, network: [3], speed: 2}]\n"
    assert "has no argument 'speed'" in problems(folder, text)[0]
    (folder / "rule.py").write_text(RULE.replace("eta: float", "speed: int = 1\n    eta: float"))
    assert loaded(folder, text).cells


def test_nothing_heavy_is_imported(folder: Path) -> None:
    import subprocess
    import sys

    (folder / "suite.yaml").write_text(FULL)
    code = (
        "import sys; from pathlib import Path; from fobench.suite import load_suite\n"
        f"load_suite(Path({str(folder / 'suite.yaml')!r}))\n"
        "print([name for name in ('torch', 'numpy', 'pandas', 'sklearn') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_thousands_of_cells(folder: Path) -> None:
    learners = "".join(f"  - {{target: bp, label: l{number}, network: [2, 2, 2]}}\n" for number in range(20))
    cells = loaded(folder, f"suite: a\nblocks: 250\ndatasets: [digits, mnist]\nlearners:\n{learners}").cells
    assert len(cells) == 10_000
    assert len({cell.id for cell in cells[:200]}) == 200


def test_a_learner_runs_only_where_it_is_asked_to(tmp_path: Path) -> None:
    text = """
suite: two
blocks: 2
datasets: [mnist, {target: digits, label: small}]
learners:
  - {target: bp, network: [4]}
  - {target: drtp, network: [4], only: [small]}
"""
    (tmp_path / "two.yaml").write_text(text)
    found = {(cell.label, cell.dataset.label) for cell in load_suite(tmp_path / "two.yaml").cells}
    assert found == {("bp", "mnist"), ("bp", "small"), ("drtp", "small")}
    (tmp_path / "two.yaml").write_text(text.replace("only: [small]", "only: [smal]"))
    with pytest.raises(SuiteError, match=r"two.yaml:7:\d+: only names 'smal'.*did you mean 'small'"):
        load_suite(tmp_path / "two.yaml")
