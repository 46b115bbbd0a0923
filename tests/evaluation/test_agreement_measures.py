"""Recall of a list and agreement of ranks against brute force."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medcsp_model.evaluation.agreement import rank_agreement, recall_at_k


def brute_recall(similarity: np.ndarray, relevant: np.ndarray, k: int) -> list[float]:
    result = []
    for row, wanted in zip(similarity, relevant, strict=True):
        first = sorted(range(len(row)), key=lambda column: (-row[column], column))[:k]
        result.append(sum(wanted[column] for column in first) / wanted.sum() if wanted.any() else np.nan)
    return result


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 14))
def test_recall_is_that_of_a_sorted_list_ties_included(seed: int, num_candidates: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 4, size=(5, num_candidates)).astype(np.float32)
    relevant = rng.random((5, num_candidates)) < 0.3
    np.testing.assert_allclose(recall_at_k(similarity, relevant, k=k), brute_recall(similarity, relevant, k))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 5))
def test_agreement_is_spearmans_over_the_allowed_ties_included(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    similarity, truth = rng.normal(size=(4, 15)), rng.integers(0, levels, size=(4, 15)) / 3
    similarity[:, ::4] = similarity[:, [0]]
    allowed = rng.random((4, 15)) < 0.7
    found = rank_agreement(similarity, truth, allowed)
    for row in range(4):
        left, right = similarity[row, allowed[row]], truth[row, allowed[row]]
        if len(set(left)) > 1 and len(set(right)) > 1:
            assert found[row] == pytest.approx(stats.spearmanr(left, right).statistic, abs=1e-12)
        else:
            assert np.isnan(found[row])


def test_what_is_not_allowed_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    similarity, truth, allowed = rng.normal(size=(3, 9)), rng.normal(size=(3, 9)), rng.random((3, 9)) < 0.6
    other = np.where(allowed, similarity, 1e9)
    assert np.array_equal(rank_agreement(similarity, truth, allowed), rank_agreement(other, truth, allowed))
    assert not np.allclose(
        rank_agreement(similarity, truth, allowed), rank_agreement(similarity, truth, allowed | True)
    )


def test_only_some_queries_are_sorted_at_a_time() -> None:
    """Thousands of records by thousands of films: sorting all at once took ten times the memory of the similarities."""
    rng = np.random.default_rng(0)
    similarity, allowed = rng.random((4000, 1000)), rng.random((4000, 1000)) < 0.7
    tracemalloc.start()
    found = rank_agreement(similarity, similarity, allowed)
    recall = recall_at_k(similarity, allowed, k=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120e6  # 330 MB for all queries
    assert np.allclose(found, 1) and len(recall) == 4000
    assert np.array_equal(found[-2:], rank_agreement(similarity[-2:], similarity[-2:], allowed[-2:]))
    assert np.array_equal(recall[-2:], recall_at_k(similarity[-2:], allowed[-2:], k=3))
