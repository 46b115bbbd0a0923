"""Retrieval in both directions against lists sorted in plain Python, chance against every order there is."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcsp_model.evaluation import retrieval
from medcsp_model.evaluation.bootstrap import cluster_median_interval
from medcsp_model.evaluation.retrieval import (
    Relevant,
    ceiling,
    chance,
    exact_ranks,
    first_frontal,
    method_rows,
    query_measures,
    reference_rows,
    text_groups,
)

KS = (1, 2, 5)


def unit(rng, count, width):
    e = rng.normal(size=(count, width)).astype(np.float32)
    return e / np.linalg.norm(e, axis=1, keepdims=True)


def sorted_list(query, candidates):
    products = [math.fsum(float(a) * float(b) for a, b in zip(query, each, strict=True)) for each in candidates]
    return sorted(range(len(candidates)), key=lambda place: (-products[place], place))


def measures_by_hand(queries, candidates, groups, own):
    """Every measure of every query from its sorted list."""
    rows = []
    for query, group in zip(queries, own, strict=True):
        found = [groups[place] == group for place in sorted_list(query, candidates)]
        total, row = sum(found), {}
        for k in (k for k in KS if k <= len(found)):
            hits = sum(found[:k])
            row |= {("precision_at_k", k): hits / k, ("recall_at_k", k): hits / total, ("hit_at_k", k): float(hits > 0)}
        first = found.index(True) + 1
        at = [sum(found[: place + 1]) / (place + 1) for place, hit in enumerate(found) if hit]
        rows.append(
            row
            | {("reciprocal_rank", 0): 1 / first, ("average_precision", 0): sum(at) / total, ("first_rank", 0): first}
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


@settings(deadline=None, max_examples=15, derandomize=True)
@given(st.integers(1, 9), st.integers(0, 12), st.integers(1, 4), st.integers(0, 10_000), st.booleans())
def test_all_measures_are_those_of_sorted_lists(num_queries, extra, num_groups, seed, ties):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.r_[np.arange(num_groups), rng.integers(0, num_groups, size=extra)])
    own = rng.integers(0, num_groups, size=num_queries)
    if ties:
        queries = rng.integers(-1, 2, size=(num_queries, 3)).astype(np.float32) / 2
        candidates = rng.integers(-1, 2, size=(len(groups), 3)).astype(np.float32) / 2
    else:
        queries, candidates = unit(rng, num_queries, 6), unit(rng, len(groups), 6)
    relevant = Relevant.of_groups(own, groups)
    kept = [k for k in KS if k <= len(groups)]
    found = query_measures(exact_ranks(queries, candidates, relevant), relevant, ks=kept)
    expected = measures_by_hand(queries, candidates, groups.tolist(), own.tolist())
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-12, err_msg=str(name))


def test_candidates_that_float32_cannot_tell_apart_are_ranked_by_float64(monkeypatch):
    """Vectors that differ in the last bit; the size of blocks and the way of counting change no rank."""
    rng = np.random.default_rng(0)
    base = unit(rng, 1, 64)
    near = np.repeat(base, 90, axis=0)
    near[np.arange(90), rng.integers(0, 64, size=90)] *= np.float32(1 + 2**-22)
    candidates = np.concatenate([near, unit(rng, 40, 64)]).astype(np.float32) * np.float32(0.999)
    queries = np.concatenate([base, unit(rng, 20, 64)])
    groups = np.arange(130) % 21
    relevant = Relevant.of_groups(np.arange(21), groups)
    ranks = exact_ranks(queries, candidates, relevant)
    for query in range(21):
        place = np.argsort(sorted_list(queries[query], candidates))
        held = relevant.query_P == query
        assert ranks[held].tolist() == place[relevant.candidate_P[held]].tolist()
    for name, value in (("_QUERIES", 4), ("_SORT_FROM", 0), ("_CLOSE", 7)):
        monkeypatch.setattr(retrieval, name, value)
        assert np.array_equal(exact_ranks(queries, candidates, relevant), ranks)


def test_both_directions_and_identical_texts():
    """Studies 0 and 2 have the same report; image 0 and 1 are of study 0, image 2 of 1, image 3 of 2."""
    study_of_image, texts = np.array([0, 0, 1, 2]), ["No change.", "Effusion.", " no  CHANGE. "]
    groups = text_groups(texts)
    assert groups.tolist() == [0, 1, 0]
    to_image = Relevant.of_groups(np.arange(3), study_of_image)
    assert to_image.counts.tolist() == [2, 1, 1]
    alike = Relevant.of_groups(groups, groups[study_of_image])
    assert [alike.candidate_P[alike.query_P == query].tolist() for query in range(3)] == [[0, 1, 3], [2], [0, 1, 3]]
    to_text = Relevant.of_groups(study_of_image, np.arange(3))
    assert to_text.counts.tolist() == [1, 1, 1, 1]
    alike = Relevant.of_groups(groups[study_of_image], groups)
    assert alike.counts.tolist() == [2, 2, 1, 2]


def test_one_frontal_image_a_study():
    views = ["LATERAL", "AP", "PA", "", "PA", "LL"]
    assert first_frontal(views, np.array([7, 7, 7, 8, 3, 3])).tolist() == [1, 4]


@pytest.mark.parametrize(("counts", "num"), [((1, 3), 5), ((2,), 6), ((4, 1, 1), 4)])
def test_chance_is_the_mean_over_every_order(counts, num):
    orders = list(itertools.permutations(range(num)))
    queries = np.concatenate([np.full(count, query) for query, count in enumerate(counts)])
    candidates = np.concatenate([np.arange(count) for count in counts])
    relevant = Relevant(np.r_[0, np.cumsum(counts)], queries, candidates, num)
    every = [query_measures(np.array(order)[candidates], relevant, ks=(1, 3)) for order in orders]
    expected = chance(relevant, ks=(1, 3))
    for name in expected.keys() - {("median_rank", 0)}:
        assert expected[name] == pytest.approx(np.mean([each[name].mean() for each in every]), abs=1e-12), name
    first = np.sort(np.concatenate([each["first_rank", 0] for each in every]))
    assert expected["median_rank", 0] == first[(len(first) - 1) // 2]


def test_the_ceiling_is_reached_by_a_perfect_list():
    relevant = Relevant.of_groups(np.arange(3), np.array([0, 1, 1, 2, 2, 2]))
    perfect = np.concatenate([np.arange(count) for count in relevant.counts])
    found = query_measures(perfect, relevant, ks=KS)
    best = ceiling(relevant, ks=KS)
    for name in best.keys() - {("median_rank", 0)}:
        assert found[name].mean() == pytest.approx(best[name]), name


def test_rows_of_a_search():
    rng = np.random.default_rng(1)
    study_of_image = np.repeat(np.arange(30), 2)
    texts, subject = unit(rng, 30, 16), np.arange(30) // 2
    images = texts[study_of_image] + 0.2 * rng.normal(size=(60, 16)).astype(np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    relevant = Relevant.of_groups(np.arange(30), study_of_image)
    ranks = exact_ranks(texts, images, relevant)
    found = query_measures(ranks, relevant, ks=(1, 5))
    rows = method_rows(found, subject, method="toy", num_draws=200) + reference_rows(relevant, ks=(1, 5, 100))
    ours = {(row["metric"], row["k"]): row for row in rows if row["method"] == "toy"}
    by_chance = {(row["metric"], row["k"]): row["value"] for row in rows if row["method"] == "chance"}
    assert ours.keys() == by_chance.keys() == {(row["metric"], row["k"]) for row in rows if row["method"] == "ceiling"}
    assert {k for _, k in ours} == {0, 1, 5}
    for name, row in ours.items():
        assert row["ci_low"] - 1e-9 <= row["value"] <= row["ci_high"] + 1e-9 and row["n"] == 30
        assert (row["value"] < by_chance[name]) == (name[0] == "median_rank")


def test_the_medians_interval_is_the_loop_over_draws():
    rng = np.random.default_rng(3)
    subject, values = np.array([7, 7, 2, 9, 9, 9, 4, 5]), rng.integers(0, 5, size=8).astype(float)
    draws = np.random.default_rng(5)
    medians = []
    for _ in range(50):
        drawn = [np.unique(subject)[place] for place in draws.integers(5, size=5)]
        rows = np.sort(np.concatenate([values[subject == name] for name in drawn]))
        medians.append(rows[(len(rows) - 1) // 2])
    low, high = cluster_median_interval(values, subject, num_draws=50, seed=5)
    assert (low, high) == pytest.approx((np.quantile(medians, 0.025), np.quantile(medians, 0.975)))


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match="1 of 3 queries have no relevant candidate"):
        Relevant.of_groups(np.arange(3), np.array([0, 2]))
    relevant = Relevant.of_groups(np.arange(2), np.arange(2))
    e = np.eye(2, dtype=np.float32)
    for bad in (np.nan, 2.0):
        with pytest.raises(ValueError, match="candidates: 1 of 2 embeddings are not finite or longer than 1"):
            exact_ranks(e, e * np.array([[1], [bad]], dtype=np.float32), relevant)
