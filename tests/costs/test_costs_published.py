"""The published accounting against the published totals: all 317 with the six slips, all 317 corrected without."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import Task
from fobench.costs import published
from fobench.costs.published import RULES, PublishedError, account, sheet, slips_of
from fobench.costs.slips import SLIPS
from fobench.networks import conv, dense, flatten, named_tasks, pool

DATA = Path(__file__).parent / "data"
NETWORKS = {
    "DS-CNN/SC": "ds-cnn",
    "MobileNet/VWW": "mobilenet-v1-0.25",
    "ResNet/Cifar10": "resnet8",
    "AE/ToyADMOS": "autoencoder",
}
CNNS = ("DS-CNN/SC", "MobileNet/VWW", "ResNet/Cifar10")
CHIPS = {"STM32H735G-DK": (3.0, 550e6), "NUCLEO-G474RE": (4.5, 170e6)}
"""Cycles per MAC and clock, section 1.6 of the reference."""

TOTALS = [row for row in csv.DictReader((DATA / "tiny_totals_corrected.csv").open()) if row["model"] != "model"]


def sheet_of(model: str, slips: bool) -> published.Sheet:
    name = NETWORKS[model]
    task = named_tasks()[name]
    return sheet(name, task, slips_of(name, task) if slips else ())


def column(found: published.Sheet, metric: str) -> float:
    operators = found.operators
    sums = {
        "weights": sum(item.weights for item in operators),
        "biases": sum(item.biases for item in operators),
        "parameters": sum(item.weights + item.biases for item in operators),
        "weight_memory": sum(item.weights + item.biases for item in operators) / 1000,
        "forward_macs_without_softmax": sum(item.macs.get("forward", 0) for item in found.network),
        "forward_macs_with_softmax": sum(item.macs.get("forward", 0) for item in operators),
        "backward_macs": sum(item.macs.get("backward", 0) for item in operators),
        "weight_update_macs": sum(item.macs.get("update", 0) for item in operators),
        "goodness_macs": sum(item.macs.get("goodness", 0) for item in operators),
        "normalization_macs": sum(item.macs.get("normalisation", 0) for item in operators),
        "error_gradient_macs": found.outputs,
        "projection_macs": found.outputs * found.inputs,
    }
    return sums[metric]


def total(model: str, rule: str, phase: str, metric: str, slips: bool) -> float:
    found = account(sheet_of(model, slips), rule.lower())
    training = phase == "training"
    macs = found.training_macs if training else found.inference_macs
    values = {
        "MACs": macs,
        "MACs_summary": macs / 1e6,
        "activation_memory": found.training_activations if training else found.inference_activations,
        "activation_memory_summary": found.training_activations / 1000,
        "total_RAM": (found.training_ram if training else found.inference_ram) / 1000,
    }
    if metric in values:
        return values[metric]
    kind, _, chip = metric.rpartition("_")
    seconds = published.latency(macs, *CHIPS[chip])
    if kind == "latency_per_sample":
        return seconds * 1000
    assert kind == "whole_training_time"
    return published.hours(seconds, *published.BUDGETS[NETWORKS[model]])


def change(models: tuple[str, ...], row: dict[str, str], slips: bool) -> float:
    metric = row["metric"].removesuffix("_change_vs_BP")
    pair = [
        (total(model, row["algorithm"], row["phase"], metric, slips), total(model, "BP", row["phase"], metric, slips))
        for model in models
    ]
    return mean(value / base - 1 for value, base in pair)


def computed(row: dict[str, str], slips: bool) -> float:
    model = row["model"]
    if row["metric"].endswith("_change_vs_BP"):
        return change(CNNS if model.startswith("mean") else (model,), row, slips)
    if row["algorithm"] == "all":
        return column(sheet_of(model, slips), row["metric"])
    return total(model, row["algorithm"], row["phase"], row["metric"], slips)


def test_the_table_is_whole() -> None:
    assert len(TOTALS) == 317


@pytest.mark.parametrize(("slips", "figures"), [(False, "corrected_value"), (True, "sheet_value")])
def test_every_total(slips: bool, figures: str) -> None:
    for row in TOTALS:
        expected, found = float(row[figures]), computed(row, slips)
        if row["unit"] in ("MAC", "byte", "count"):
            assert found == int(row[figures]), row
        else:
            assert found == pytest.approx(expected, rel=1e-12, abs=1e-12), row


def test_the_slips_move_what_the_table_says_and_nothing_else() -> None:
    differing = [row for row in TOTALS if abs(float(row["sheet_value"]) - float(row["corrected_value"])) > 1e-9]
    moved = [row for row in differing if computed(row, True) != computed(row, False)]
    assert moved == differing


KINDS = {
    "depth": "depthwise",
    "conv2d": "conv",
    "eltwise": "add",
    "fc": "dense",
    **dict.fromkeys(("non-linearity", "non_linearity", "nonlin"), "softmax"),
}
"""The sheet's own words."""


@pytest.mark.parametrize("model", NETWORKS)
def test_every_layer(model: str) -> None:
    """Kind, buffer, parameters and products of each column of the sheet, slips on; its order of shortcuts is its own."""
    columns = ("weights", "biases", "macc_forward", "macc_backward", "macc_weight_update", "macc_goodness")
    rows = [row for row in csv.DictReader((DATA / "tiny_layers.csv").open()) if row["model"] == model]
    expected = sorted(
        (KINDS.get(row["layer_type"].lower(), row["layer_type"].lower()), *(int(row[name] or 0) for name in columns))
        for row in rows
        if row["layer_type"].lower() != "input"
    )
    found = [
        (
            item.kind,
            item.weights,
            item.biases,
            *(item.macs.get(name, 0) for name in ("forward", "backward", "update", "goodness")),
        )
        for item in sheet_of(model, slips=True).operators
    ]
    assert sorted(found) == expected
    buffers = sorted(
        int(row["activation_bytes"]) for row in rows if row["stage"] == "network" and "nput" not in row["layer_type"]
    )
    assert sorted(item.output for item in sheet_of(model, slips=True).network) == buffers


