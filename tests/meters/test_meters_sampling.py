import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fobench.contracts import MeterError
from fobench.meters.sampling import Integral, PowerSampler, SamplerProcess, integrate


@given(
    moments=st.lists(st.floats(0, 100), min_size=2, max_size=20, unique=True),
    watts=st.floats(0, 500),
    slope=st.floats(0, 50),
)
def test_a_ramp_is_integrated_exactly_at_any_moments(moments, watts, slope):
    """Integral of P + s t from t0 to t1: P (t1 - t0) + s (t1^2 - t0^2) / 2."""
    moments = sorted(moments)
    first, last = moments[0], moments[-1]
    expected = watts * (last - first) + slope * (last**2 - first**2) / 2
    assert integrate([(t, watts + slope * t) for t in moments]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_parabola_shows_the_error_of_the_trapezoidal_rule():
    """Error of n equal steps of length h on t^2: n h^3 / 6, always above."""
    step, steps = 0.5, 8
    samples = [(i * step, (i * step) ** 2) for i in range(steps + 1)]
    assert integrate(samples) == pytest.approx(4**3 / 3 + steps * step**3 / 6)


def test_a_window_has_a_sample_at_both_ends_and_some_between():
    seen = []

    def read():
        seen.append(time.perf_counter())
        return 10.0

    sampler = PowerSampler(read, 0.001)
    sampler.start()
    while len(seen) < 4:
        time.sleep(0.001)
    joules = sampler.stop()
    # Each sample is stamped after its reading, so that the ends lie between these.
    assert 10.0 * (seen[-1] - seen[1]) <= joules <= 10.0 * (time.perf_counter() - seen[0])


@pytest.mark.parametrize("script", [[None, 5.0, 5.0], [5.0, 5.0, None], [None, None, None]])
def test_a_missing_end_gives_nothing_rather_than_a_part(script):
    answers = iter(script)
    sampler = PowerSampler(lambda: next(answers), 60.0)
    sampler.start()
    assert next(answers) == script[1]
    assert sampler.stop() is None


@pytest.mark.parametrize(
    ("script", "joules"),
    [([4.0], 0.0), ([4.0, None, 4.0], 8.0), ([None, 4.0], None), ([4.0, None], None), ([4.0, None, None, 2.0], 9.0)],
)
def test_an_integral_needs_its_first_and_last_sample_only(script, joules, monkeypatch):
    """One second between samples: what is missing in between is bridged by the trapezoid."""
    now = iter(range(100))
    integral = Integral(iter(script).__next__)
    clock = {"now": 0}
    monkeypatch.setattr(time, "perf_counter", lambda: clock["now"])
    for _ in script:
        clock["now"] = next(now)
        integral.sample()
    assert integral.joules == joules


# --- the process of its own -----------------------------------------------------------------------------------------------------

READERS = """
def make(watts, missing):
    readers = {"steady": lambda: watts, "missing": lambda: None}
    return readers if missing else {"steady": readers["steady"]}

def silent():
    raise OSError(5, "no sensor here")
"""


@pytest.fixture
def sampler(tmp_path, monkeypatch):
    (tmp_path / "readers_of_this_test.py").write_text(READERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    samplers = []

    def start(*arguments):
        samplers.append(SamplerProcess("readers_of_this_test:make", arguments, 0.005))
        return samplers[-1]

    yield start
    for process in samplers:
        process.close()


def test_windows_of_the_process_are_integrated_one_by_one(sampler):
    process = sampler(20.0, True)
    for seconds in (0.05, 0.02):
        before = time.perf_counter()
        process.start()
        begun = time.perf_counter()
        time.sleep(seconds)
        slept = time.perf_counter() - begun
        joules = process.stop()
        assert joules["missing"] is None
        assert 20 * slept * 0.999 <= joules["steady"] <= 20 * (time.perf_counter() - before)


def test_the_process_ends_when_closed_also_within_a_window(sampler):
    process = sampler(1.0, False)
    process.start()
    process.close()
    process.close()
    assert process._process.returncode == 0
    with pytest.raises(MeterError, match="has ended"):
        process.start()


def test_a_process_that_cannot_make_its_readers_says_why(sampler):
    with pytest.raises(MeterError, match="no sensor here"):
        SamplerProcess("readers_of_this_test:silent", [], 0.1)
