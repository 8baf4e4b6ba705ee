"""Curves of the test error and the plateau fit: golden values of the reference, and curves with known numbers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from living_results import SLOWNESS, Living
from synthetic_results import Synthetic

from fobench.report.convergence import FIT_EPOCHS, Plateau, published, robust
from fobench.report.curves import curves
from fobench.report.document import Note, Table, Value
from fobench.report.inputs import read
from fobench.report.sections.learning import learning

TUTORIAL = (
    0.3512, 0.3807, 0.409, 0.4041, 0.414, 0.3976, 0.4373, 0.4508, 0.4528, 0.4505, 0.4466, 0.4589, 0.4739, 0.4695, 0.4741, 0.479,
    0.4852, 0.4853, 0.4639, 0.4861, 0.4727, 0.4905,
)  # fmt: skip
"""Test accuracies of the tutorial run of the PEPITA authors."""


def fitted(fit: Plateau | str) -> Plateau:
    assert isinstance(fit, Plateau), fit
    return fit


def test_the_published_procedure_gives_the_golden_values() -> None:
    curve = fitted(published([0.98 * x / (0.5 + x) for x in range(1, 61)], 0.1))
    assert (curve.plateau, curve.slowness) == (pytest.approx(0.971765, abs=1e-6), pytest.approx(0.452997, abs=1e-5))
    tutorial = fitted(published(TUTORIAL, 0.1))
    assert (tutorial.plateau, tutorial.slowness) == (0.4905, pytest.approx(0.601032, abs=1e-5))


def test_the_published_procedure_sees_sixty_points_and_no_more() -> None:
    curve = [0.9 * x / (3 + x) for x in range(1, 200)]
    assert published(curve, 0.1) == published(curve[: FIT_EPOCHS - 1], 0.1) != published(curve[:40], 0.1)


@settings(max_examples=30)
@given(st.floats(0.3, 0.99), st.floats(0.2, 5), st.floats(0, 0.25))
def test_the_robust_fit_finds_the_numbers_of_a_curve_of_its_model(top: float, slowness: float, start: float) -> None:
    epochs = [0.5 * step for step in range(1, 31)]
    found = fitted(robust(epochs, [start + (top - start) * x / (slowness + x) for x in epochs]))
    assert found.plateau == pytest.approx(top, rel=1e-3)
    assert found.slowness == pytest.approx(slowness, rel=1e-2)


def test_the_interval_of_a_noisy_curve_holds_the_true_slowness() -> None:
    epochs = list(range(1, 31))
    noise = [0.004 * (-1) ** (x * x // 3) for x in epochs]
    found = fitted(robust(epochs, [0.2 + 0.7 * x / (2 + x) + e for x, e in zip(epochs, noise, strict=True)]))
    assert found.half_width is not None
    assert 0 < found.half_width < 2
    assert abs(found.slowness - 2) < found.half_width


@pytest.mark.parametrize(
    ("accuracies", "reason"),
    [
        ([0.5] * 4, "4 scores, a fit takes 5"),
        ([0.5], "1 score, a fit takes 5"),
        ([0.5] * 9, "flat"),
        ([0.9, 0.5, 0.9, 0.4, 0.9, 0.6, 0.9], "interval of the slowness includes 0|no least squares"),
        ([0.1 * x for x in range(1, 10)], "beyond the last score|plateau lies at"),
    ],
)
def test_curves_that_settle_nothing_are_not_fitted_and_say_why(accuracies, reason) -> None:
    found = robust(range(1, len(accuracies) + 1), accuracies)
    assert isinstance(found, str)
    assert re.search(reason, found)


def test_greedy_stages_follow_one_another_by_epochs_samples_and_joules(tmp_path) -> None:
    living = Living(labels=("bp",), datasets=("digits",), seeds=(0,), stages=2, epochs=3)
    rows = curves(read(living.write(tmp_path)), "rapl")
    assert list(rows.epochs) == [1, 2, 3, 4, 5, 6]
    assert list(rows.samples) == [1200 * epoch for epoch in range(1, 7)]
    joules = 14 * living.seconds("bp", "digits", 0)
    assert list(rows.joules) == pytest.approx([joules * window for window in range(1, 7)]), "a window for each epoch"
    assert list(1 - rows.error) == pytest.approx([living.accuracy("bp", epoch) for epoch in range(1, 7)])


def fits(blocks) -> Table:
    (table,) = (block for block in blocks if isinstance(block, Table))
    return table


def test_the_table_gives_plateau_and_slowness_of_every_learner(tmp_path) -> None:
    living = Living(datasets=("digits",), stages=1, epochs=20)
    table = fits(learning(read(living.write(tmp_path))))
    for label, row in zip(living.labels, table.rows, strict=True):
        assert row[:2] == ("digits", label)
        plateau, slowness = row[4], row[5]
        assert isinstance(plateau, Value)
        assert isinstance(slowness, Value)
        assert plateau.number == pytest.approx(100 * living.plateau(label), rel=1e-4)
        assert slowness.number == pytest.approx(SLOWNESS, rel=1e-3)
        assert isinstance(row[2], Value)
        assert row[2].number == pytest.approx(100 * living.accuracy(label, 20)), "the highest accuracy seen"
        assert row[6] == "–"


def test_results_without_classes_or_with_few_scores_say_why_nothing_is_fitted(tmp_path) -> None:
    living = Living(labels=("bp",), datasets=("digits",), stages=1, epochs=2, classes=None)
    (row,) = fits(learning(read(living.write(tmp_path)))).rows
    assert row[2:] == (
        "–", "–", "–", "–",
        "published: the number of classes is not in these results; robust: 2 scores, a fit takes 5",
    )  # fmt: skip


def test_without_scores_there_is_no_curve(tmp_path) -> None:
    blocks = learning(read(Synthetic().write(tmp_path)))
    assert [type(block) for block in blocks[1:]] == [Note]
