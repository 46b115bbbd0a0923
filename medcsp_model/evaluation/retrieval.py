"""Retrieval by the paper's definition: P@K = hits / K and R@K = hits / relevant, both averaged over queries.

Above, the paper's own search: every candidate is relevant to one query. Below, any search in either direction: text to
image, image to text, by identity or with all studies of one text relevant, all views or one frontal image a study. A
search is two arrays of embeddings and two arrays of groups; nothing here knows which of them are texts.

Letters: Q queries, C candidates, P relevant pairs, D width, M measures.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from medcsp_model.evaluation.bootstrap import cluster_interval, cluster_median_interval, ends

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

FRONTAL = ("AP", "PA", "frontal")
"""View positions of frontal images, as DICOM has them, and their common name."""
_BLOCK = 512
_QUERIES = 256
"""Queries multiplied at a time: their similarities to 20,000 candidates are 20 MB."""
_SORT_FROM = 12
"""A row with more relevant candidates than this is sorted once, others are counted through."""
_CLOSE = 1 << 14
"""Products computed again at a time."""


def relevant_ranks(
    queries_QD: NDArray[np.float32], candidates_CD: NDArray[np.float32], query_of_candidate: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rank of every candidate in the list of the query it is relevant to; for a look while training, see `exact_ranks`.

    A list is ordered by inner product, highest first, and by candidate index where products are equal, so that ties are
    stable. The product is float32: embeddings that nearly coincide are ordered by its rounding.

    Args:
        queries_QD: query embeddings.
        candidates_CD: candidate embeddings.
        query_of_candidate: the one query each candidate is relevant to, int64 (C,).

    Returns:
        Ranks from 0, int64 (C,).
    """
    ranks = np.empty(len(candidates_CD), dtype=np.int64)
    position = np.arange(len(candidates_CD))
    order = np.argsort(query_of_candidate, kind="stable")
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        rows, row_of = np.unique(query_of_candidate[block], return_inverse=True)
        similarity_BC = (queries_QD[rows] @ candidates_CD.T)[row_of]
        own_B1 = similarity_BC[np.arange(len(block)), block][:, None]
        ahead_BC = (similarity_BC > own_B1) | ((similarity_BC == own_B1) & (position < block[:, None]))
        ranks[block] = ahead_BC.sum(axis=1)
    return ranks


def hits_at(
    ranks: NDArray[np.int64], query_of_candidate: NDArray[np.int64], *, num_queries: int, ks: Sequence[int]
) -> NDArray[np.int64]:
    """Relevant candidates among the first k results, int64 (num_queries, len(ks))."""
    columns = [np.bincount(query_of_candidate[ranks < k], minlength=num_queries) for k in ks]
    return np.stack(columns, axis=1).astype(np.int64)


def chance_precision(num_relevant: NDArray[np.int64], num_candidates: int) -> float:
    """Expected P@K of a random order, whatever K: the mean over queries of relevant / candidates."""
    return float(np.mean(num_relevant / num_candidates))


def chance_recall(k: int, num_candidates: int) -> float:
    """Expected R@K of a random order: K / candidates."""
    return k / num_candidates


def chance_average_precision(num_relevant: int, num_candidates: int) -> float:
    """Expected average precision of a random order with one relevant candidate or more.

    With r of C relevant (H_C + (r - 1) / (C - 1) (C - H_C)) / C, H_C the harmonic number: above the prevalence r / C,
    the more the fewer candidates there are.
    """
    harmonic = float((1 / np.arange(1, num_candidates + 1)).sum())
    others = (num_relevant - 1) / (num_candidates - 1) if num_candidates > 1 else 0.0
    return (harmonic + others * (num_candidates - harmonic)) / num_candidates


# Any number of relevant candidates per query ------------------------------------------------------------------------


