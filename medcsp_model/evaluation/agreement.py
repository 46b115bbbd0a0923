"""How well similarities of embeddings tell what is known of two sets of records: who belongs together, who is alike.

Both measures give one value per query (row), so that intervals can resample subjects (`cluster_interval`).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def recall_at_k(similarity_QC: NDArray[np.floating], relevant_QC: NDArray[np.bool_], *, k: int) -> Floats:
    """Share of each query's relevant candidates among its first k, float64 (Q,); NaN for a query without any.

    Args:
        similarity_QC: similarity of each query to each candidate; equal ones go to the earlier candidate.
        relevant_QC: which candidates are relevant to which query, any number of them.
        k: length of the list.
    """
    order_QC = np.argsort(-similarity_QC, axis=1, kind="stable")
    hits_Q = np.take_along_axis(relevant_QC, order_QC[:, :k], axis=1).sum(axis=1)
    count_Q = relevant_QC.sum(axis=1)
    recall_Q: Floats = np.where(count_Q > 0, hits_Q / np.maximum(count_Q, 1), np.nan)
    return recall_Q


def rank_agreement(
    similarity_QC: NDArray[np.floating], truth_QC: NDArray[np.floating], allowed_QC: NDArray[np.bool_]
) -> Floats:
    """Spearman's correlation of two similarities over each query's allowed candidates, float64 (Q,).

    Equal values share the mean of their ranks. NaN where fewer than two candidates are allowed or one of the two
    similarities is the same for all of them.
    """
    left_QC, right_QC = _centred_ranks(similarity_QC, allowed_QC), _centred_ranks(truth_QC, allowed_QC)
    scale_Q = np.sqrt((left_QC**2).sum(axis=1) * (right_QC**2).sum(axis=1))
    with np.errstate(invalid="ignore"):
        agreement_Q: Floats = np.where(scale_Q > 0, (left_QC * right_QC).sum(axis=1) / scale_Q, np.nan)
    return agreement_Q


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
