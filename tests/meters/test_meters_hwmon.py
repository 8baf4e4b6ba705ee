import os
import time

import pytest

from fobench.contracts import MeterError, Provenance, total_channels
from fobench.meters.hwmon import Hwmon, find_rails, name_channels
from fobench.testing import HwmonTree


@pytest.fixture
def tree(tmp_path):
    return HwmonTree(tmp_path)


@pytest.fixture
def opened(tree):
    meters = []

    def open_(**arguments):
        meter = Hwmon(root=str(tree.root), **{"sample_period_s": 0.01, **arguments})
        meters.append(meter)
        assert meter.unavailable() is None
        return meter

    yield open_
    for meter in meters:
        meter.close()


def orin_nano(tree, folder="hwmon1"):
    """Three rails, the first of which feeds the others; the shunts and the sum as the driver shows them."""
    rails = {
        "in1_label": "VDD_IN",
        "in2_label": "VDD_CPU_GPU_CV",
        "in3_label": "VDD_SOC",
        "in7_label": "sum of shunt voltages",
    }
    power = {
        "in1_input": 5000,
        "curr1_input": 1000,
        "in2_input": 5000,
        "curr2_input": 400,
        "in3_input": 5000,
        "curr3_input": 200,
    }
    shunts = {"in4_input": 10, "in5_input": 4, "in6_input": 2, "in7_input": 16, "curr4_input": 1600}
    return tree.add(folder, "ina3221", **rails, **power, **shunts, samples=64, update_interval=35)


def seconds_and_joules(meter, seconds):
    """Return the shortest and the longest span of the window beside the readings by channel."""
    outer = time.perf_counter()
    meter.start()
    inner = time.perf_counter()
    time.sleep(seconds)
    shortest = time.perf_counter() - inner
    readings = {reading.channel: reading for reading in meter.stop()}
    return shortest, time.perf_counter() - outer, readings


# --- rails, their power and their total -------------------------------------------------------------------------------------


def test_ina3221_rails_are_voltage_times_current_and_the_sum_is_no_rail(tree):
    orin_nano(tree)
    rails = {rail.label: rail.watts for rail in find_rails(tree.root)}
    assert rails == {"VDD_IN": 5.0, "VDD_CPU_GPU_CV": 2.0, "VDD_SOC": 1.0}


def test_ina238_gives_microwatts_and_has_one_label(tree):
    tree.add("hwmon2", "ina238", label="VIN", power1_input=12_500_000, in0_input=3, in1_input=19_000, curr1_input=700)
    (rail,) = find_rails(tree.root)
    assert (rail.label, rail.watts) == ("VIN", 12.5)


def test_the_input_rail_is_the_total_where_there_is_one(tree, opened):
    orin_nano(tree)
    meter = opened()
    assert meter.channels == ("input/VDD_IN", "rail/VDD_CPU_GPU_CV", "rail/VDD_SOC")
    assert total_channels(meter.channels) == {"input/VDD_IN"}
    assert meter.notes[0] == "total: input/VDD_IN"


def test_rails_beside_each_other_are_added_up_where_none_feeds_them(tree, opened):
    tree.add(
        "hwmon0",
        "ina3221",
        in1_label="GPU",
        in1_input=19000,
        curr1_input=10,
        in2_label="CPU",
        in2_input=19000,
        curr2_input=20,
    )
    tree.add("hwmon1", "ina3221", in3_label="SYS5V", in3_input=5000, curr3_input=100)
    assert total_channels(opened().channels) == {"rail/GPU", "rail/CPU", "rail/SYS5V"}


def test_the_user_may_say_which_rail_feeds_the_others(tree, opened):
    tree.add(
        "hwmon0",
        "ina226",
        in1_label="BAT",
        in1_input=3700,
        curr1_input=10,
        in2_label="MCU",
        in2_input=1800,
        curr2_input=5,
    )
    assert opened(inputs=["BAT"]).channels == ("input/BAT", "rail/MCU")


def test_equal_labels_and_missing_ones_are_told_apart(tree):
    tree.add("hwmon0", "ina219", power1_input=1).add("hwmon1", "ina219", power1_input=2)
    tree.add("hwmon2", "ina226", power1_input=3)
    names = name_channels(find_rails(tree.root), ())
    assert list(names) == ["rail/ina219-1[hwmon0-1]", "rail/ina219-1[hwmon1-1]", "rail/ina226-1"]


def test_rails_that_are_switched_off_or_have_half_a_pair_are_none(tree):
    tree.add("hwmon0", "ina3221", in1_enable=0, in1_input=1, curr1_input=1, in2_input=5000)
    tree.add("hwmon1", "nct6775", in0_input=900, temp1_input=40000)
    assert find_rails(tree.root) == []


