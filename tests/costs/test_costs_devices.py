"""Device profiles: derived values against the submitted results, what is refused, and what a projection says."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlperf_tiny import NETWORKS, SYSTEMS, cycles_per_mac, energy_per_mac, macs

from fobench.contracts import FobenchError, Provenance, Task
from fobench.costs import devices
from fobench.costs.devices import Device, DeviceError, Value, device
from fobench.costs.projection import Estimate, battery_days, kinds_of, project, whole_training
from fobench.networks import conv, depthwise, named_tasks

DATA = Path(__file__).parent / "data"


def as_numbers(value: Value) -> dict[str, float]:
    named = {"value": value.value, "low": value.low, "high": value.high}
    return {name: number for name, number in named.items() if number is not None}


@pytest.mark.parametrize("chip", SYSTEMS)
def test_derived_values_do_not_drift(chip: str) -> None:
    profile = device(chip)
    assert profile.clock is not None
    for kind in NETWORKS:
        expected = cycles_per_mac(chip, kind, profile.clock.value)
        assert as_numbers(profile.cycles_per_mac[kind]) == pytest.approx(expected, rel=6e-4)
        energy = energy_per_mac(chip, kind)
        assert (kind in profile.energy_per_mac) == bool(energy)
        if energy:
            assert as_numbers(profile.energy_per_mac[kind]) == pytest.approx(energy, rel=6e-4)


def test_the_macs_are_those_of_the_reference_files() -> None:
    with (DATA / "mlperf_tiny_reference_layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    named = {"kws": "DS-CNN", "vww": "MobileNet", "ic": "ResNet", "ad": "AE"}
    for kind, prefix in named.items():
        own = [int(row["macs"] or 0) for row in rows if row["model"].startswith(prefix) and "conv" in row["op"]]
        own += [int(row["macs"] or 0) for row in rows if row["model"].startswith(prefix) and "fully" in row["op"]]
        assert macs(kind) == sum(own)


def test_figures_of_the_reference_lie_in_the_spread() -> None:
    """Section 6.4: v0.5 TFLite Micro and v1.2 ST on the M4, v1.3 ST on the U385."""
    l4r5, u385 = device("STM32L4R5"), device("STM32U385")
    assert (l4r5.cycles_per_mac["kws"].low, l4r5.cycles_per_mac["kws"].high) == pytest.approx((2.0, 8.2), abs=0.05)
    assert l4r5.energy_per_mac["vww"].high == pytest.approx(3246, abs=1)
    assert [round(u385.energy_per_mac[kind].value) for kind in NETWORKS] == [92, 69, 77, 120]


def test_chips_without_energy_have_none() -> None:
    for chip in ("STM32H735", "STM32G474", "nRF5340", "AndesCore-D25F", "Jetson-Nano"):
        assert not device(chip).energy_per_mac, chip
    assert {name: value.value for name, value in device("jetson-nano").power.items()} == {"10W": 10, "5W": 5}
    assert device("Jetson-Nano").absent == ("clock", "ram", "flash", "cycles_per_mac", "energy_per_mac")


def test_every_value_of_every_profile_has_a_source() -> None:
    assert len(devices.built_in()) == 10
    for name in devices.built_in():
        profile = device(name)
        assert profile.name == name
        values = [profile.clock, profile.ram, profile.flash]
        values += [*profile.cycles_per_mac.values(), *profile.energy_per_mac.values(), *profile.power.values()]
        assert all(len(value.source) > 10 for value in values if value is not None)


# --- profiles of users ------------------------------------------------------------------------------------------------------

VALID = "name: mine\nclock: {value: 8000000, source: datasheet p. 1}\n"


def refused(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(DeviceError) as caught:
        device(str(file))
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("nothing was computed:")
    return [line.removeprefix(f"{file}:") for line in lines]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: mine\nram: {value: 10}\n", "2:6: ram has no source; say where"),
        ("name: mine\nram: {value: 10, source: ''}\n", "2:26: ram has no source"),
        ("name: mine\nram: 10\n", "2:6: ram is 10; expected a mapping with value and source"),
        ("name: mine\nram: {value: -1, source: a}\n", "2:14: value is -1; expected a number above 0"),
        ("name: mine\nram: {value: true, source: a}\n", "2:14: value is true"),
        ("name: mine\nram: {source: a}\n", "2:6: ram has no value"),
        ("name: mine\nrom: {value: 1, source: a}\n", "2:1: a device has no 'rom'; did you mean 'ram'?"),
        ("name: mine\nram: {value: 1, source: a, unit: B}\n", "2:28: a value has no 'unit'"),
        ("name: mine\nram: {value: 2, low: 3, high: 4, source: a}\n", "2:6: ram: expected low <= value <= high"),
        ("name: mine\nram: {value: 2, low: 1, source: a}\n", "2:6: ram: expected low <= value <= high, both"),
        ("name: mine\ncycles_per_mac: {kwss: {value: 2, source: a}}\n", "2:18: 'kwss' is no kind of network; did you"),
        ("name: mine\ncycles_per_mac: 3\n", "2:17: cycles_per_mac is 3; expected a mapping of values"),
        ("clock: {value: 8, source: a}\n", "1:1: a device needs a name"),
        ("name: [\n", "2:1: YAML syntax"),
        ("name: mine\nname: mine\n", "2:1: duplicate key 'name'"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    lines = refused(tmp_path, text)
    assert any(line.startswith(expected) for line in lines), lines


def test_profiles_by_path_and_by_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(VALID)
    assert device(str(tmp_path / "mine.yaml")) == device("MINE", (tmp_path,))
    with pytest.raises(FobenchError, match="did you mean 'STM32L4R5'"):
        device("STM32L4R")
    with pytest.raises(DeviceError, match="cannot be read"):
        device(str(tmp_path / "none.yaml"))


# --- projection ----------------------------------------------------------------------------------------------------------

CHIP = Device(
    "chip",
    clock=Value(100e6, "here"),
    cycles_per_mac={"ic": Value(2, "here", 1, 4), "kws": Value(3, "here"), "vww": Value(5, "here", 4, 9)},
    energy_per_mac={"ic": Value(500, "here", 100, 1000)},
)


def test_a_projection_by_hand() -> None:
    found = project(CHIP, 1e6, ("ic",))
    assert found.latency == Estimate(0.02, "s", 0.01, 0.04)
    assert found.energy == Estimate(pytest.approx(5e-4), "J", pytest.approx(1e-4), pytest.approx(1e-3))
    hours, energy = whole_training(found, epochs=36, samples=100)
    assert hours == Estimate(pytest.approx(0.02), "h", pytest.approx(0.01), pytest.approx(0.04))
    assert energy == Estimate(pytest.approx(5e-4), "Wh", pytest.approx(1e-4), pytest.approx(1e-3))
    days = battery_days(found.energy, samples_per_day=1e6, battery_wh=1)
    assert (days.low, days.value, days.high) == pytest.approx((3.6, 7.2, 36))
    assert {found.latency.provenance, found.energy.provenance, days.provenance} == {Provenance.ESTIMATED}


def test_absent_stays_absent_and_says_so() -> None:
    found = project(CHIP, 1e6, ("kws",))
    assert found.latency == Estimate(0.03, "s")
    assert found.energy is None
    assert found.reasons == ("no energy: the profile of chip has no energy per MAC",)
    nothing = project(device("Jetson-Nano"), 1e6, ("ad",))
    assert (nothing.latency, nothing.energy) == (None, None)
    assert nothing.reasons[0] == "no latency: the profile of Jetson-Nano has no cycles per MAC for ad"
    assert whole_training(nothing, 1, 1) == (None, None)


def test_several_kinds_take_the_widest_spread() -> None:
    assert project(CHIP, 100e6, ("kws", "vww")).latency == Estimate(4, "s", 3, 9)


def test_kinds_of_networks() -> None:
    own = {"ds-cnn": ("kws",), "mobilenet-v1-0.25": ("vww",), "resnet8": ("ic",), "autoencoder": ("ad",)}
    assert {name: kinds_of(name, task) for name, task in named_tasks().items()} == own
    task = Task("classification", (3, 8, 8), 4)
    assert kinds_of([conv(3), depthwise(3)], task) == ("kws", "vww")
    assert kinds_of([conv(3)], task) == ("ic",)
    assert kinds_of([30, 30], task) == ("ad",)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(SYSTEMS)), st.sampled_from(sorted(NETWORKS)), st.floats(1, 1e12), st.floats(1, 100))
def test_a_spread_holds_its_value_and_more_macs_cost_more(chip: str, kind: str, count: float, factor: float) -> None:
    profile = device(chip)
    small, large = project(profile, count, (kind,)), project(profile, count * factor, (kind,))
    for one, other in ((small.latency, large.latency), (small.energy, large.energy)):
        if one is not None and other is not None:
            assert other.value >= one.value
            assert one.low is None or one.low <= one.value <= (one.high or 0)
