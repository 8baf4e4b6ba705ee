import builtins
import logging
import subprocess
import sys
import time

import pytest

from fobench.contracts import MeterError, Provenance
from fobench.meters.pyrapl import PyRAPL
from fobench.meters.rapl import RAPL, STUCK_AFTER_S
from fobench.testing import PowercapTree, pyrapl_reads


@pytest.fixture
def tree(tmp_path):
    return PowercapTree(tmp_path)


@pytest.fixture
def opened(tree):
    """A processor of one socket with DRAM."""
    tree.add("intel-rapl:0", "package-0", 1_000_000).add("intel-rapl:0:0", "core").add(
        "intel-rapl:0:1", "dram", 500_000
    )
    with pyrapl_reads(tree):
        meter = PyRAPL()
        assert meter.unavailable() is None
        yield meter
        meter.close()


def joules(meter):
    return {reading.channel: reading.value for reading in meter.stop()}


def test_it_agrees_with_the_meter_rapl_channel_by_channel(tree, opened):
    rapl = RAPL(root=str(tree.root))
    assert rapl.unavailable() is None
    rapl.start()
    opened.start()
    tree.advance("intel-rapl:0", 3.25)
    tree.advance("intel-rapl:0:1", 0.5)
    readings = opened.stop()
    assert {r.channel: r.value for r in readings} == {"package-0": 3.25, "package-0/dram": 0.5}
    assert {r.provenance for r in readings} == {Provenance.MEASURED}
    reference = joules(rapl)
    assert {r.channel: reference[r.channel] for r in readings} == {r.channel: r.value for r in readings}
    rapl.close()


def test_a_wrap_is_an_absence_neither_none_nor_negative(tree, opened):
    opened.start()
    tree.set("intel-rapl:0", 10)
    tree.advance("intel-rapl:0:1", 0.5)
    assert joules(opened) == {"package-0/dram": 0.5}
    opened.start()
    tree.set("intel-rapl:0", 0)
    tree.set("intel-rapl:0:1", 0)
    with pytest.raises(MeterError, match="wrap"):
        opened.stop()
    opened.start()
    tree.advance("intel-rapl:0", 2.0)
    tree.advance("intel-rapl:0:1", 1.0)
    assert joules(opened) == {"package-0": 2.0, "package-0/dram": 1.0}


def test_a_counter_that_stands_still_is_left_out(tree, opened):
    opened.start()
    tree.advance("intel-rapl:0", 2.0)
    time.sleep(STUCK_AFTER_S)
    assert joules(opened) == {"package-0": 2.0}


def test_a_counter_that_vanishes_is_a_failed_window(tree, opened):
    opened.start()
    tree.remove("intel-rapl:0")
    with pytest.raises(MeterError, match="could not be read"):
        opened.stop()


def test_two_sockets_without_dram(tree):
    tree.add("intel-rapl:0", "package-1").add("intel-rapl:1", "package-0")
    with pyrapl_reads(tree, sockets=2):
        meter = PyRAPL()
        assert meter.unavailable() is None
        assert meter.channels == ("package-0", "package-1")
        meter.start()
        tree.advance("intel-rapl:0", 1.0)
        tree.advance("intel-rapl:1", 2.0)
        assert joules(meter) == {"package-0": 2.0, "package-1": 1.0}


@pytest.mark.parametrize("zones", [[], ["psys"], ["package-0-die-0", "package-0-die-1"]])
def test_what_pyrapl_cannot_take_is_one_sentence(tree, zones):
    for index, name in enumerate(zones):
        tree.add(f"intel-rapl:{index}", name)
    with pyrapl_reads(tree):
        reason = PyRAPL().unavailable()
    assert "take the meter `rapl`" in reason
    assert "\n" not in reason


def test_denied_counters_are_present_but_unreadable(tree, monkeypatch):
    tree.add("intel-rapl:0", "package-0")

    def denied(path, *arguments):
        raise PermissionError(13, "Permission denied", str(path))

    with pyrapl_reads(tree):
        import pyRAPL.device_api as module

        patched = module.open
        monkeypatch.setattr(module, "open", lambda path, mode="r": (denied if "energy" in path else patched)(path))
        reason = PyRAPL().unavailable()
    assert "present but unreadable (Permission denied)" in reason
    assert "udev" in reason


def test_no_sysfs_and_no_module_are_sentences(monkeypatch):
    monkeypatch.setattr(builtins, "open", lambda *a, **k: (_ for _ in ()).throw(FileNotFoundError(2, "No such file")))
    reason = PyRAPL().unavailable()
    monkeypatch.undo()
    assert "finds no package counter" in reason
    monkeypatch.setitem(sys.modules, "pyRAPL", None)
    assert "pip install pyRAPL" in PyRAPL().unavailable()


def test_the_import_leaves_the_root_logger_as_it_was():
    code = (
        "import logging, sys; from fobench.meters.pyrapl import PyRAPL; PyRAPL().unavailable(); "
        "assert 'pyRAPL' in sys.modules; root = logging.getLogger(); "
        "assert (root.handlers, root.disabled) == ([], False)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    assert logging.getLogger().disabled is False


def test_start_and_stop_out_of_order_are_refused():
    with pytest.raises(MeterError, match="probe"):
        PyRAPL().start()
    with pytest.raises(MeterError, match="start"):
        PyRAPL().stop()