@dataclass(frozen=True)
class Relevant:
    """Which candidates are relevant to which query, as compressed rows.

    Attributes:
        indptr: where each query's pairs begin and end, int64 (Q + 1,).
        query_P: query of each pair, int64 (P,), rising.
        candidate_P: candidate of each pair, int64 (P,), rising within a query.
        num_candidates: length of every list.
    """

    indptr: Ints
    query_P: Ints
    candidate_P: Ints
    num_candidates: int

    @classmethod
    def of_groups(cls, group_Q: Ints, group_C: Ints) -> Self:
        """A candidate is relevant to a query of the same group: one study, or all studies with one text.

        Raises:
            ValueError: a query without any relevant candidate, whose recall has no value.
        """
        by_group = np.argsort(group_C, kind="stable")
        sorted_C = group_C[by_group]
        first_Q = np.searchsorted(sorted_C, group_Q, side="left")
        count_Q = np.searchsorted(sorted_C, group_Q, side="right") - first_Q
        if not count_Q.all():
            raise ValueError(
                f"{int((count_Q == 0).sum())} of {len(group_Q)} queries have no relevant candidate: leave them out"
            )
        indptr = np.concatenate([[0], np.cumsum(count_Q)]).astype(np.int64)
        query_P = np.repeat(np.arange(len(group_Q)), count_Q)
        place_P = np.arange(indptr[-1]) - indptr[query_P] + first_Q[query_P]
        return cls(indptr, query_P, by_group[place_P].astype(np.int64), len(group_C))

    @property
    def counts(self) -> Ints:
        """Number of relevant candidates of each query."""
        return np.diff(self.indptr)


def text_groups(texts: Sequence[str]) -> Ints:
    """Number of each text's group: texts that are equal but for case and white space share one."""
    numbers: dict[str, int] = {}
    plain = (" ".join(text.lower().split()) for text in texts)
    return np.array([numbers.setdefault(text, len(numbers)) for text in plain], dtype=np.int64)


def first_frontal(view_C: Sequence[str], study_C: Ints) -> Ints:
    """Position of the first frontal image (PA, AP or frontal) of every study that has one, rising."""
    frontal = np.flatnonzero(np.isin(np.asarray(view_C), FRONTAL))
    _, first = np.unique(study_C[frontal], return_index=True)
    return np.sort(frontal[first])


def exact_ranks(queries_QD: Singles, candidates_CD: Singles, relevant: Relevant) -> Ints:
    """Rank from 0 of every relevant pair in its query's list, the same to the last bit however it is computed.

    A list is ordered by inner product in float64, highest first, and by candidate index where products are equal. The
    float32 product is asked first and decides what lies further apart than its rounding error can be (D units in the
    last place, for vectors of length 1); the rest is computed again. Ranks therefore depend neither on the number of
    threads nor on blocks or the library behind `@`. Where a model gives all candidates nearly the same embedding,
    nearly everything is computed again: minutes instead of seconds for 20,000 of them, and still right.

    Args:
        queries_QD: embeddings of length 1 or shorter.
        candidates_CD: the same of candidates.
        relevant: the pairs.

    Returns:
        ranks, int64 (P,), in the order of the pairs.

    Raises:
        ValueError: embeddings that are not finite or longer than 1.
    """
    for name, e in (("queries", queries_QD), ("candidates", candidates_CD)):
        bad = ~(np.einsum("nd,nd->n", e, e) <= 1 + 1e-3)
        if bad.any():
            raise ValueError(f"{name}: {int(bad.sum())} of {len(e)} embeddings are not finite or longer than 1")
    ranks = np.empty(len(relevant.query_P), dtype=np.int64)
    slack = (queries_QD.shape[1] + 4) * 2.0**-24  # a sum of D rounded products is no further off, whatever its order
    starts = range(0, len(queries_QD), _QUERIES)
    with ThreadPoolExecutor(1) as ranker:  # one core ranks a block while the next is multiplied
        waiting = None
        for start in starts:
            similarity_BC = queries_QD[start : start + _QUERIES] @ candidates_CD.T
            if waiting is not None:
                waiting.result()
            waiting = ranker.submit(
                _rank_block, similarity_BC, start, queries_QD, candidates_CD, relevant, slack, out=ranks
            )
        if waiting is not None:
            waiting.result()
    return ranks


