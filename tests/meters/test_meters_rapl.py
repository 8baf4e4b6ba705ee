import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.contracts import MeterError, Provenance, total_channels
from fobench.meters import rapl as rapl_module
from fobench.meters.mirrors import EQUAL_WINDOWS, Mirrors
from fobench.meters.msr import energy_filter
from fobench.meters.rapl import RAPL, Accumulator, Zone
from fobench.testing import PowercapTree

RANGE_UJ = 65_532_610_987


@pytest.fixture
def tree(tmp_path):
    return PowercapTree(tmp_path)


@pytest.fixture
def opened():
    """Opens meters on a tree, and closes them again."""
    meters = []

    def open_(tree, **arguments):
        meter = RAPL(root=str(tree.root), **arguments)
        meters.append(meter)
        assert meter.unavailable() is None
        return meter

    yield open_
    for meter in meters:
        meter.close()


def joules(meter):
    return {reading.channel: reading.value for reading in meter.stop()}


# --- zones and channels ---------------------------------------------------------------------------------------------------


def test_channels_are_the_paths_of_zone_names(tree, opened):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:0:0", "core").add("intel-rapl:0:1", "dram")
    tree.add("intel-rapl:1", "package-1").add("intel-rapl:1:0", "uncore").add("intel-rapl:2", "psys")
    assert opened(tree).channels == (
        "package-0",
        "package-0/core",
        "package-0/dram",
        "package-1",
        "package-1/uncore",
        "psys",
    )


def test_dies_are_channels_of_their_own(tree, opened):
    for zone, die in enumerate(("package-0-die-0", "package-0-die-1", "package-1-die-0")):
        tree.add(f"intel-rapl:{zone}", die)
    tree.add("intel-rapl:1:0", "dram")
    assert set(opened(tree).channels) == {
        "package-0-die-0",
        "package-0-die-1",
        "package-0-die-1/dram",
        "package-1-die-0",
    }


def test_readings_are_measured_joules_and_no_total(tree, opened):
    tree.add("intel-rapl:0", "package-0", 5).add("intel-rapl:0:0", "dram", 7).add("intel-rapl:1", "psys", 9)
    meter = opened(tree)
    meter.start()
    tree.advance("intel-rapl:0", 3.0)
    tree.advance("intel-rapl:0:0", 0.25)
    tree.advance("intel-rapl:1", 4.5)
    readings = meter.stop()
    assert {(r.quantity, r.channel, r.value, r.unit) for r in readings} == {
        ("energy", "package-0", 3.0, "J"),
        ("energy", "package-0/dram", 0.25, "J"),
        ("energy", "psys", 4.5, "J"),
    }
    assert {r.provenance for r in readings} == {Provenance.MEASURED}


def test_a_nested_tree_without_links_reads_the_same(tmp_path, opened):
    tree = PowercapTree(tmp_path)
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:0:0", "dram")
    nested = RAPL(root=str(tmp_path / "devices" / "virtual" / "powercap"))
    assert nested.unavailable() is None
    assert nested.channels == opened(tree).channels == ("package-0", "package-0/dram")


def test_the_mmio_copy_of_a_package_is_not_read_twice(tree, opened):
    tree.add("intel-rapl-mmio:0", "package-0").add("intel-rapl-mmio:0:0", "dram")
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:0:0", "core")
    meter = opened(tree)
    meter.start()
    tree.advance("intel-rapl:0", 2.0)
    tree.advance("intel-rapl-mmio:0", 2.125)
    tree.advance("intel-rapl:0:0", 1.0)
    tree.advance("intel-rapl-mmio:0:0", 0.5)
    assert joules(meter) == {"package-0": 2.0, "package-0/core": 1.0, "package-0/dram": 0.5}


def test_the_copy_is_read_where_the_original_is_denied(tree, opened):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl-mmio:0", "package-0")
    tree.deny("intel-rapl:0")
    meter = opened(tree)
    meter.start()
    tree.advance("intel-rapl-mmio:0", 1.5)
    assert joules(meter) == {"package-0": 1.5}


def test_parts_of_one_driver_with_the_same_name_are_both_kept(tree, opened):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:1", "package-0")
    assert opened(tree).channels == ("package-0[intel-rapl:0]", "package-0[intel-rapl:1]")


# --- the disjoint set ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "total"),
    [
        (
            {"package-0", "package-0/core", "package-0/uncore", "package-0/dram", "psys"},
            {"package-0", "package-0/dram"},
        ),
        (
            {"package-0-die-0", "package-0-die-1", "package-0-die-1/dram"},
            {"package-0-die-0", "package-0-die-1", "package-0-die-1/dram"},
        ),
        (
            {"package-0[intel-rapl:0]", "package-0[intel-rapl:1]"},
            {"package-0[intel-rapl:0]", "package-0[intel-rapl:1]"},
        ),
        ({"psys"}, {"psys"}),
    ],
)
def test_the_total_is_of_disjoint_channels(channels, total):
    assert total_channels(channels) == total


