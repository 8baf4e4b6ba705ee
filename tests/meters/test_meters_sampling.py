import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fobench.meters.sampling import PowerSampler, integrate


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
