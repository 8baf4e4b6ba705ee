"""Any valid suite survives the way through YAML; whatever else a file holds, SuiteError is all that comes out."""

from __future__ import annotations

import copy
import json
import random
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fobench.contracts import Cell, Recipe, Suite
from fobench.networks import expand
from fobench.suite import SuiteError, load_suite

MODEST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

VALID = """\
# a comment
suite: wearables
description: "text: with [signs]"
blocks: 2
seed: 0
recipe: &recipe {epochs: 1, batch_size: 100, device: cpu, dtype: float32, threads: 1, train_samples: 20, score_samples: null}
plan: {meters: [clock, {target: rapl, root: x}], tracers: [macs], window_s: 1, idle_s: 5.5, cooldown_s: 0, timeout_s: 3600}
datasets:
  - digits
  - {target: mnist, label: other}
learners:
  - target: bp
    label: BP
    network: [20, 20]
    recipe:
      <<: *recipe
      epochs: 2
    per_dataset:
      other: {network: [{kind: conv, channels: 3}, {kind: flatten}], recipe: {epochs: 3}}
  - target: drtp
    network: pepita-conv
"""

labels = st.text(string.ascii_letters + string.digits + "-_ .µ:#'\"", min_size=1, max_size=12)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | labels,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(labels, inner, max_size=3),
    max_leaves=6,
)
counts = st.integers(1, 10_000)
networks = st.lists(counts, max_size=4) | st.just("pepita-conv")
recipes = st.fixed_dictionaries(
    {},
    optional={
        "epochs": counts,
        "batch_size": counts,
        "device": st.sampled_from(["cpu", "cuda", "cuda:1"]),
        "dtype": st.sampled_from(["float32", "float64"]),
        "threads": counts,
        "train_samples": counts | st.none(),
        "score_samples": counts | st.none(),
    },
)


@st.composite
def suites(draw: st.DrawFn) -> dict[str, Any]:
    dataset_labels = draw(st.lists(labels, min_size=1, max_size=3, unique=True))
    learner_labels = draw(st.lists(labels, min_size=1, max_size=3, unique=True))
    return {
        "suite": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,10}", fullmatch=True)),
        "description": draw(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]))),
        "blocks": draw(st.integers(1, 4)),
        "seed": draw(st.integers(0, 2**31 - 1)),
        "recipe": draw(recipes),
        "plan": {"window_s": draw(st.floats(0.001, 1e6)), "idle_s": draw(st.integers(0, 9))},
        "datasets": [{"target": "digits", "label": label} for label in dataset_labels],
        "learners": [
            {
                "target": "outside:Rule",
                "label": label,
                "network": draw(networks),
                "extra": draw(json_values),
                "recipe": draw(recipes),
                "per_dataset": {
                    draw(st.sampled_from(dataset_labels)): {"recipe": draw(recipes), "extra": draw(json_values)}
                },
            }
            for label in learner_labels
        ],
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose module `outside` has a class that says nothing about its arguments."""
    (tmp_path / "outside.py").write_text("class Rule:\n    def __init__(self, **arguments): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    from fobench import plugins

    plugins.file_of.cache_clear()
    return tmp_path


def loaded(folder: Path, text: str) -> Suite | SuiteError:
    """Load a file; any other exception than SuiteError fails the test, and so does an error without a place."""
    file = folder / "suite.yaml"
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    try:
        return load_suite(file)
    except SuiteError as error:
        assert error.problems
        lines = (
            text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 1
        )
        assert all(1 <= problem.line <= lines and problem.column >= 1 and problem.text for problem in error.problems)
        return error


@MODEST
@given(content=suites())
def test_a_suite_survives_yaml(folder: Path, content: dict[str, Any]) -> None:
    suite = loaded(folder, json.dumps(content, ensure_ascii=False))  # JSON is YAML, and ruamel's writer has bugs
    assert isinstance(suite, Suite), suite
    assert suite.name == content["suite"]
    assert suite.description == content["description"]
    cells = {(cell.label, cell.dataset.name, cell.seed): cell for cell in suite.cells}
    assert len(cells) == len(suite.cells)
    for seed in range(content["seed"], content["seed"] + content["blocks"]):
        for dataset in content["datasets"]:
            for learner in content["learners"]:
                cell = cells.pop((learner["label"], dataset["label"], seed))
                override = learner["per_dataset"].get(dataset["label"], {})
                assert cell.recipe == Recipe(**content["recipe"] | learner["recipe"] | override.get("recipe", {}))
                assert cell.learner.arguments["extra"] == override.get("extra", learner["extra"])
                assert cell.learner.arguments["network"] == expand(learner["network"])
                assert Cell.from_json(cell.as_json()) == cell
    assert not cells


def test_the_file_to_be_broken_is_valid(folder: Path) -> None:
    suite = loaded(folder, VALID)
    assert isinstance(suite, Suite), suite


@settings(MODEST, max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_mutated_text(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    text = VALID
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text = text[:at] + chance.choice("\t\n[]{}:,-#&*!|>'\"%@`<?~ \\0aé\u2028\x85") + text[at:]
            case 1:
                text = text[:at] + text[at + chance.randint(1, 20) :]
            case 2:
                other = chance.randrange(len(text) + 1)
                text = text[:at] + text[other : other + chance.randint(1, 40)] + text[at:]
            case _:
                text = text[:at] + chr(chance.randrange(1, 0x3000)) + text[at + 1 :]
    loaded(folder, text)


@settings(MODEST, max_examples=150)
@given(text=st.text(st.sampled_from("suite: bp\n\t-[]{},&*!|>'\"%<?~#1.e\\x0"), max_size=60))
def test_random_text(folder: Path, text: str) -> None:
    assert isinstance(loaded(folder, text), SuiteError)


@settings(MODEST, max_examples=40)
@given(data=st.binary(max_size=80))
def test_random_bytes(folder: Path, data: bytes) -> None:
    file = folder / "suite.yaml"
    file.write_bytes(data)
    with pytest.raises(SuiteError):
        load_suite(file)


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(deeper for key, item in items for deeper in places(item, (*place, key)))]


@settings(MODEST, max_examples=150)
@given(data=st.data())
def test_random_values_at_random_places(folder: Path, data: st.DataObject) -> None:
    content = YAML(typ="safe", pure=True).load(VALID)
    content = copy.deepcopy(content)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(content)[1:]))
        parent = content
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = data.draw(json_values | st.sampled_from([float("nan"), 10**400, -(10**20), "", [], {}]))
        if data.draw(st.booleans()) and isinstance(parent, dict):
            parent[data.draw(labels)] = data.draw(json_values)
    loaded(folder, json.dumps(content, ensure_ascii=False))
