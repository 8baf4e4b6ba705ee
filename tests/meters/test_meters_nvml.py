import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fobench.contracts import MeterError, Provenance
from fobench.meters import nvml as nvml_module
from fobench.meters.nvml import NVML
from fobench.testing import FakeGPU, FakeNVML, FakeNVMLError, NVMLError_LibraryNotFound


@pytest.fixture(autouse=True)
def every_gpu_visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def install(monkeypatch):
    def install(*gpus, error=None):
        fake = FakeNVML(*gpus, error=error)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


def opened(**arguments):
    meter = NVML(**arguments)
    assert meter.unavailable() is None
    return meter


# --- the counter --------------------------------------------------------------------------------------------------------


def test_the_counter_gives_measured_joules_per_gpu(install):
    first, second = FakeGPU(energy_mj=10_000_000), FakeGPU(energy_mj=7)
    install(first, second)
    meter = opened()
    assert meter.channels == ("gpu-0", "gpu-1")
    for _ in range(2):
        meter.start()
        first.energy_mj += 12_345
        second.energy_mj += 500
        readings = meter.stop()
        assert [(r.quantity, r.channel, r.value, r.unit) for r in readings] == [
            ("energy", "gpu-0", 12.345, "J"),
            ("energy", "gpu-1", 0.5, "J"),
        ]
        assert {r.provenance for r in readings} == {Provenance.MEASURED}
    assert meter.update_period_s == 0.1


def test_close_undoes_every_start_of_nvml(install):
    fake = install(FakeGPU(energy_mj=0))
    meter = opened()
    assert meter.unavailable() is None
    assert fake.open == 1
    meter.close()
    meter.close()
    assert fake.open == 0


@pytest.mark.parametrize("after_mj", [999, None])
def test_a_counter_that_is_set_back_or_fails_is_left_out(install, after_mj):
    first, second = FakeGPU(energy_mj=1000), FakeGPU(energy_mj=1000)
    install(first, second)
    meter = opened()
    meter.start()
    first.energy_mj = after_mj
    second.energy_mj = 3000
    assert [(r.channel, r.value) for r in meter.stop()] == [("gpu-1", 2.0)]


def test_a_counter_that_sticks_for_ten_refreshes_is_left_out(install, monkeypatch):
    first, second = FakeGPU(energy_mj=1000), FakeGPU(energy_mj=1000)
    install(first, second)
    meter = opened()
    now = [50.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    meter.start()
    now[0] += 1.0
    second.energy_mj = 2000
    assert [r.channel for r in meter.stop()] == ["gpu-1"]


def test_a_lost_gpu_is_left_out_and_none_left_is_an_error(install):
    first, second = FakeGPU(energy_mj=0), FakeGPU(energy_mj=0)
    install(first, second)
    meter = opened()
    meter.start()
    first.lost = True
    second.energy_mj = 1000
    assert [r.channel for r in meter.stop()] == ["gpu-1"]
    meter.start()  # lost before the window begins
    second.lost = True
    with pytest.raises(MeterError, match="gpu-0, gpu-1 could not be read"):
        meter.stop()


# --- power, integrated ----------------------------------------------------------------------------------------------------


def test_power_is_integrated_where_there_is_no_counter_and_is_an_estimate(install):
    """A ramp of 1000 W/s: its integral over [a, b] from its origin is 500 (b^2 - a^2) J, for any a and b."""
    origin = time.perf_counter()
    ramp = FakeGPU(power_mw=lambda: 1e6 * (time.perf_counter() - origin))
    counted = FakeGPU(energy_mj=0)
    install(ramp, counted)
    meter = opened(sample_period_s=0.01)

    outer_start = time.perf_counter() - origin
    meter.start()
    inner_start = time.perf_counter() - origin
    time.sleep(0.2)
    counted.energy_mj = 4000
    inner_stop = time.perf_counter() - origin
    by_channel = {r.channel: r for r in meter.stop()}
    outer_stop = time.perf_counter() - origin

    energy = by_channel["gpu-0"]
    # A busy machine may let time pass between reading the power and stamping it.
    assert 500 * (inner_stop**2 - inner_start**2) * 0.8 <= energy.value
    assert energy.value <= 500 * (outer_stop**2 - outer_start**2) * 1.2
    assert energy.provenance is Provenance.ESTIMATED
    assert (by_channel["gpu-1"].value, by_channel["gpu-1"].provenance) == (4.0, Provenance.MEASURED)


def test_zeros_between_samples_are_no_samples(install):
    answers = iter([100_000, 100_000, 0, 0])  # probe, first sample, then errors that NVML reports as zero
    gpu = FakeGPU(power_mw=lambda: next(answers, 100_000))
    install(gpu)
    meter = opened(sample_period_s=0.005)
    begin = time.perf_counter()
    meter.start()
    middle = time.perf_counter()
    time.sleep(0.1)
    end = time.perf_counter()
    joules = meter.stop()[0].value
    assert 100 * (end - middle) * 0.999 <= joules <= 100 * (time.perf_counter() - begin)


def test_a_gpu_lost_while_its_power_is_sampled_gives_nothing_rather_than_a_part(install):
    gpu = FakeGPU(power_mw=100_000)
    install(gpu)
    meter = opened(sample_period_s=0.005)
    meter.start()
    gpu.lost = True
    with pytest.raises(MeterError, match="gpu-0"):
        meter.stop()


# --- power, sampled by a process of its own -----------------------------------------------------------------------------------

SCRIPTED = """
import sys, time
from fobench.testing import FakeGPU, FakeNVML
sys.modules[__name__] = FakeNVML({gpus})
"""


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """Writes a module `pynvml` that the sampling process imports too."""

    def write(gpus):
        (tmp_path / "pynvml.py").write_text(SCRIPTED.format(gpus=gpus))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "pynvml", raising=False)

    yield write
    sys.modules.pop("pynvml", None)


