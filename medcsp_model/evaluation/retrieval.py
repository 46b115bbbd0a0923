"""Retrieval by the paper's definition: P@K = hits / K and R@K = hits / relevant, both averaged over queries."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512


def relevant_ranks(
    queries_QD: NDArray[np.float32], candidates_CD: NDArray[np.float32], query_of_candidate: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rank of every candidate in the list of the query it is relevant to.

    A list is ordered by inner product, highest first, and by candidate index where products are equal, so that ties are
    stable.

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
