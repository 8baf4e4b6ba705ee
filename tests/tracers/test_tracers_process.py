"""Tracers of the process, of CUDA's allocator and of fvcore, with fakes of what they read and with the real thing."""

from __future__ import annotations

import builtins
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from tracer_toys import AutogradBP, HandBP, Toy, traced, values

from fobench.contracts import Phase, Prediction, Provenance, TracerError
from fobench.tracers.cuda_memory import CUDAMemory
from fobench.tracers.fvcore import FVCore
from fobench.tracers.process_memory import MALLOC_VARIABLES, MemoryProfiler, ProcessMemory

MEBIBYTE = 2**20


# --- process-memory ---------------------------------------------------------------------------------------------------


@pytest.fixture
def process(tmp_path: Path) -> Path:
    """Return a fake /proc/self."""
    (tmp_path / "clear_refs").write_text("")
    set_peak(tmp_path, 1000)
    return tmp_path


def set_peak(process: Path, kibibytes: int) -> None:
    (process / "status").write_text(f"Name:\tpython\nVmPeak:\t  9999 kB\nVmHWM:\t  {kibibytes} kB\nVmRSS:\t  1 kB\n")


def test_the_first_step_stands_apart_and_later_ones_give_their_median(process: Path) -> None:
    tracer = ProcessMemory(process)
    for rise in (700, 30, 10, 20):
        set_peak(process, 1000)
        with tracer.trace(HandBP(3, 2), ()):
            set_peak(process, 1000 + rise)
    assert (process / "clear_refs").read_text() == "5"
    readings = tracer.readings()
    assert values(readings, "memory_peak") == {"first-step": 700 * 1024, "step": 20 * 1024}
    assert {reading.provenance for reading in readings} == {Provenance.MEASURED}
    assert tracer.readings() == []


def test_a_single_step_gives_no_median(process: Path) -> None:
    tracer = ProcessMemory(process)
    with tracer.trace(HandBP(3, 2), ()):
        set_peak(process, 1001)
    assert values(tracer.readings(), "memory_peak") == {"first-step": 1024}