def test_the_total_is_told_in_the_notes(tree, opened):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:0:0", "core").add("intel-rapl:0:1", "dram")
    tree.add("intel-rapl:1", "psys")
    assert "total: package-0 + package-0/dram" in opened(tree).notes


# --- mirrored dies ------------------------------------------------------------------------------------------------------------


def dies(tree, count=2):
    for die in range(count):
        tree.add(f"intel-rapl:{die}", f"package-0-die-{die}", 1000 * die).add(f"intel-rapl:{die}:0", "core")
    return tree


def window(tree, meter, *used):
    meter.start()
    for die, joules_used in enumerate(used):
        tree.advance(f"intel-rapl:{die}", joules_used)
    return {channel: value for channel, value in joules(meter).items() if "/" not in channel}


def test_a_die_that_mirrors_another_is_left_out_with_its_parts_and_a_note(tree, opened):
    meter = opened(dies(tree))
    for used in (3.0, 5.0, 4.0):
        window(tree, meter, used, used)
    assert window(tree, meter, 2.0, 2.0) == {"package-0-die-0": 2.0}
    assert meter.channels == ("package-0-die-0", "package-0-die-0/core")
    assert [note for note in meter.notes if "mirror" in note] == [
        "package-0-die-1: left out, it mirrors package-0-die-0 (equal energies over several windows)"
    ]


def test_three_of_four_dies_may_mirror_one(tree, opened):
    meter = opened(dies(tree, 4))
    for used in (3.0, 5.0, 4.0):
        window(tree, meter, used, used, used, used)
    assert set(window(tree, meter, 2.0, 2.0, 2.0, 2.0)) == {"package-0-die-0"}
    assert len([note for note in meter.notes if "mirror" in note]) == 3


def test_dies_that_are_loaded_alike_but_not_equally_are_both_kept(tree, opened):
    meter = opened(dies(tree))
    for used in (3.0, 5.0, 4.0, 6.0, 2.0):
        assert len(window(tree, meter, used, used * 1.001)) == 2
    window(tree, meter, 3.0, 3.0)  # once by chance
    assert len(meter.channels) == 4


def test_equal_energies_of_a_few_quanta_tell_nothing(tree, opened):
    meter = opened(dies(tree))
    for _ in range(6):
        window(tree, meter, 0.001, 0.001)
    assert len(meter.channels) == 4


def test_mirrors_that_count_are_found_by_the_probe_itself(tree, monkeypatch):
    dies(tree)

    def sleep(seconds):
        for die in range(2):
            tree.advance(f"intel-rapl:{die}", 40.0 * seconds)

    monkeypatch.setattr(rapl_module.time, "sleep", sleep)
    meter = RAPL(root=str(tree.root))
    assert meter.unavailable() is None
    assert meter.channels == ("package-0-die-0", "package-0-die-0/core")
    assert "total: package-0-die-0" in meter.notes
    meter.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(100_000, 10**9), st.integers(-1, 1)), min_size=EQUAL_WINDOWS, max_size=8))
def test_a_mirror_is_found_whatever_it_counts_up_to_rounding(windows):
    mirrors = Mirrors()
    for used, rounding in windows:
        mirrors.add({"a": used, "b": used + rounding, "c": 2 * used}, seconds=1.0)
    assert mirrors.copies() == {"b": "a"}


@pytest.mark.parametrize(("seconds", "copies"), [(1.0, {}), (0.02, {"b": "a"})])
def test_more_than_a_refresh_of_difference_tells_a_pair_apart_for_good(seconds, copies):
    """2 % of 1 s are 20 refreshes, of 20 ms less than one, which may fall between the reads of two mirrors."""
    mirrors = Mirrors()
    for second in (1_020_000, 1_000_000, 1_000_000, 1_000_000):
        mirrors.add({"a": 1_000_000, "b": second}, seconds)
    assert mirrors.copies() == copies


def test_without_its_package_memory_is_no_total():
    assert total_channels(["package-0/dram", "psys"]) == {"psys"}
    assert total_channels(["package-0", "package-1/dram"]) == {"package-0"}


