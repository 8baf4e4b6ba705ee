"""What a sampled sensor shows of itself: update period, quantum, response to a load, and which fault it has, if any.

Pure functions of traces. A faulty channel is named, not averaged with the others.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from statistics import median


class Fault(StrEnum):
    """What is wrong with a channel; a closed list, the first that fits is given."""

    BACKWARDS = "backwards"
    WRAPPING = "wrapping"
    STUCK = "stuck"
    MIRRORED = "mirrored"
    QUANTISED = "quantised"
    DELAYED = "delayed"
    GOOD = "good"


COUNTING = (Fault.QUANTISED, Fault.DELAYED, Fault.GOOD)
"""The classes whose energies are right over a long window."""

CHUNKS = 20
"""Pieces of a trace in which two channels are compared."""
MIRROR_SHARE = 0.6
"""Share of pieces with equal energies that makes a mirror; a refresh between two reads may spoil the others."""
MIRROR_TOLERANCE = 1e-4
"""Relative difference that two reads of one counter may have."""
STUCK_SHARE = 0.5
"""Share of a trace in which nothing changes that makes a stuck channel."""
RESPONDS = 1.3
"""Ratio of busy to idle power from which a load is taken to be seen."""
ALIKE = 0.1
"""Relative difference up to which steps are of one size."""
DELAY_S = 0.2
"""Lag behind the load that is a fault, unless three update periods are longer."""
UNRESOLVED_SHARE = 0.8
"""Share of reads with a new value from which the refresh is faster than the reads."""
LAGS = 100
"""Lags that are tried, up to the length of one busy span."""


@dataclass(frozen=True)
class Trace:
    """One channel's raw values at rising times (s): a counter in joules, or a power in watts where `is_power`."""

    times: Sequence[float]
    values: Sequence[float]
    is_power: bool = False

    @cached_property
    def joules(self) -> Sequence[float]:
        """Return the energy since the first sample, at every sample; falls of a counter stay in it."""
        if not self.is_power:
            return [value - self.values[0] for value in self.values]
        points = zip(self.times, self.values, strict=True)
        steps = ((t1 - t0) * (p0 + p1) / 2 for (t0, p0), (t1, p1) in itertools.pairwise(points))
        return [0.0, *itertools.accumulate(steps)]

    @cached_property
    def changes(self) -> Sequence[tuple[float, float]]:
        """Return when the value changed (s), and by how much."""
        points = zip(self.times[1:], itertools.pairwise(self.values), strict=True)
        return [(time, after - before) for time, (before, after) in points if after != before]

    def energy(self, start: float, stop: float) -> float:
        """Return the joules between two times, interpolated between samples."""
        return self._at(stop) - self._at(start)

    def _at(self, time: float) -> float:
        index = min(max(bisect.bisect_right(self.times, time), 1), len(self.times) - 1)
        t0, t1 = self.times[index - 1], self.times[index]
        share = min(max((time - t0) / (t1 - t0), 0.0), 1.0)
        return self.joules[index - 1] + share * (self.joules[index] - self.joules[index - 1])


@dataclass(frozen=True)
class Wave:
    """The load while traces were taken: spans (start, stop) in seconds, idle and busy in turn, idle first."""

    idle: Sequence[tuple[float, float]]
    busy: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Response:
    """Mean power (W) of idle and busy spans, and how late (s) the sensor shows them."""

    idle_w: float
    busy_w: float
    lag_s: float

    @property
    def is_seen(self) -> bool:
        """Say whether the load shows in the sensor, without which its lag means nothing."""
        return self.busy_w > RESPONDS * self.idle_w


def update_period(trace: Trace) -> float | None:
    """Return the median seconds between changes of the value.

    None if it changed less than three times, or in nearly every read: then the reads were too slow to tell.
    """
    times = [time for time, _ in trace.changes]
    if len(times) < 3 or len(times) > UNRESOLVED_SHARE * (len(trace.times) - 1):
        return None
    return median(b - a for a, b in itertools.pairwise(times))


def quantum(trace: Trace) -> float | None:
    """Return the smallest rise of the value in its own unit; None if it never rose."""
    return min((step for _, step in trace.changes if step > 0), default=None)


def respond(trace: Trace, wave: Wave) -> Response | None:
    """Find the lag at which busy and idle power differ most, 0 if the load is not seen; None for too short a trace."""
    if len(trace.times) < 2 or not wave.busy or not wave.idle:
        return None
    longest_s = min(stop - start for start, stop in wave.busy)
    tried = [_shifted(trace, wave, longest_s * step / LAGS) for step in range(LAGS)]
    best = max(tried, key=lambda response: response.busy_w - response.idle_w)
    return best if best.is_seen else tried[0]


