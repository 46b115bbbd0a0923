"""Retrieval metrics and their intervals, against versions with sorted lists and plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcsp_model.evaluation.bootstrap import cluster_interval
from medcsp_model.evaluation.retrieval import chance_precision, chance_recall, hits_at, method_rows, relevant_ranks


def ranks_by_sorting(queries, candidates, owner):
    ranks = np.empty(len(candidates), dtype=int)
    for query, vector in enumerate(queries):
        order = sorted(range(len(candidates)), key=lambda j: (-float(vector @ candidates[j]), j))
        for place, candidate in enumerate(order):
            if owner[candidate] == query:
                ranks[candidate] = place
    return ranks


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(1, 7), st.integers(1, 12), st.integers(0, 1000), st.booleans())
def test_ranks_are_those_of_a_stable_sort(num_queries, extra, seed, ties):
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.r_[np.arange(num_queries), rng.integers(0, num_queries, size=extra)])
    low, high = (0, 2) if ties else (-50, 50)
    queries = rng.integers(low, high, size=(num_queries, 3)).astype(np.float32)
    candidates = rng.integers(low, high, size=(len(owner), 3)).astype(np.float32)
    assert relevant_ranks(queries, candidates, owner).tolist() == ranks_by_sorting(queries, candidates, owner).tolist()


def test_more_candidates_than_a_block():
    rng = np.random.default_rng(0)
    owner = rng.permutation(np.r_[np.arange(300), rng.integers(0, 300, size=400)])
    queries = rng.normal(size=(300, 8)).astype(np.float32)
    candidates = rng.normal(size=(700, 8)).astype(np.float32)
    assert np.array_equal(relevant_ranks(queries, candidates, owner), ranks_by_sorting(queries, candidates, owner))


def test_the_papers_definition_by_hand():
    """Two studies, one with two images: lists are A: a1 b1 a2 and B: a1 b1 a2."""
    owner = np.array([0, 0, 1])
    ranks = np.array([0, 2, 1])
    hits = hits_at(ranks, owner, num_queries=2, ks=[1, 2, 3])
    assert hits.tolist() == [[1, 1, 2], [0, 1, 1]]
    precision = (hits / np.array([1, 2, 3])).mean(axis=0)
    recall = (hits / np.array([[2], [1]])).mean(axis=0)
    assert precision.tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert recall.tolist() == pytest.approx([0.25, 0.75, 1.0])


def test_chance_is_the_mean_of_random_orders():
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(5), [1, 3, 2, 1, 2])
    num_relevant = np.bincount(owner)
    precision, recall = [], []
    for _ in range(4000):
        ranks = np.empty(9, dtype=int)
        for query in range(5):
            order = rng.permutation(9)
            ranks[owner == query] = order[owner == query]
        hits = hits_at(ranks, owner, num_queries=5, ks=[4])
        precision.append((hits / 4).mean())
        recall.append((hits / num_relevant[:, None]).mean())
    assert np.mean(precision) == pytest.approx(chance_precision(num_relevant, 9), abs=0.005)
    assert np.mean(recall) == pytest.approx(chance_recall(4, 9), abs=0.008)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        effect = rng.normal(size=40)
        subject = np.repeat(np.arange(40), 4)
        values = effect[subject] + 0.3 * rng.normal(size=160)
        low, high = cluster_interval(values[:, None], subject, num_draws=400, seed=trial)
        covered += bool(low[0] <= 0 <= high[0])
    assert 0.88 <= covered / 200 <= 0.99


def test_resampling_subjects_is_wider_than_resampling_rows():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(30), 5)
    values = (rng.normal(size=30)[subject])[:, None]
    low, high = cluster_interval(values, subject)
    alone_low, alone_high = cluster_interval(values, np.arange(150))
    assert high - low > 1.7 * (alone_high - alone_low)


def test_interval_is_the_loop_over_draws():
    rng = np.random.default_rng(3)
    subject = np.array([7, 7, 2, 9, 9, 9, 4, 5])
    values = rng.normal(size=(8, 2))
    weights = np.random.default_rng(5).multinomial(5, [1 / 5] * 5, size=50)
    means = []
    for draw in weights:
        drawn = np.repeat([2, 4, 5, 7, 9], draw)
        means.append(np.concatenate([values[subject == name] for name in drawn]).mean(axis=0))
    low, high = cluster_interval(values, subject, num_draws=50, seed=5)
    np.testing.assert_allclose(low, np.quantile(means, 0.025, axis=0))
    np.testing.assert_allclose(high, np.quantile(means, 0.975, axis=0))


def test_fewer_than_five_patients_have_a_value_and_no_interval():
    found = {("recall_at_k", 1): np.array([0.5, 0.5, 0.0, 1.0, 0.0]), ("first_rank", 0): np.arange(1.0, 6.0)}
    for subject, has_ends in (([1, 2, 3, 4, 4], False), ([1, 2, 3, 4, 5], True)):
        rows = method_rows(found, np.array(subject), method="medcsp", num_draws=100)
        assert [(row["metric"], row["value"]) for row in rows] == [("recall_at_k", 0.4), ("median_rank", 3.0)]
        assert all((row["ci_low"] is not None) == (row["ci_high"] is not None) == has_ends for row in rows)