# --- the energy filter --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("register", "flag"), [(0, "off"), (1, "on"), (6, "off"), (7, "on")])
def test_the_energy_filter_is_bit_0_of_register_0xbc(tmp_path, register, flag):
    (tmp_path / "cpu" / "0").mkdir(parents=True)
    (tmp_path / "cpu" / "0" / "msr").write_bytes(b"\xff" * 0xBC + register.to_bytes(8, "little") + b"\xff" * 8)
    assert energy_filter(tmp_path).split()[0] == flag


def test_an_energy_filter_that_cannot_be_read_is_unknown(tmp_path, tree, opened):
    tree.add("intel-rapl:0", "package-0")
    assert opened(tree, devices=str(tmp_path)).notes[-1].startswith("energy filter: unknown (")
    (tmp_path / "cpu" / "0").mkdir(parents=True)
    (tmp_path / "cpu" / "0" / "msr").write_bytes(b"\x01" * 0xBC)
    assert energy_filter(tmp_path).startswith("unknown")


def test_raw_counters_are_told_for_calibration(tree, opened):
    tree.add("intel-rapl:0", "package-0", 1_500_000).add("intel-rapl:1", "psys")
    meter = opened(tree)
    tree.remove("intel-rapl:1")
    assert [(r.quantity, r.channel, r.value) for r in meter.sense()] == [("energy", "package-0", 1.5)]


# --- what is absent, and why ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [lambda root: None, lambda root: root.mkdir(), lambda root: (root / "dtpm").mkdir(parents=True)]
)
def test_no_zones_is_one_sentence_with_a_remedy(tmp_path, make):
    root = tmp_path / "powercap"
    make(root)
    reason = RAPL(root=str(root)).unavailable()
    assert str(root) in reason
    assert "modprobe intel_rapl_msr" in reason
    assert "\n" not in reason


def test_denied_reading_is_present_but_unreadable(tree, monkeypatch):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:1", "psys")

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(rapl_module, "read_integer", denied)
    meter = RAPL(root=str(tree.root))
    reason = meter.unavailable()
    assert "present but unreadable" in reason
    assert "package-0: Permission denied" in reason
    assert "udev rule" in reason
    assert "CAP_DAC_READ_SEARCH" in reason
    assert meter.channels == ()


def test_zones_that_cannot_be_read_are_left_out_and_named(tree, opened):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:0:0", "dram").add("intel-rapl:1", "psys")
    tree.deny("intel-rapl:0:0")
    tree.remove("intel-rapl:1")
    meter = opened(tree)
    assert meter.channels == ("package-0",)
    assert [note.partition(":")[0] for note in meter.notes] == ["package-0/dram", "psys", "total", "energy filter"]
    meter.start()
    tree.advance("intel-rapl:0", 1.0)
    assert joules(meter) == {"package-0": 1.0}


def test_start_before_the_probe_is_refused(tree):
    tree.add("intel-rapl:0", "package-0")
    with pytest.raises(MeterError, match="probe"):
        RAPL(root=str(tree.root)).start()


# --- wraps ------------------------------------------------------------------------------------------------------------------


def test_a_wrap_in_a_window_is_undone(tree, opened):
    tree.add("intel-rapl:0", "package-0", RANGE_UJ - 1_000_000, RANGE_UJ)
    meter = opened(tree)
    meter.start()
    tree.advance("intel-rapl:0", 3.5)
    assert int((tree.root / "intel-rapl:0" / "energy_uj").read_text()) == 2_500_000
    assert joules(meter) == {"package-0": 3.5}
    meter.start()
    tree.advance("intel-rapl:0", 0.5)
    assert joules(meter) == {"package-0": 0.5}


def test_the_thread_sees_every_wrap_of_a_long_window(tree, opened):
    """Five times 0.4 of the range: one read at each end would see nothing, since the counter ends where it began."""
    tree.add("intel-rapl:0", "package-0", 0, 10_000_000)
    meter = opened(tree)  # 10 J at 1 kW: the thread reads every 5 ms
    counter = meter._counters[0]
    meter.start()
    for step in range(1, 6):
        tree.advance("intel-rapl:0", 4.0)
        deadline = time.monotonic() + 30
        while counter.total_uj < step * 4_000_000 and time.monotonic() < deadline:
            time.sleep(0.001)
    assert int((tree.root / "intel-rapl:0" / "energy_uj").read_text()) == 0
    assert joules(meter) == {"package-0": 20.0}


def test_the_thread_sleeps_through_short_windows(tree, opened, monkeypatch):
    waits = []
    monkeypatch.setattr(RAPL, "_sample", lambda self, period_s: waits.append(period_s))
    tree.add("intel-rapl:0", "package-0", 0, 262_143_328_850).add("intel-rapl:1", "psys", 0, RANGE_UJ)
    meter = opened(tree, max_power_w=500.0)
    for _ in range(3):
        meter.start()
        tree.advance("intel-rapl:0", 1.0)
        meter.stop()
    assert waits == [pytest.approx(65_532.610987 / 500.0 / 2)]