def test_what_process_memory_needs(process: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in MALLOC_VARIABLES:
        monkeypatch.setenv(name, "65536")
    assert ProcessMemory(process).unavailable() is None
    assert "Linux" in str(ProcessMemory(tmp_path / "nowhere").unavailable())
    monkeypatch.delenv(MALLOC_VARIABLES[1])
    reason = str(ProcessMemory(process).unavailable())
    assert MALLOC_VARIABLES[1] in reason and MALLOC_VARIABLES[0] not in reason and "65536" in reason


class Allocates(Toy):
    """Touches 64 MiB, the first time 128 MiB."""

    copies = 2

    def train_step(self, x: Tensor, y: Tensor) -> None:
        kept = [torch.ones(16 * MEBIBYTE) for _ in range(self.copies)]
        self.copies = 1
        del kept


def alone(expression: str) -> Any:
    """The JSON value of an expression in a process of its own.

    The heap that earlier tests left, and glibc's settings from its start, decide what is seen.
    """
    code = f"import json, test_tracers_process as t; print(json.dumps({expression}))"
    environment = {**os.environ, **dict.fromkeys(MALLOC_VARIABLES, "65536")}
    command = [sys.executable, "-c", code]
    run = subprocess.run(
        command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def peaks_of_the_kernel() -> str | dict[str, float]:
    """The peak by phase of a learner that allocates more in its first step, or why there is none."""
    if reason := ProcessMemory().unavailable():
        return reason
    return values(traced(ProcessMemory(), lambda: Allocates(3, 2), 4, (3, 2)), "memory_peak")


def test_the_kernels_own_counter() -> None:
    found = alone("t.peaks_of_the_kernel()")
    if isinstance(found, str):
        assert "clear_refs" in found
        return
    assert found["first-step"] == pytest.approx(128 * MEBIBYTE, abs=8 * MEBIBYTE)
    assert found["step"] == pytest.approx(64 * MEBIBYTE, abs=8 * MEBIBYTE)


# --- memory-profiler --------------------------------------------------------------------------------------------------


class Slow(Toy):
    """Holds 64 MiB for as long as it takes to make them several times over."""

    runs = 0

    def train_step(self, x: Tensor, y: Tensor) -> None:
        self.runs += 1
        kept = torch.ones(16 * MEBIBYTE)
        for _ in range(20):
            kept.add_(1)
        del kept


def time_line() -> list[float]:
    """The bytes of the process, sampled through one step."""
    tracer, learner = MemoryProfiler(), Slow(3, 2)
    with tracer.trace(learner, ()):
        learner.train_step(torch.ones(4, 3), torch.zeros(4))
    assert learner.runs == 1
    return [reading.value for reading in tracer.readings()]


def test_the_time_line_of_the_process_covers_one_step() -> None:
    samples = alone("t.time_line()")
    assert len(samples) >= 3
    assert max(samples) - min(samples) == pytest.approx(64 * MEBIBYTE, abs=8 * MEBIBYTE)


def test_a_time_line_is_measured_run_once_and_handed_over_once() -> None:
    tracer, learner = MemoryProfiler(), Slow(3, 2)
    with tracer.trace(learner, ()):
        learner.train_step(torch.ones(4, 3), torch.zeros(4))
    readings = tracer.readings()
    assert learner.runs == 1
    assert {(r.quantity, r.channel, r.provenance) for r in readings} == {
        ("memory_live", "process", Provenance.MEASURED)
    }  # fmt: skip
    assert tracer.readings() == []


def test_the_sampler_stops_after_an_error() -> None:
    tracer = MemoryProfiler()
    with pytest.raises(ZeroDivisionError), tracer.trace(HandBP(3, 2), ()):
        raise ZeroDivisionError
    count = len(tracer._samples)
    assert len(tracer.readings()) == count


@pytest.mark.parametrize(("tracer", "package"), [(MemoryProfiler, "memory_profiler"), (FVCore, "fvcore")])
def test_a_missing_package_is_named_with_its_remedy(tracer: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracer().unavailable() is None
    genuine = builtins.__import__

    def refuse(name: str, *args: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named {name!r}")
        return genuine(name, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert "pip install" in str(tracer().unavailable())


# --- cuda-memory ------------------------------------------------------------------------------------------------------


class FakeTensor:
    device = torch.device("cuda", 1)


def test_cuda_reads_the_allocators_peaks_of_the_batchs_device(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []
    results = {"max_memory_allocated": 300, "max_memory_reserved": 2 * MEBIBYTE}
    for name in ("synchronize", "reset_peak_memory_stats", *results):

        def fake(device: Any, name: str = name) -> int | None:
            calls.append((name, device))
            return results.get(name)

        monkeypatch.setattr(torch.cuda, name, fake)
    tracer = CUDAMemory()
    with tracer.trace(HandBP(3, 2), (FakeTensor(), FakeTensor())):  # type: ignore[arg-type]
        calls.append(("step", FakeTensor.device))
    readings = tracer.readings()
    assert values(readings, "memory_peak") == {"allocated": 300, "reserved": 2 * MEBIBYTE}
    assert [name for name, _ in calls] == [
        "synchronize", "reset_peak_memory_stats", "step", "synchronize", "max_memory_allocated", "max_memory_reserved",
    ]  # fmt: skip
    assert {device for _, device in calls} == {FakeTensor.device}
    assert tracer.readings() == []


def test_cuda_is_absent_without_a_device_and_refuses_a_batch_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "CUDA" in str(CUDAMemory().unavailable())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert CUDAMemory().unavailable() is None
    with pytest.raises(TracerError, match="set recipe"), CUDAMemory().trace(HandBP(3, 2), (torch.ones(2, 3),)):
        pass


# --- fvcore -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [HandBP, AutogradBP])
def test_fvcore_counts_the_forward_pass_of_plain_layers(make: Any) -> None:
    learner = make(30, 20, 10)
    readings = traced(FVCore(), lambda: learner, 8, (30, 20, 10), Phase.INFER)
    assert values(readings, "macs") == {"total": 8 * 800}
    trains = isinstance(learner, AutogradBP)
    assert all(tensor.requires_grad == trains for tensor in learner.state().values())


class Unsupported(Toy):
    def predict(self, x: Tensor) -> Prediction:
        return Prediction((x * x) @ self.W[0].t() * 2)


def test_fvcore_lists_what_it_cannot_count(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
    with caplog.at_level(logging.DEBUG):
        readings = traced(FVCore(), lambda: Unsupported(3, 2), 4, (3, 2), Phase.INFER)
    assert values(readings, "macs") == {"total": 24}
    assert values(readings, "uncovered") == {"aten::mul": 2}
    assert not caplog.records and not recwarn.list


class Untraceable(Toy):
    def predict(self, x: Tensor) -> Prediction:
        raise ValueError("no second line\nof this")


def test_fvcore_says_in_one_sentence_why_it_cannot_trace() -> None:
    with pytest.raises(TracerError) as caught, FVCore().trace(Untraceable(3, 2), (torch.ones(4, 3),)):
        pass
    assert str(caught.value) == "fvcore cannot trace Untraceable.predict: ValueError: no second line"


@pytest.mark.parametrize("tracer", [ProcessMemory, MemoryProfiler, CUDAMemory, FVCore])
def test_nothing_observed_is_nothing_said(tracer: Any) -> None:
    assert tracer().readings() == []
