"""Intervals by resampling whole subjects: records of one subject are not independent."""

import numpy as np
from numpy.typing import NDArray

LEAST_SUBJECTS = 5
"""Subjects below whom nothing is drawn: draws of so few are alike, and their interval would look exact."""
CELLS_AT_ONCE = 1 << 22
"""Draws by subjects that are held at a time, 64 MB with their copies."""


def cluster_interval(
    values_NM: NDArray[np.float64],
    subject_N: NDArray[np.int64],
    *,
    num_draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile interval of column means when subjects are drawn with replacement.

    Args:
        values_NM: one row per query (or record), one column per metric.
        subject_N: subject of each row.
        num_draws: bootstrap draws.
        level: coverage.
        seed: of the draws.

    Returns:
        (low, high), float64 (M,); NaN of fewer than `LEAST_SUBJECTS`. The search pool behind the values stays as it is.
    """
    means_BM = cluster_draws(values_NM, subject_N, num_draws=num_draws, seed=seed)
    tail = (1 - level) / 2
    low, high = np.quantile(means_BM, [tail, 1 - tail], axis=0)
    return low, high


def cluster_draws(
    values_NM: NDArray[np.float64], subject_N: NDArray[np.int64], *, num_draws: int = 2000, seed: int = 0
) -> NDArray[np.float64]:
    """Column means of every draw of subjects with replacement, float64 (num_draws, M); NaN of too few subjects.

    The same subjects and seed give the same draws, so that those of two methods can be subtracted.
    """
    subjects, group_N = np.unique(subject_N, return_inverse=True)
    num_subjects = len(subjects)
    if num_subjects < LEAST_SUBJECTS:
        return np.full((num_draws, values_NM.shape[1]), np.nan)
    totals_GM = np.zeros((num_subjects, values_NM.shape[1]))
    np.add.at(totals_GM, group_N, values_NM)
    counts_G = np.bincount(group_N, minlength=num_subjects)
    rng = np.random.default_rng(seed)
    means_BM = np.empty((num_draws, values_NM.shape[1]))
    at_once = max(1, CELLS_AT_ONCE // num_subjects)
    for first in range(0, num_draws, at_once):
        block = means_BM[first : first + at_once]
        drawn_BG = rng.multinomial(num_subjects, np.full(num_subjects, 1 / num_subjects), size=len(block))
        weights_BG = drawn_BG.astype(np.float64)
        block[:] = (weights_BG @ totals_GM) / (weights_BG @ counts_G)[:, None]
    return means_BM


def cluster_median_interval(
    values_N: NDArray[np.float64],
    subject_N: NDArray[np.int64],
    *,
    num_draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the median when subjects are drawn with replacement; (low, high), NaN of too few of them.

    The median of a draw with an even number of rows is the lower of the two in the middle.

    Args:
        values_N: one value per query (or record).
        subject_N: subject of each value.
        num_draws: bootstrap draws.
        level: coverage.
        seed: of the draws.
    """
    order = np.argsort(values_N, kind="stable")
    subjects, group_N = np.unique(subject_N, return_inverse=True)
    num_subjects, sorted_N, group_N = len(subjects), values_N[order], group_N[order]
    if num_subjects < LEAST_SUBJECTS:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    medians_B = np.empty(num_draws)
    for draw in range(num_draws):
        drawn_G = np.bincount(rng.integers(num_subjects, size=num_subjects), minlength=num_subjects)
        total_N = np.cumsum(drawn_G[group_N])
        medians_B[draw] = sorted_N[np.searchsorted(total_N, (total_N[-1] + 1) // 2)]
    tail = (1 - level) / 2
    low, high = np.quantile(medians_B, [tail, 1 - tail])
    return float(low), float(high)


def ends(low: float, high: float) -> dict[str, float | None]:
    """An interval as columns ci_low and ci_high, null where it has no ends."""
    return {"ci_low": None, "ci_high": None} if np.isnan(low) else {"ci_low": float(low), "ci_high": float(high)}
