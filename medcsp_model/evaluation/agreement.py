"""How well similarities of embeddings tell what is known of two sets of records: who belongs together, who is alike.

Both measures give one value per query (row), so that intervals can resample subjects (`cluster_interval`). Queries are
taken some at a time: sorting needs ten times the memory of the similarities.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CELLS_AT_ONCE = 1 << 20
"""Similarities whose order is held at a time, 8 MB in each of some ten arrays."""


def recall_at_k(similarity_QC: NDArray[np.floating], relevant_QC: NDArray[np.bool_], *, k: int) -> Floats:
    """Share of each query's relevant candidates among its first k, float64 (Q,); NaN for a query without any.

    Args:
        similarity_QC: similarity of each query to each candidate; equal ones go to the earlier candidate.
        relevant_QC: which candidates are relevant to which query, any number of them.
        k: length of the list.
    """
    recall_Q = np.empty(len(similarity_QC))
    for rows in _some_rows(similarity_QC):
        order_QC = np.argsort(-similarity_QC[rows], axis=1, kind="stable")
        hits_Q = np.take_along_axis(relevant_QC[rows], order_QC[:, :k], axis=1).sum(axis=1)
        count_Q = relevant_QC[rows].sum(axis=1)
        recall_Q[rows] = np.where(count_Q > 0, hits_Q / np.maximum(count_Q, 1), np.nan)
    return recall_Q


def rank_agreement(
    similarity_QC: NDArray[np.floating], truth_QC: NDArray[np.floating], allowed_QC: NDArray[np.bool_]
) -> Floats:
    """Spearman's correlation of two similarities over each query's allowed candidates, float64 (Q,).

    Equal values share the mean of their ranks. NaN where fewer than two candidates are allowed or one of the two
    similarities is the same for all of them.
    """
    agreement_Q = np.empty(len(similarity_QC))
    for rows in _some_rows(similarity_QC):
        left_QC = _centred_ranks(similarity_QC[rows], allowed_QC[rows])
        right_QC = _centred_ranks(truth_QC[rows], allowed_QC[rows])
        scale_Q = np.sqrt((left_QC**2).sum(axis=1) * (right_QC**2).sum(axis=1))
        with np.errstate(invalid="ignore"):
            agreement_Q[rows] = np.where(scale_Q > 0, (left_QC * right_QC).sum(axis=1) / scale_Q, np.nan)
    return agreement_Q


def _some_rows(values_QC: NDArray[Any]) -> Iterator[slice]:
    """Parts of the queries, one after another."""
    num_queries, num_candidates = values_QC.shape
    at_once = max(1, CELLS_AT_ONCE // max(num_candidates, 1))
    for first in range(0, num_queries, at_once):
        yield slice(first, min(first + at_once, num_queries))


def _centred_ranks(values_QC: NDArray[np.floating], allowed_QC: NDArray[np.bool_]) -> Floats:
    """Mean ranks among the allowed values of each row less their mean; zero where not allowed."""
    high_QC = np.where(allowed_QC, values_QC.astype(np.float64), np.inf)
    order_QC = np.argsort(high_QC, axis=1, kind="stable")
    sorted_QC = np.take_along_axis(high_QC, order_QC, axis=1)
    num_queries, num_candidates = values_QC.shape
    place_C = np.arange(num_candidates)
    new_QC = np.ones((num_queries, num_candidates), dtype=bool)
    new_QC[:, 1:] = sorted_QC[:, 1:] != sorted_QC[:, :-1]
    first_QC = np.maximum.accumulate(np.where(new_QC, place_C, 0), axis=1)
    ends_QC = np.ones_like(new_QC)
    ends_QC[:, :-1] = new_QC[:, 1:]
    last_QC = np.minimum.accumulate(np.where(ends_QC, place_C, num_candidates)[:, ::-1], axis=1)[:, ::-1]
    ranks_QC = np.empty((num_queries, num_candidates))
    np.put_along_axis(ranks_QC, order_QC, (first_QC + last_QC) / 2, axis=1)
    count_Q = allowed_QC.sum(axis=1)
    centred_QC: Floats = np.where(allowed_QC, ranks_QC - (count_Q[:, None] - 1) / 2, 0.0)
    return centred_QC