@pytest.mark.parametrize("name", SLIPS)
def test_each_slip_by_itself_moves_its_own_network(name: str) -> None:
    network = SLIPS[name].network
    task = named_tasks()[network]
    plain, slipped = sheet(network, task), sheet(network, task, [name])
    assert [account(plain, rule) for rule in RULES] != [account(slipped, rule) for rule in RULES]


def test_the_effects_of_single_slips() -> None:
    """Section 4.1: what each slip adds, by itself."""

    def moved(name: str, rule: str, attribute: str) -> int:
        network = SLIPS[name].network
        task = named_tasks()[network]
        before, after = (account(sheet(network, task, slips), rule) for slips in ((), (name,)))
        return getattr(after, attribute) - getattr(before, attribute)

    assert moved("mobilenet-depthwise-size", "bp", "training_macs") == 3 * 126_720
    assert moved("mobilenet-depthwise-size", "ff", "training_macs") == 4 * 126_720 + 4 * 14_080
    assert moved("mobilenet-dense-goodness", "ff", "inference_macs") == 2 * 2 * 510
    assert moved("mobilenet-input", "pepita", "training_ram") == 1
    assert moved("resnet-input", "ff", "inference_ram") == 1
    assert moved("ds-cnn-dense-output", "bp", "training_activations") == -12
    assert moved("resnet-third-add", "pepita", "training_activations") == -4096


def test_slips_and_rules_that_are_not_there() -> None:
    task = named_tasks()["resnet8"]
    with pytest.raises(PublishedError, match=r"no slip is called 'typo'; expected one of: mobilenet-depthwise-size"):
        sheet("resnet8", task, ["typo"])
    with pytest.raises(PublishedError, match=r"'mobilenet-input' is one of mobilenet-v1-0\.25's"):
        sheet("resnet8", task, ["mobilenet-input"])
    with pytest.raises(PublishedError, match="no published accounting of 'drtp'"):
        account(sheet("resnet8", task), "drtp")


# --- other networks, against the formulas of section 1 written out ------------------------------------------------------


def test_a_dense_net_by_hand() -> None:
    """4-5-3 on a task of 2 classes; every figure from the table of section 1.3."""
    found = {rule: account(sheet([5, 3], Task("classification", (4,), 2)), rule) for rule in RULES}
    forward, stage, backward, units = 20 + 15 + 6, 19 * 2, 15 + 6, 5 + 3 + 2
    assert found["bp"].training_macs == forward + stage + backward + forward + 2
    assert found["ff"].training_macs == 2 * (forward + forward + units + units)
    assert found["pepita"].training_macs == 2 * (forward + stage) + forward + 2 + 8
    assert found["mempepita"].training_macs == 3 * (forward + stage) + forward + 2 + 8
    assert found["ff"].inference_macs == 2 * (forward + 2 * units)
    parameters = 20 + 15 + 6 + 5 + 3 + 2
    assert found["bp"].training_ram == parameters + 4 + 5 + 3 + 2 + 4 * 2
    assert found["ff"].training_ram == parameters + 9 + 4
    assert found["mempepita"].training_activations == 9 + 5
    assert found["pepita"].inference_ram == 9


def test_a_padded_strided_net_by_hand() -> None:
    """Conv 3x3 (no padding column: first), then 5x5 stride 2 'same' on 8x8x4: a copy of 12x12x4."""
    network = [conv(4, padding="same"), conv(6, kernel=5, stride=2, padding="same"), pool(4, mode="mean"), flatten()]
    found = sheet(network, Task("classification", (1, 8, 8), 3))
    kinds = [operator.kind for operator in found.operators]
    assert kinds == ["conv", "padding", "conv", "pool", "dense", "converter", "softmax", "converter"]
    assert found.operators[1].output == 12 * 12 * 4
    assert found.peak == 12 * 12 * 4 + 6 * 4 * 4
    macs = [dict(operator.macs) for operator in found.operators]
    assert macs[0] == {
        "forward": 9 * 64 * 4,
        "backward": 0,
        "update": 9 * 64 * 4,
        "goodness": 256,
        "normalisation": 256,
    }
    assert macs[2]["backward"] == macs[2]["forward"] == 25 * 4 * 6 * 16
    assert macs[3] == {"forward": 96, "backward": 96}
    assert account(found, "mempepita").training_activations == 576 + 96 + 256


@pytest.mark.parametrize("rule", RULES)
def test_formats_scale_all_but_the_float_softmax(rule: str) -> None:
    task = named_tasks()["resnet8"]
    one, two = (account(sheet("resnet8", task), rule, size) for size in (1, 2))
    softmax = 4 * 10 if rule in ("bp", "pepita") else 0
    assert two.training_ram == 2 * one.training_ram - softmax
    assert two.inference_ram == 2 * one.inference_ram
    assert two.training_macs == one.training_macs


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=5), st.integers(1, 30), st.integers(2, 12), st.integers(1, 30))
def test_more_layers_never_cost_less(widths: list[int], inputs: int, classes: int, more: int) -> None:
    task = Task("classification", (inputs,), classes)
    for rule in RULES:
        small = account(sheet(widths, task), rule)
        large = account(sheet([*widths, dense(more + 40)], task), rule)
        assert large.training_macs > small.training_macs
        assert large.training_ram > small.training_ram
        assert large.inference_ram >= small.inference_ram
        assert small.training_macs >= small.inference_macs or rule == "ff"