def _rank_block(
    similarity_BC: Singles,
    start: int,
    queries_QD: Singles,
    candidates_CD: Singles,
    relevant: Relevant,
    slack: float,
    *,
    out: Ints,
) -> None:
    """Ranks of the pairs of some queries; `slack` is how far a float32 product may be off."""
    first, last = relevant.indptr[start], relevant.indptr[start + len(similarity_BC)]
    pairs = np.arange(first, last)
    own_P = _products(queries_QD[relevant.query_P[pairs]], candidates_CD[relevant.candidate_P[pairs]])
    above_P, below_P = (own_P + slack).astype(np.float32), (own_P - slack).astype(np.float32)
    close_pairs, close_candidates = [], []
    for row, begin in enumerate(relevant.indptr[start : start + len(similarity_BC)] - first):
        end = relevant.indptr[start + row + 1] - first
        values_C = similarity_BC[row]
        num_above, num_reached = _count(values_C, above_P[begin:end], below_P[begin:end])
        out[first + begin : first + end] = num_above
        for pair in begin + np.flatnonzero(num_reached - num_above > 1):
            near = np.flatnonzero((values_C >= below_P[pair]) & (values_C <= above_P[pair]))
            close_pairs.append(np.full(len(near), pair))
            close_candidates.append(near)
    if not close_pairs:
        return
    pair_N, candidate_N = np.concatenate(close_pairs), np.concatenate(close_candidates)
    for part in range(0, len(pair_N), _CLOSE):
        of_pair, candidate = pair_N[part : part + _CLOSE], candidate_N[part : part + _CLOSE]
        value = _products(queries_QD[relevant.query_P[first + of_pair]], candidates_CD[candidate])
        earlier = candidate < relevant.candidate_P[first + of_pair]
        ahead = (value > own_P[of_pair]) | ((value == own_P[of_pair]) & earlier)
        out[first : first + len(own_P)] += np.bincount(of_pair[ahead], minlength=len(own_P))


def _count(values_C: Singles, above_R: Singles, below_R: Singles) -> tuple[Ints, Ints]:
    """How many values lie above each of the upper bounds, and how many reach each of the lower ones."""
    if len(above_R) > _SORT_FROM:
        ordered_C = np.sort(values_C)
        above = len(ordered_C) - np.searchsorted(ordered_C, above_R, side="right")
        return above, len(ordered_C) - np.searchsorted(ordered_C, below_R, side="left")
    above = np.array([np.count_nonzero(values_C > bound) for bound in above_R], dtype=np.int64)
    return above, np.array([np.count_nonzero(values_C >= bound) for bound in below_R], dtype=np.int64)


def _products(left_ND: Singles, right_ND: Singles) -> Floats:
    """Inner products row by row in float64: a row's bits do not depend on what stands beside it."""
    product_N: Floats = np.einsum("nd,nd->n", left_ND.astype(np.float64), right_ND.astype(np.float64))
    return product_N


def query_measures(ranks_P: Ints, relevant: Relevant, *, ks: Sequence[int]) -> dict[tuple[str, int], Floats]:
    """Every measure of every query, float64 (Q,), by name and K (0 for those that look at the whole list).

    `precision_at_k` = hits / K and `recall_at_k` = hits / relevant as in the paper, `hit_at_k` = any hit,
    `reciprocal_rank` and `first_rank` (from 1) of the best relevant candidate, `average_precision` = mean precision at
    each relevant one; their means over queries are MRR and mAP.
    """
    query_P, num_queries, count_Q = relevant.query_P, len(relevant.counts), relevant.counts
    first_Q = np.minimum.reduceat(ranks_P, relevant.indptr[:-1]) + 1
    order = np.lexsort((ranks_P, query_P))
    place_P = np.arange(len(order)) - relevant.indptr[query_P] + 1
    precision_P = place_P / (ranks_P[order] + 1)
    found: dict[tuple[str, int], Floats] = {}
    hits = {k: np.bincount(query_P[ranks_P < k], minlength=num_queries) for k in ks}
    found |= {("precision_at_k", k): hits[k] / k for k in ks}
    found |= {("recall_at_k", k): hits[k] / count_Q for k in ks}
    found |= {("hit_at_k", k): (hits[k] > 0).astype(np.float64) for k in ks}
    found["reciprocal_rank", 0] = 1 / first_Q
    found["average_precision", 0] = np.add.reduceat(precision_P, relevant.indptr[:-1]) / count_Q
    found["first_rank", 0] = first_Q.astype(np.float64)
    return found


