"""Find out what a meter is worth on this machine: its refresh, quantum, cost, idle floor, response to a load, and faults."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Protocol

from fobench.contracts import FobenchError, Json, Meter, Reading
from fobench.harness import faults
from fobench.harness.faults import Fault, Trace, Wave

READS = 15
"""Empty windows whose median length is the cost of a read."""
QUIET_SHARE = 0.2
"""Share of the time for the idle floor; the rest is the square wave."""
CYCLES = 4
"""Idle and busy spans of the square wave, each as long as the other; one more idle span shows what comes late."""
READS_PER_PERIOD = 20
"""Raw reads in the update period that a meter claims."""
WINDOWS_PER_PERIOD = 5
"""The same for a meter that can be read by windows only."""
MOST_READS = 40_000
"""Reads of one calibration at most."""

BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(10_000))\n"


class Rig(Protocol):
    """Time and load of a calibration; simulated in tests."""

    def now(self) -> float:
        """Return seconds of a monotonic clock."""

    def sleep(self, seconds: float) -> None:
        """Let time pass without using the processor."""

    def load(self, busy: bool) -> None:
        """Switch a load of the whole processor on or off."""


class Processor:
    """The real rig: one process per core that computes, or is stopped by a signal."""

    now = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def load(self, busy: bool) -> None:
        """Continue or stop the processes."""
        for process in self._processes:
            process.send_signal(signal.SIGCONT if busy else signal.SIGSTOP)


@contextmanager
def processor() -> Iterator[Processor]:
    """Start the load, idle; end it afterwards."""
    count = len(os.sched_getaffinity(0))
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        rig = Processor(processes)
        rig.sleep(0.5)  # until their interpreters are up
        rig.load(False)
        yield rig
    finally:
        for process in processes:
            process.kill()
            process.wait()


def energies(meter: Meter, rig: Rig, periods: int = 1) -> list[Reading]:
    """Return the energy readings of one window of update periods, each of 1 s at most; none from a meter of something else."""
    meter.start()
    rig.sleep(periods * min(meter.update_period_s, 1.0))
    try:
        return [reading for reading in meter.stop() if reading.quantity == "energy"]
    except FobenchError:
        return []


def calibrate(meter: Meter, seconds: float, rig: Rig) -> dict[str, Json]:
    """Describe an available energy meter within about `seconds`: the entry of a device profile."""
    cost_s = _read_cost(meter, rig)
    idle_w = _idle_floor(meter, seconds * QUIET_SHARE, rig)
    traces, wave = watch(meter, seconds * (1 - QUIET_SHARE), rig)
    found = faults.classify(traces, wave, meter.update_period_s)
    channels = {channel: _describe(traces[channel], wave, found[channel], idle_w.get(channel)) for channel in traces}
    periods = [channel["update_period_s"] for channel in channels.values() if "update_period_s" in channel]
    entry = {"claimed_update_period_s": meter.update_period_s, "read_cost_s": cost_s, "channels": channels}
    if any(trace.is_power for trace in traces.values()):
        periods.append(meter.update_period_s)  # a window cannot be finer than its samples, however fast the sensor is
    return {**entry, "update_period_s": max(periods)} if periods else entry


def _describe(trace: Trace, wave: Wave, fault: Fault, idle_w: float | None) -> dict[str, Json]:
    """Return what is known of a channel; powers only of one that counts right, and nothing for what was not seen."""
    response = faults.respond(trace, wave) if fault in faults.COUNTING else None
    known = {
        "class": str(fault),
        "update_period_s": faults.update_period(trace) if fault in faults.COUNTING else None,
        "quantum": faults.quantum(trace),
        "quantum_unit": "W" if trace.is_power else "J",
        "idle_w": idle_w if fault in faults.COUNTING else None,
        "busy_w": response.busy_w if response else None,
        "response": response.busy_w / response.idle_w if response and response.idle_w > 0 else None,
        "lag_s": response.lag_s if response and response.is_seen else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _read_cost(meter: Meter, rig: Rig) -> float:
    costs = []
    for _ in range(READS):
        began = rig.now()
        meter.start()
        with contextlib.suppress(FobenchError):
            meter.stop()
        costs.append(rig.now() - began)
    return median(costs)


def _idle_floor(meter: Meter, seconds: float, rig: Rig) -> dict[str, float]:
    """Return each channel's watts over a window in which nothing is done, not even reading."""
    meter.start()
    began = rig.now()
    rig.sleep(seconds)
    try:
        readings = meter.stop()
    except FobenchError:
        return {}
    took = rig.now() - began
    return {reading.channel: reading.value / took for reading in readings if reading.quantity == "energy"}


def watch(meter: Meter, seconds: float, rig: Rig) -> tuple[dict[str, Trace], Wave]:
    """Read a meter as often as is sensible while the load is switched in a square wave; return every channel's trace.

    A meter that has `sense()`, its raw values as readings, is read through it; another by windows on windows.
    """
    span_s = seconds / (2 * CYCLES + 1)
    samples = _raw(meter, seconds, rig) if hasattr(meter, "sense") else _windowed(meter, seconds, rig)
    points: dict[str, list[tuple[float, Reading]]] = {channel: [] for channel in meter.channels}
    spans: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for index in range(2 * CYCLES + 1):
        busy = index % 2 == 1
        rig.load(busy)
        began = rig.now()
        while rig.now() < began + span_s:
            for reading in next(samples):
                points.setdefault(reading.channel, []).append((rig.now(), reading))
        spans[busy].append((began, rig.now()))
    rig.load(False)
    return {channel: _trace(found) for channel, found in points.items()}, Wave(spans[False], spans[True])


def _trace(points: list[tuple[float, Reading]]) -> Trace:
    is_power = any(reading.quantity == "power" for _, reading in points)
    return Trace([at for at, _ in points], [reading.value for _, reading in points], is_power)


def _raw(meter: Meter, seconds: float, rig: Rig) -> Iterator[list[Reading]]:
    """Yield raw values again and again."""
    sense = meter.sense  # type: ignore[attr-defined]
    began = rig.now()
    sense()
    cost_s = rig.now() - began
    pause_s = max(meter.update_period_s / READS_PER_PERIOD, 2 * cost_s, seconds / MOST_READS)
    while True:
        rig.sleep(pause_s)
        yield sense()


def _windowed(meter: Meter, seconds: float, rig: Rig) -> Iterator[list[Reading]]:
    """Yield the energies summed over short windows on windows, as if they were a counter's."""
    pause_s = max(meter.update_period_s / WINDOWS_PER_PERIOD, 5 * _read_cost(meter, rig), seconds / MOST_READS)
    totals: dict[str, Reading] = {}
    while True:
        meter.start()
        rig.sleep(pause_s)
        try:
            readings = [reading for reading in meter.stop() if reading.quantity == "energy"]
        except FobenchError:
            readings = []
        for reading in readings:
            before = totals[reading.channel].value if reading.channel in totals else 0.0
            totals[reading.channel] = Reading("energy", before + reading.value, reading.provenance, reading.channel)
        yield [totals[reading.channel] for reading in readings]
