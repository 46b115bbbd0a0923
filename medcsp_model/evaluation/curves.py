"""ROC and precision-recall curves as points that keep both areas and are of groups, not of patients.

Both curves are functions of the share of positives that are found, recall: the share of negatives that are called with
them, and precision. Positives in the order of their score are divided into cells of equal weight, and each curve is
averaged over every cell. So one less the mean false positive rate is the AUROC and the mean precision the average
precision, of any data, and drawn as steps the curves have these areas. Over several trainings cells are averaged, which
gives the mean of their areas; scores of different trainings are never ranked against each other.

A cell stands for `FEWEST` positives or more, and there are no more cells than the negatives would fill with as many: no
step is one positive. A set with fewer than two cells' worth of a class has no curve. What is left is that a rise of the
false positive rate may be a single negative, whose place among the positives is known to within a cell.

Letters: N records, S seeds of training, K distinct scores of positives, C cells, E their C + 1 edges.
"""

import numpy as np
from numpy.typing import ArrayLike

from medcsp_model.evaluation.areas import Bools, Floats, counts, precision

FEWEST = 5
"""Positives that a cell stands for, at least, and negatives on average."""
MOST_CELLS = 100


def num_cells(label_N: ArrayLike) -> int:
    """How many cells the smaller class gives; 0 where that is too few for a curve."""
    label = np.asarray(label_N, dtype=bool)
    cells = min(int(label.sum()), int((~label).sum())) // FEWEST
    return min(MOST_CELLS, cells) if cells > 1 else 0


def curve(label_N: ArrayLike, score_SN: ArrayLike) -> list[dict[str, float]]:
    """Points of both curves.

    Args:
        label_N: outcome of each record.
        score_SN: score of each record by each training; one row is one training.

    Returns:
        a row for each cell: point (from 1), recall (the cell's upper end), false_positive_rate and precision (means
        over the cell); none where a class has too few.
    """
    label, scores = np.asarray(label_N, dtype=bool), np.atleast_2d(np.asarray(score_SN, dtype=np.float64))
    cells = num_cells(label)
    if not cells:
        return []
    edges_E = np.arange(cells + 1) / cells
    means_2C = np.clip(np.mean([_cell_means(label, row, edges_E) for row in scores], axis=0), 0, 1)
    return [
        {"point": point, "recall": point / cells, "false_positive_rate": float(fpr), "precision": float(precise)}
        for point, (fpr, precise) in enumerate(means_2C.T, start=1)
    ]


def _cell_means(label_N: Bools, score_N: Floats, edges_E: Floats) -> Floats:
    """False positive rate and precision of one training, means over every cell, (2, C)."""
    c = counts(label_N, score_N, np.ones((len(label_N), 1)))
    positives, negatives = c.tp_after_KB[-1, 0], c.negatives_B[0]
    width_K = c.step_KB[:, 0] / positives
    # Within a tie the ROC curve is a straight line; precision is that of the whole tie, as average precision has it.
    first_K, last_K = c.fp_before_KB[:, 0] / negatives, c.fp_after_KB[:, 0] / negatives
    precise_K = precision(c.tp_after_KB, c.fp_after_KB)[:, 0]
    recall_K = np.concatenate([[0.0], c.tp_after_KB[:, 0] / positives])
    tie_E = np.clip(np.searchsorted(recall_K, edges_E, side="right") - 1, 0, len(width_K) - 1)
    part_E = (edges_E - recall_K[tie_E]) / width_K[tie_E]
    areas_2E = [
        _area(width_K * (first_K + last_K) / 2)[tie_E]
        + width_K[tie_E] * (first_K[tie_E] * part_E + (last_K - first_K)[tie_E] * part_E**2 / 2),
        _area(width_K * precise_K)[tie_E] + width_K[tie_E] * precise_K[tie_E] * part_E,
    ]
    means_2C: Floats = np.diff(areas_2E, axis=1) * (len(edges_E) - 1)
    return means_2C


def _area(part_K: Floats) -> Floats:
    """Area before each of some parts."""
    return np.concatenate([[0.0], np.cumsum(part_K)])[:-1]