def ceiling(relevant: Relevant, *, ks: Sequence[int]) -> dict[tuple[str, int], float]:
    """What a list with all relevant candidates in front would have."""
    count_Q = relevant.counts
    best: dict[tuple[str, int], float] = {}
    for k in ks:
        hits_Q = np.minimum(count_Q, k)
        best["precision_at_k", k] = float(np.mean(hits_Q / k))
        best["recall_at_k", k] = float(np.mean(hits_Q / count_Q))
        best["hit_at_k", k] = 1.0
    return best | {("reciprocal_rank", 0): 1.0, ("average_precision", 0): 1.0, ("median_rank", 0): 1.0}


def chance(relevant: Relevant, *, ks: Sequence[int]) -> dict[tuple[str, int], float]:
    """What a random order has on average, in closed form.

    With r of C candidates relevant: P@K = r / C, R@K = K / C, hit@K = 1 - C(C - r, K) / C(C, K), and AP as in
    `chance_average_precision`. The median rank is the first K that half of all queries' hit@K reaches.
    """
    num = relevant.num_candidates
    counts, weight = np.unique(relevant.counts, return_counts=True)
    share = weight / weight.sum()
    k_C = np.arange(1, num + 1)
    missed_C, reciprocal, average = np.zeros(num), 0.0, 0.0
    for r, part in zip(counts.tolist(), share.tolist(), strict=True):
        none_C = np.cumprod(np.maximum(num - r - k_C + 1, 0) / (num - k_C + 1))
        reciprocal += part * float(((np.concatenate([[1.0], none_C[:-1]]) - none_C) / k_C).sum())
        average += part * chance_average_precision(r, num)
        missed_C += part * none_C
    expected: dict[tuple[str, int], float] = {}
    for k in ks:
        expected["precision_at_k", k] = chance_precision(relevant.counts, num)
        expected["recall_at_k", k] = chance_recall(min(k, num), num)
        expected["hit_at_k", k] = 1 - float(missed_C[min(k, num) - 1])
    expected |= {("reciprocal_rank", 0): reciprocal, ("average_precision", 0): average}
    expected["median_rank", 0] = float(k_C[np.flatnonzero(missed_C <= 0.5 + 1e-12)[0]])
    return expected


def method_rows(
    found: Mapping[tuple[str, int], Floats], subject_Q: Ints, *, method: str, num_draws: int = 10_000, seed: int = 0
) -> list[dict[str, Any]]:
    """Rows of one method with intervals by resampling subjects.

    Args:
        found: what `query_measures` found.
        subject_Q: patient of each query; the candidates stay as they are.
        method: name of the rows' method.
        num_draws: draws of patients.
        seed: of the draws.

    Returns:
        rows of method, metric, k (0: the whole list), value, ci_low, ci_high (null of fewer than five patients), n;
        `first_rank` has become `median_rank`.
    """
    found = dict(found)
    first_Q = found.pop(("first_rank", 0))
    values_QM = np.stack(list(found.values()), axis=1)
    low, high = cluster_interval(values_QM, subject_Q, num_draws=num_draws, seed=seed)
    means = zip(found, values_QM.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    estimates = {name: (value, below, above) for name, value, below, above in means}
    median = cluster_median_interval(first_Q, subject_Q, num_draws=num_draws, seed=seed)
    estimates["median_rank", 0] = (float(np.median(first_Q)), *median)
    n = len(first_Q)
    return [
        {"method": method, "metric": metric, "k": k, "value": value, **ends(below, above), "n": n}
        for (metric, k), (value, below, above) in estimates.items()
    ]


def reference_rows(relevant: Relevant, *, ks: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of `ceiling` and `chance`, in closed form; cut-offs beyond the number of candidates are left out."""
    kept, n = [k for k in ks if k <= relevant.num_candidates], len(relevant.counts)
    return [
        {"method": name, "metric": metric, "k": k, "value": value, "ci_low": None, "ci_high": None, "n": n}
        for name, values in (("ceiling", ceiling(relevant, ks=kept)), ("chance", chance(relevant, ks=kept)))
        for (metric, k), value in values.items()
    ]