def test_close_ends_the_thread_and_the_meter_can_be_probed_again(tree):
    tree.add("intel-rapl:0", "package-0")
    meter = RAPL(root=str(tree.root))
    assert meter.unavailable() is None
    meter.start()
    thread = meter._sampler
    meter.close()
    assert not thread.is_alive()
    assert meter.unavailable() is None
    meter.start()
    tree.advance("intel-rapl:0", 1.0)
    assert joules(meter) == {"package-0": 1.0}
    meter.close()


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(0, 999_999),
    increments=st.lists(st.tuples(st.integers(0, 999_999), st.booleans()), max_size=12),
)
def test_sum_of_differences_is_the_truth_at_any_reading_moments(tmp_path_factory, start, increments):
    """Increments below the range, the counter read in between whenever the sum unread would reach the range."""
    folder = tmp_path_factory.mktemp("zone")
    range_uj, raw, unread = 1_000_000, start, 0

    def write():
        (folder / "energy_uj").write_text(str(raw % range_uj))

    write()
    counter = Accumulator(Zone(folder, "intel-rapl", "package-0", range_uj), max_power_w=float("inf"))
    for increment, read in increments:
        if read or unread + increment >= range_uj:
            counter.advance()
            unread = 0
        raw += increment
        unread += increment
        write()
    counter.advance()
    assert counter.lost == ""
    assert counter.total_uj == raw - start


# --- counters that fail in the middle of a window ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fail", "why"),
    [
        (lambda tree: tree.remove("intel-rapl:1"), "No such file"),
        (lambda tree: tree.deny("intel-rapl:1"), "directory"),
        (lambda tree: tree.set("intel-rapl:1", 400_000_000), "ran backwards"),
        (lambda tree: (tree.root / "intel-rapl:1" / "energy_uj").write_text("garbage"), "invalid literal"),
    ],
)
def test_a_counter_that_fails_is_left_out_and_comes_back_in_the_next_window(tree, opened, fail, why):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:1", "psys", 500_000_000)
    meter = opened(tree)
    meter.start()
    tree.advance("intel-rapl:0", 1.0)
    fail(tree)
    assert joules(meter) == {"package-0": 1.0}
    assert why in meter._counters[1].lost

    energy = tree.root / "intel-rapl:1" / "energy_uj"
    if energy.is_dir():
        energy.rmdir()
    tree.set("intel-rapl:1", 1_000_000)
    meter.start()
    tree.advance("intel-rapl:0", 1.0)
    tree.advance("intel-rapl:1", 2.0)
    assert joules(meter) == {"package-0": 1.0, "psys": 2.0}


def test_all_counters_lost_is_an_error_with_every_reason(tree, opened):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:1", "psys", 9_000_000)
    meter = opened(tree)
    meter.start()
    tree.remove("intel-rapl:0")
    tree.set("intel-rapl:1", 8_000_000)
    with pytest.raises(MeterError, match=r"package-0: No such file.*psys: it ran backwards"):
        meter.stop()


def test_without_a_range_forward_counts_are_read_and_a_wrap_is_a_loss(tree, opened):
    tree.add("intel-rapl:0", "package-0", 5_000_000, None)
    meter = opened(tree)
    meter.start()
    tree.set("intel-rapl:0", 6_500_000)
    assert joules(meter) == {"package-0": 1.5}
    meter.start()
    tree.set("intel-rapl:0", 1_000)
    with pytest.raises(MeterError, match="max_energy_range_uj"):
        meter.stop()


def test_a_counter_that_sticks_is_left_out_not_zero(tree, opened):
    tree.add("intel-rapl:0", "package-0").add("intel-rapl:1", "psys")
    meter = opened(tree)
    meter.start()
    tree.advance("intel-rapl:0", 1.0)
    time.sleep(rapl_module.STUCK_AFTER_S)
    assert joules(meter) == {"package-0": 1.0}
    assert "stuck" in meter._counters[1].lost


def test_a_window_shorter_than_a_refresh_may_hold_no_energy(tree, monkeypatch):
    """The phase `overhead` is such a window: 0 J is then what the counter says."""
    tree.add("intel-rapl:0", "package-0")
    monkeypatch.setattr(time, "perf_counter", lambda: 1.0)
    counter = Accumulator(rapl_module.find_zones(tree.root)[0], 1000.0)
    counter.end()
    assert (counter.lost, counter.total_uj) == ("", 0)