@pytest.mark.parametrize("folder", ["1-0040/hwmon/hwmon3", "hwmon3/device"])
def test_older_kernels_nest_one_level_deeper(tree, folder):
    orin_nano(tree, folder)
    assert [rail.label for rail in find_rails(tree.root)] == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]


def test_a_sensor_that_two_links_lead_to_is_read_once(tree):
    orin_nano(tree, "i2c/hwmon/hwmon3")
    (tree.root / "hwmon3").symlink_to(tree.root / "i2c" / "hwmon" / "hwmon3")
    (tree.root / "hwmon3" / "device").symlink_to(tree.root / "i2c")
    assert len(find_rails(tree.root)) == 3


# --- energy ------------------------------------------------------------------------------------------------------------------


def test_energy_is_power_times_time_and_an_estimate(tree, opened):
    orin_nano(tree)
    shortest, longest, readings = seconds_and_joules(opened(), 0.1)
    assert set(readings) == {"input/VDD_IN", "rail/VDD_CPU_GPU_CV", "rail/VDD_SOC"}
    assert 5.0 * shortest * 0.999 <= readings["input/VDD_IN"].value <= 5.0 * longest
    assert readings["rail/VDD_CPU_GPU_CV"].value == pytest.approx(0.4 * readings["input/VDD_IN"].value, rel=0.2)
    assert {reading.provenance for reading in readings.values()} == {Provenance.ESTIMATED}


def test_sampling_happens_in_another_process_that_ends_with_the_meter(tree, opened):
    orin_nano(tree)
    meter = opened()
    process = meter._sampler._process
    assert process.pid != os.getpid()
    assert process.poll() is None
    meter.close()
    assert process.poll() == 0


def test_the_sensors_own_averaging_is_noted_and_lengthens_the_period(tree, opened):
    orin_nano(tree)
    tree.add("hwmon2", "ina238", power1_input=1)
    meter = opened()
    assert "hwmon1 (ina3221): samples 64, update_interval 35 ms" in meter.notes
    assert "hwmon2 (ina238): samples not told, update_interval not told" in meter.notes
    assert meter.update_period_s == 0.035
    assert opened(sample_period_s=0.2).update_period_s == 0.2


# --- what is absent, and why ---------------------------------------------------------------------------------------------------


def test_an_unplugged_sensor_is_left_out_and_none_left_is_an_error(tree, opened):
    tree.add("hwmon0", "ina226", power1_input=1_000_000).add("hwmon1", "ina238", power1_input=2_000_000)
    meter = opened()
    meter.start()
    tree.remove("hwmon0")
    assert [reading.channel for reading in meter.stop()] == ["rail/ina238-1"]
    meter.start()
    tree.remove("hwmon1")
    with pytest.raises(MeterError, match=r"rail/ina226-1, rail/ina238-1 could not be read"):
        meter.stop()


def test_a_rail_that_is_denied_is_named_and_all_denied_is_present_but_unreadable(tree, opened):
    tree.add("hwmon0", "ina226", power1_input=1).add("hwmon1", "ina238", power1_input=2)
    tree.deny("hwmon0", "power1_input")
    meter = opened()
    assert meter.channels == ("rail/ina238-1",)
    assert meter.notes[-1] == "rail/ina226-1: unreadable (Is a directory)"
    tree.deny("hwmon1", "power1_input")
    reason = Hwmon(root=str(tree.root)).unavailable()
    assert "present but unreadable" in reason
    assert "chmod" in reason


@pytest.mark.parametrize("exists", [True, False])
def test_no_rail_is_one_sentence_with_a_remedy(tmp_path, exists):
    root = HwmonTree(tmp_path).root if exists else tmp_path / "nothing"
    reason = Hwmon(root=str(root)).unavailable()
    assert str(root) in reason
    assert "modprobe" in reason
    assert "\n" not in reason


def test_garbage_is_unreadable(tree):
    tree.add("hwmon0", "ina226", power1_input="garbage")
    assert "invalid literal" in Hwmon(root=str(tree.root)).unavailable()


def test_a_dead_sampling_process_is_a_meter_error(tree, opened):
    orin_nano(tree)
    meter = opened()
    meter._sampler._process.kill()
    meter._sampler._process.wait()
    with pytest.raises(MeterError, match="has ended"):
        meter.start()


def test_start_before_the_probe_is_refused(tree):
    with pytest.raises(MeterError, match="probe"):
        Hwmon(root=str(tree.root)).start()


def test_raw_power_is_told_for_calibration(tree, opened):
    orin_nano(tree)
    assert {(r.quantity, r.channel, r.value) for r in opened().sense()} >= {("power", "input/VDD_IN", 5.0)}
