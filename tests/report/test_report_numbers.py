from __future__ import annotations

import pytest

from fobench.report.numbers import Scale, count, exact, scale, with_deviation


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (12.3456, 0.0678, "12.346 ± 0.068"),
        (12.3456, 1.5, "12.3 ± 1.5"),
        (1234.5, 67.8, "1,234 ± 68"),
        (5.0, None, "5.000"),
        (5.0, 0.0, "5.000 ± 0"),
        (0.0, 0.5, "0.00 ± 0.50"),
        (1.0, 1e-9, "1.0000 ± <0.0001"),
    ],
)
def test_the_deviation_decides_the_digits(mean, deviation, text):
    assert with_deviation(mean, deviation) == text


@pytest.mark.parametrize(
    ("value", "text"), [(24.676, "24.676"), (2.0, "2"), (0.0, "0"), (107.664, "107.664"), (1e6, "1,000,000")]
)
def test_exact_values_keep_what_they_have(value, text):
    assert exact(value) == text


@pytest.mark.parametrize(
    ("values", "unit", "divisor", "found"),
    [
        ([0.072, 0.036], "Wh", 3600.0, "µWh"),
        ([12.0, 15.0], "J", 1.0, "J"),
        ([24_676_000.0], "MAC", 1.0, "M MAC"),
        ([], "B", 1.0, "B"),
        ([0.0], "B", 1.0, "B"),
        ([1000.0], "B", 1.0, "kB"),
    ],
)
def test_the_prefix_puts_the_median_between_one_and_a_thousand(values, unit, divisor, found):
    assert scale(values, unit, divisor).unit == found


def test_a_scale_divides():
    assert scale([0.0042], "s") == Scale(pytest.approx(1e-3), "ms")


@pytest.mark.parametrize(("value", "text"), [(9210, "9,210"), (12_370_010, "12.37 M"), (50_000, "50 k")])
def test_counts_are_short(value, text):
    assert count(value) == text
