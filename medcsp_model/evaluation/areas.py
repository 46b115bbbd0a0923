"""Measures of how risks rank positives: areas under curves, of weighted records.

Every measure is a function (label_N, score_N, weight_NB) -> value_B: one value per column of weights, so that a
bootstrap is a matrix of how often each patient was drawn and no record is ever copied. numpy alone; no files.
Validation chooses by these, so this module is part of what names a training; what else is measured stands in `scores`.

Letters: N records, B draws, K distinct scores of positives.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Metric = Callable[[Bools, Floats, Floats], Floats]


@dataclass(frozen=True)
class Counts:
    """Weights of each class above and among the K distinct scores that a positive has, falling."""

    step_KB: Floats
    tp_after_KB: Floats
    fp_before_KB: Floats
    fp_after_KB: Floats
    negatives_B: Floats

    def share_of_positives(self, area_B: Floats) -> Floats:
        """Area over the number of positives; NaN where a class is absent."""
        held_B = (self.tp_after_KB[-1] > 0) & (self.negatives_B > 0)
        return np.where(held_B, area_B / np.where(held_B, self.tp_after_KB[-1], 1.0), np.nan)


@dataclass(frozen=True)
class RankMetric:
    """A metric that needs no more than counts, so that several of the same scores count once (`measure_all`).

    Attributes:
        of_counts: the measure.
    """

    of_counts: Callable[[Counts], Floats]

    def __call__(self, label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
        """Value of each column of weights, (B,)."""
        return self.of_counts(counts(label_N, score_N, weight_NB))


@RankMetric
def auroc(c: Counts) -> Floats:
    """Area under the ROC curve, ties counted half; NaN where a class has no weight."""
    beaten_KB = c.negatives_B - (c.fp_before_KB + c.fp_after_KB) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (c.step_KB * beaten_KB).sum(axis=0) / (c.tp_after_KB[-1] * c.negatives_B)


@RankMetric
def average_precision(c: Counts) -> Floats:
    """Mean precision at each positive, the area under precision and recall by steps; NaN without a class."""
    return c.share_of_positives((c.step_KB * precision(c.tp_after_KB, c.fp_after_KB)).sum(axis=0))


@RankMetric
def trapezoid_aupr(c: Counts) -> Floats:
    """Area under precision and recall by trapezoids, as the released code has it: optimistic."""
    before_KB = precision(c.tp_after_KB - c.step_KB, c.fp_before_KB)
    return c.share_of_positives((c.step_KB * (before_KB + precision(c.tp_after_KB, c.fp_after_KB)) / 2).sum(axis=0))


def prevalence(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
    """Share of positives: what the average precision of a coin would be."""
    share_B: Floats = (label_N @ weight_NB) / weight_NB.sum(axis=0)
    return share_B


DISCRIMINATION: dict[str, Metric] = {
    "auroc": auroc,
    "average_precision": average_precision,
    "trapezoid_aupr": trapezoid_aupr,
    "prevalence": prevalence,
}


def measure_all(
    metrics: Mapping[str, Metric], label_N: Bools, score_N: Floats, weight_NB: Floats
) -> Iterator[tuple[str, Floats]]:
    """Several measures of the same scores by name, each (B,)."""
    counted = None
    for name, metric in metrics.items():
        if isinstance(metric, RankMetric):
            counted = counted or counts(label_N, score_N, weight_NB)
            yield name, metric.of_counts(counted)
        else:
            yield name, metric(label_N, score_N, weight_NB)


def score(metric: Metric, label_N: ArrayLike, score_N: ArrayLike) -> float:
    """One measure of all records, each counted once."""
    label, values = np.asarray(label_N, dtype=bool), np.asarray(score_N, dtype=np.float64)
    return float(metric(label, values, np.ones((len(label), 1)))[0])


def counts(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Counts:
    """What stands above and among each distinct score of a positive, from which every area is made."""
    order = np.argsort(-score_N, kind="stable")
    positives, negatives = order[label_N[order]], order[~label_N[order]]
    distinct_K, first_K = np.unique(-score_N[positives], return_index=True)
    fp_NB = np.zeros((len(negatives) + 1, weight_NB.shape[1]))
    np.cumsum(weight_NB[negatives], axis=0, out=fp_NB[1:])
    falling = -score_N[negatives]
    if len(distinct_K):
        step_KB = np.add.reduceat(weight_NB[positives], first_K, axis=0)
    else:  # nobody is positive: one step of nothing
        distinct_K, step_KB = np.zeros(1), np.zeros((1, weight_NB.shape[1]))
    return Counts(
        step_KB=step_KB,
        tp_after_KB=np.cumsum(step_KB, axis=0),
        fp_before_KB=fp_NB[np.searchsorted(falling, distinct_K, side="left")],
        fp_after_KB=fp_NB[np.searchsorted(falling, distinct_K, side="right")],
        negatives_B=fp_NB[-1],
    )


def precision(tp_KB: Floats, fp_KB: Floats) -> Floats:
    """Precision at each count; 1 where nothing is above."""
    total_KB = tp_KB + fp_KB
    return np.where(total_KB > 0, tp_KB / np.maximum(total_KB, 1e-300), 1.0)