def _shifted(trace: Trace, wave: Wave, lag_s: float) -> Response:
    def power(spans: Sequence[tuple[float, float]]) -> float:
        end = trace.times[-1]
        shifted = [(start + lag_s, min(stop + lag_s, end)) for start, stop in spans if start + lag_s < end]
        return sum(trace.energy(*span) for span in shifted) / sum(stop - start for start, stop in shifted)

    return Response(power(wave.idle), power(wave.busy), lag_s)


def classify(traces: Mapping[str, Trace], wave: Wave, update_period_s: float) -> dict[str, Fault]:
    """Name the fault of every channel of one meter, which claims to refresh every `update_period_s` seconds."""
    faults: dict[str, Fault] = {}
    for channel, trace in traces.items():
        sound = [traces[other] for other, fault in faults.items() if fault in COUNTING]
        faults[channel] = _alone(trace) or _mirrors(trace, sound) or _under_load(trace, wave, update_period_s)
    return faults


def _alone(trace: Trace) -> Fault | None:
    """Judge a channel by itself: counters that fall, and values that stand still."""
    if len(trace.times) < 2 or _standstill(trace) > STUCK_SHARE:
        return None if _falls(trace) else Fault.STUCK
    return _falls(trace)


def _falls(trace: Trace) -> Fault | None:
    """Tell a wrap, which lands within one rise of zero, from a step back to anywhere else."""
    steps = [step for _, step in trace.changes]
    if trace.is_power or min(steps, default=0.0) >= 0:
        return None
    rise = max(0.0, *steps)
    landed = [after for before, after in itertools.pairwise(trace.values) if after < before]
    far = all(-step > rise for step in steps if step < 0)
    return Fault.WRAPPING if far and max(landed) <= rise else Fault.BACKWARDS


def _standstill(trace: Trace) -> float:
    """Return the longest time without a change as a share of the trace; a power may stand still for all but the whole."""
    ends = [trace.times[0], *(time for time, _ in trace.changes), trace.times[-1]]
    if trace.is_power:
        return float(len(ends) == 2)
    return max(b - a for a, b in itertools.pairwise(ends)) / (ends[-1] - ends[0])


def _mirrors(trace: Trace, others: Sequence[Trace]) -> Fault | None:
    """Look for a channel with the same energies, piece by piece."""
    start, length = trace.times[0], (trace.times[-1] - trace.times[0]) / CHUNKS
    pieces = [(start + index * length, start + (index + 1) * length) for index in range(CHUNKS)]
    mine = [trace.energy(*piece) for piece in pieces]
    for other in others:
        theirs = [other.energy(*piece) for piece in pieces]
        pairs = [(a, b) for a, b in zip(mine, theirs, strict=True) if a > 0 and b > 0]
        equal = sum(abs(a - b) <= MIRROR_TOLERANCE * a for a, b in pairs)
        if len(pairs) >= 3 and equal >= MIRROR_SHARE * len(pairs):
            return Fault.MIRRORED
    return None


def _under_load(trace: Trace, wave: Wave, update_period_s: float) -> Fault:
    """Judge a channel by how it follows the load."""
    response = respond(trace, wave)
    if response is None or not response.is_seen:
        return Fault.GOOD
    if _steps_alike(trace, wave, response.lag_s, update_period_s):
        return Fault.QUANTISED
    return Fault.DELAYED if response.lag_s > max(DELAY_S, 3 * update_period_s) else Fault.GOOD


def _steps_alike(trace: Trace, wave: Wave, lag_s: float, update_period_s: float) -> bool:
    """Say whether a counter's steps are of one size whatever the load, so that only their rate tells the power.

    A sensor that refreshes at a fixed rate has steps in proportion to the power. Where idling makes too few steps to compare,
    busy ones of one size tell it if they are rarer than the refresh.
    """
    if trace.is_power:
        return False
    idle, busy = (_steps(trace, spans, lag_s) for spans in (wave.idle, wave.busy))
    if len(busy) < 3:
        return False
    if len(idle) >= 3:
        return abs(median(busy) - median(idle)) <= ALIKE * median(idle)
    busy_s = sum(stop - start for start, stop in wave.busy)
    return max(busy) - min(busy) <= ALIKE * median(busy) and busy_s / len(busy) >= 3 * update_period_s


def _steps(trace: Trace, spans: Sequence[tuple[float, float]], lag_s: float) -> list[float]:
    """Return the changes of the value within spans that are shifted by a lag."""
    times = [time for time, _ in trace.changes]
    shifted = ((start + lag_s, stop + lag_s) for start, stop in spans)
    slices = ((bisect.bisect_left(times, start), bisect.bisect_left(times, stop)) for start, stop in shifted)
    return [step for first, last in slices for _, step in trace.changes[first:last]]