def test_another_process_integrates_a_ramp(importable):
    """A ramp of 1000 W/s over the clock that both processes share: the integral over [a, b] is 500 (b^2 - a^2) J."""
    origin = time.perf_counter()
    importable(f"FakeGPU(power_mw=lambda: 1e6 * (time.perf_counter() - {origin})), FakeGPU(energy_mj=5)")
    meter = opened(sample_period_s=0.01)
    assert meter._sampler._process.pid != os.getpid()
    outer_start = time.perf_counter() - origin
    meter.start()
    inner_start = time.perf_counter() - origin
    time.sleep(0.1)
    inner_stop = time.perf_counter() - origin
    energies = {r.channel: r for r in meter.stop()}
    outer_stop = time.perf_counter() - origin
    energy = energies["gpu-0"]
    assert 500 * (inner_stop**2 - inner_start**2) * 0.8 <= energy.value <= 500 * (outer_stop**2 - outer_start**2) * 1.2
    assert energy.provenance is Provenance.ESTIMATED
    assert energies["gpu-1"].provenance is Provenance.MEASURED
    meter.close()


def test_the_instant_power_is_preferred_to_the_averaged_one(importable):
    importable("FakeGPU(power_mw=50_000, instant_mw=80_000)")
    meter = opened(sample_period_s=0.01)
    assert [(r.quantity, r.value) for r in meter.sense()] == [("power", 80.0)]
    before = time.perf_counter()
    meter.start()
    begun = time.perf_counter()
    time.sleep(0.05)
    slept = time.perf_counter() - begun
    joules = meter.stop()[0].value
    assert 80 * slept * 0.99 <= joules <= 80 * (time.perf_counter() - before)
    meter.close()


def test_a_sampling_process_that_dies_costs_one_window_of_its_gpus_only(importable):
    importable("FakeGPU(power_mw=1000), FakeGPU(energy_mj=5)")
    meter = opened(sample_period_s=0.01)
    meter.start()
    meter._sampler._process.kill()
    meter._sampler._process.wait()
    assert [r.channel for r in meter.stop()] == ["gpu-1"]
    meter.start()
    assert {r.channel for r in meter.stop()} == {"gpu-0", "gpu-1"}
    assert "sampled by a thread" in meter.notes[-1]
    meter.close()


