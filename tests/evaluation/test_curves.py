"""Curves: the drawn area is the exact one, of any data, and no step is a person."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcsp_model.evaluation.curves import FEWEST, MOST_CELLS, curve, num_cells

CLOSE = 1e-12


def brute_areas(label, score):
    """AUROC over all pairs, and average precision over all thresholds, as their definitions have them."""
    positive, negative = score[label], score[~label]
    gap = positive[:, None] - negative[None, :]
    auroc = float(np.mean((gap > 0) + 0.5 * (gap == 0)))
    found, area = 0, 0.0
    for threshold in sorted(set(score), reverse=True):
        above = score >= threshold
        area += (int(label[above].sum()) - found) / label.sum() * label[above].mean()
        found = int(label[above].sum())
    return auroc, float(area)


def drawn_areas(rows):
    """Areas of the step curves that a page draws: vertical steps of a ROC curve, level ones of precision."""
    width = np.diff([0.0, *(row["recall"] for row in rows)])
    false_positive_rate = np.array([row["false_positive_rate"] for row in rows])
    return float(width @ (1 - false_positive_rate)), float(width @ [row["precision"] for row in rows])


@st.composite
def scored(draw):
    positives, negatives = draw(st.integers(2 * FEWEST, 700)), draw(st.integers(2 * FEWEST, 300))
    num_seeds, levels = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 7, 60, 10**6]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    label = rng.permutation(np.arange(positives + negatives) < positives)
    score = np.round((rng.normal(size=(num_seeds, len(label))) + draw(st.floats(-1, 3)) * label) * levels) / levels
    return label, score


@given(scored())
@settings(max_examples=60, deadline=None)
def test_drawn_areas_are_the_exact_ones_averaged_over_the_trainings(data):
    label, score = data
    rows = curve(label, score)
    exact = np.mean([brute_areas(label, each) for each in score], axis=0)
    assert drawn_areas(rows) == pytest.approx(exact, abs=CLOSE)
    rising = [row["false_positive_rate"] for row in rows]
    assert rising == pytest.approx(np.maximum.accumulate(rising), abs=CLOSE) and 0 <= rising[0] <= rising[-1] <= 1
    assert all(0 < row["precision"] <= 1 for row in rows)
    assert len(rows) == num_cells(label) <= MOST_CELLS
    assert [row["recall"] for row in rows] == pytest.approx(np.arange(1, len(rows) + 1) / len(rows))
    assert min(label.sum(), (~label).sum()) / len(rows) >= FEWEST, "a step is of fewer than it says"


def test_every_cell_is_the_mean_of_its_own_positives():
    """Ten positives in two cells, no ties: each mean by hand."""
    label = np.array([1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0], dtype=bool)
    rows = curve(label, -np.arange(20.0))
    assert [row["false_positive_rate"] for row in rows] == pytest.approx([0.6 / 10, (3 * 3 + 4 * 2) / 50])
    precise = [[1, 1, 3 / 4, 4 / 5, 5 / 6], [6 / 9, 7 / 10, 8 / 11, 9 / 13, 10 / 14]]
    assert [row["precision"] for row in rows] == pytest.approx(np.mean(precise, axis=1))


def test_scores_without_order_are_the_diagonal():
    label = np.arange(400) % 4 == 0
    rows = curve(label, np.zeros(400))
    middles = (np.arange(20) + 0.5) / 20
    assert [row["false_positive_rate"] for row in rows] == pytest.approx(middles, abs=CLOSE)
    assert [row["precision"] for row in rows] == pytest.approx([0.25] * 20)


@pytest.mark.parametrize(
    ("positives", "negatives", "cells"), [(9, 90, 0), (90, 9, 0), (10, 10, 2), (5000, 10, 2), (700, 900, 100)]
)
def test_few_have_a_coarse_curve_and_very_few_none(positives, negatives, cells):
    label = np.arange(positives + negatives) < positives
    assert len(curve(label, np.random.default_rng(0).normal(size=len(label)))) == num_cells(label) == cells


def test_moving_one_person_moves_a_cell_by_no_more_than_its_share():
    rng = np.random.default_rng(1)
    label, score = np.arange(200) < 60, rng.normal(size=200)
    moved = score.copy()
    moved[0] = 9.0
    before, after = (np.array([row["false_positive_rate"] for row in curve(label, each)]) for each in (score, moved))
    assert np.abs(before - after).max() <= 1 / FEWEST