def test_the_sampling_process_ends_with_its_parent(importable):
    """The parent is killed in the middle of a window, so that nothing of it can tidy up."""
    importable("FakeGPU(power_mw=1)")
    code = (
        "import time; from fobench.meters.nvml import NVML; meter = NVML(); meter.unavailable(); meter.start(); "
        "print(meter._sampler._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(child)


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_a_process_a_thread_samples_and_says_so(install, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(nvml_module, "SamplerProcess", refuse)
    install(FakeGPU(power_mw=100_000))
    meter = opened()
    assert meter._sampler is None
    assert "sampled by a thread" in meter.notes[-1]
    meter.close()


def test_a_slow_sampler_lengthens_the_update_period(install):
    install(FakeGPU(power_mw=1))
    assert opened(sample_period_s=0.5).update_period_s == 0.5
    assert opened(sample_period_s=0.01).update_period_s == 0.1


# --- which GPUs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "channels"),
    [
        ("0", ("gpu-0",)),
        ("2,0", ("gpu-2", "gpu-0")),
        (" 1 , 2 ", ("gpu-1", "gpu-2")),
        ("GPU-bb", ("gpu-1",)),
        ("GPU-cc33,GPU-aa11", ("gpu-2", "gpu-0")),
        ("0,7,1", ("gpu-0",)),
        ("0,-1,1", ("gpu-0",)),
        ("1,GPU-zz,0", ("gpu-1",)),
    ],
)
def test_cuda_visible_devices_chooses_by_number_and_uuid(install, monkeypatch, visible, channels):
    install(*(FakeGPU(energy_mj=0, uuid=uuid) for uuid in ("GPU-aa11", "GPU-bb22", "GPU-cc33")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert opened().channels == channels


@pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles", "3", "MIG-aa11", "GPU-"])
def test_no_visible_gpu_is_one_sentence_with_a_remedy(install, monkeypatch, visible):
    """`GPU-` begins both UUIDs: CUDA takes a prefix only if it is unique."""
    fake = install(FakeGPU(energy_mj=0, uuid="GPU-aa11"), FakeGPU(energy_mj=0, uuid="GPU-bb22"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    reason = NVML().unavailable()
    assert repr(visible) in reason
    assert "unset it" in reason
    assert fake.open == 0


def test_numbers_of_several_gpus_may_differ_from_cudas(install, monkeypatch):
    install(FakeGPU(energy_mj=0), FakeGPU(energy_mj=0))
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in opened().notes[0]
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert opened().notes == ()


# --- what is absent, and why ------------------------------------------------------------------------------------------------


def test_no_library_is_one_sentence_with_a_remedy(install):
    install(error=NVMLError_LibraryNotFound("NVML Shared Library Not Found"))
    reason = NVML().unavailable()
    assert reason == (
        "NVML does not start (NVML Shared Library Not Found); "
        "install the NVIDIA driver, or leave this meter out where there is no GPU"
    )


def test_an_unknown_error_still_has_a_remedy(install):
    install(error=FakeNVMLError("Unknown Error"))
    assert "nvidia-smi" in NVML().unavailable()


def test_the_remedies_name_errors_that_the_real_module_has():
    import pynvml

    assert [name for name in nvml_module.REMEDIES if not issubclass(getattr(pynvml, name), pynvml.NVMLError)] == []


def test_the_real_module_has_every_function_of_the_fake():
    import pynvml

    names = [name for name in dir(FakeNVML) if name.startswith("nvml")]
    assert len(names) == 8
    assert [name for name in names if not callable(getattr(pynvml, name, None))] == []


def test_no_module_is_one_sentence_with_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in NVML().unavailable()


def test_no_gpu_and_gpus_without_readings(install):
    install()
    assert "sees no GPU" in NVML().unavailable()
    install(FakeGPU())
    assert NVML().unavailable() == (
        "no GPU gives energy or power (gpu-0: neither energy nor power (Not Supported)); update the driver"
    )
    install(FakeGPU(), FakeGPU(energy_mj=1))
    meter = opened()
    assert meter.channels == ("gpu-1",)
    assert meter.notes[-1] == "gpu-0: neither energy nor power (Not Supported)"


def test_raw_values_are_told_for_calibration(install):
    first, second = FakeGPU(energy_mj=1500), FakeGPU(energy_mj=7)
    install(first, second)
    meter = opened()
    second.lost = True
    assert [(r.quantity, r.channel, r.value) for r in meter.sense()] == [("energy", "gpu-0", 1.5)]


def test_start_before_the_probe_is_refused(install):
    install(FakeGPU(energy_mj=0))
    with pytest.raises(MeterError, match="probe"):
        NVML().start()
