"""What predicted risks are worth: measures, intervals by resampling, paired differences, calibration.

Every measure is a function (label_N, score_N, weight_NB) -> value_B: one value per column of weights, so that a
bootstrap is a matrix of how often each patient was drawn and no record is ever copied. numpy alone; no files.
Those that a training reads too stand in `areas`.

Letters: N records, B draws, G patients, S seeds of training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcsp_model.evaluation.areas import DISCRIMINATION, Bools, Floats, Metric, measure_all

MOST_UNDEFINED = 0.05
"""Share of draws without one of the classes beyond which there is no interval: the others are not all there is."""
LEAST_TRAININGS = 5
"""Trainings of each method below which a difference has no p: fewer do not tell how far trainings spread."""
_CELLS = 1 << 17
"""Numbers of a block of draws: it shall stay in the cache of a core."""
_NEWTON_STEPS = 100
_NEWTON_DONE = 1e-3
"""A step of Newton's method that is the last: what is left to go is of the order of its square."""
_LARGEST_SLOPE = 100.0
_FLAT = 1e-12
"""Curvature below which a likelihood has no peak, and small steps mean nothing: risks separate the classes."""


def brier(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
    """Mean squared distance of risk and outcome."""
    mean_B: Floats = ((score_N - label_N) ** 2 @ weight_NB) / weight_NB.sum(axis=0)
    return mean_B


def calibration_error(label_N: Bools, score_N: Floats, weight_NB: Floats, *, num_bins: int = 10) -> Floats:
    """Expected calibration error over bins of equal width: |observed - predicted|, weighted by what a bin holds.

    It is biased upwards: chance alone parts the shares of a bin, and of risks that are right it is above 0. In a draw
    with replacement it is biased once more, so that percentiles of draws need not even hold the value.
    """
    bin_N = np.clip((score_N * num_bins).astype(np.int64), 0, num_bins - 1)
    gap_KN = np.zeros((num_bins, len(score_N)))
    gap_KN[bin_N, np.arange(len(score_N))] = label_N - score_N
    error_B: Floats = np.abs(gap_KN @ weight_NB).sum(axis=0) / weight_NB.sum(axis=0)
    return error_B


def calibration_slope(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
    """Slope of a logistic regression of the outcome on the logit of the risk: 1 is right, below 1 too extreme.

    NaN where it has no finite solution (one class, or risks that separate the classes).
    """
    x_N = _logit(score_N)
    once, zero = np.ones((len(x_N), 1)), np.zeros(1)
    start_0, start_1, _ = _regress(label_N, x_N, once, zero, zero)
    _, slope_B, found_B = _regress(label_N, x_N, weight_NB, start_0, start_1)
    return np.where(found_B, slope_B, np.nan)


def calibration_intercept(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
    """Calibration in the large: what every logit lacks, at slope 1, for the mean risk to be the prevalence."""
    x_N = _logit(score_N)
    start, _ = _shift(label_N, x_N, np.ones((len(x_N), 1)), np.zeros(1))
    intercept_B, found_B = _shift(label_N, x_N, weight_NB, start)
    return np.where(found_B, intercept_B, np.nan)


def _shift(label_N: Bools, x_N: Floats, weight_NB: Floats, intercept_B: Floats) -> tuple[Floats, Bools]:
    """What every logit lacks, by Newton's method, and for which of them it was found."""
    positives_B = label_N @ weight_NB
    for _ in range(_NEWTON_STEPS):
        p_NB = _sigmoid(x_N[:, None] + intercept_B)
        expected_NB = weight_NB * p_NB
        curve_B = np.einsum("nb,nb->b", expected_NB, 1 - p_NB)
        step_B = (positives_B - expected_NB.sum(axis=0)) / np.maximum(curve_B, _FLAT)
        intercept_B = intercept_B + _taken(np.abs(step_B)) * step_B
        done_B = (np.abs(step_B) < _NEWTON_DONE) & (curve_B > _FLAT)
        if (done_B | (curve_B <= _FLAT)).all():
            break
    return intercept_B, done_B


def _regress(
    label_N: Bools, x_N: Floats, weight_NB: Floats, intercept_B: Floats, slope_B: Floats
) -> tuple[Floats, Floats, Bools]:
    """Logistic regressions on one number by Newton's method: intercepts, slopes, and which of them were found."""
    lost_B, farthest = np.zeros(weight_NB.shape[1], dtype=bool), np.abs(x_N).max(initial=0.0)
    intercept_B, slope_B = np.broadcast_to(intercept_B, lost_B.shape), np.broadcast_to(slope_B, lost_B.shape)
    powers_3N = np.stack([np.ones_like(x_N), x_N, x_N**2])
    target_2B = powers_3N[:2] @ (weight_NB * label_N[:, None])
    for _ in range(_NEWTON_STEPS):
        p_NB = _sigmoid(intercept_B + slope_B * x_N[:, None])
        expected_NB = weight_NB * p_NB
        g0_B, g1_B = target_2B - powers_3N[:2] @ expected_NB
        h00_B, h01_B, h11_B = powers_3N @ (expected_NB * (1 - p_NB))
        curve_B, flat_B = h00_B * h11_B - h01_B**2, _FLAT * (1 + h00_B * h11_B)
        d0_B = (h11_B * g0_B - h01_B * g1_B) / np.maximum(curve_B, flat_B)
        d1_B = (h00_B * g1_B - h01_B * g0_B) / np.maximum(curve_B, flat_B)
        taken_B = _taken(np.abs(d0_B) + farthest * np.abs(d1_B))
        intercept_B, slope_B = intercept_B + taken_B * d0_B, slope_B + taken_B * d1_B
        lost_B = lost_B | (curve_B <= flat_B) | (np.abs(slope_B) > _LARGEST_SLOPE)
        done_B = np.abs(d0_B) + np.abs(d1_B) < _NEWTON_DONE
        if (done_B | lost_B).all():
            break
    return intercept_B, slope_B, done_B & ~lost_B


def _taken(reach_B: Floats) -> Floats:
    """Share of a Newton step that is taken, by the most it moves a logit: never so much that a likelihood falls.

    Bach, Self-concordant analysis for logistic regression, 2010: up to 1 the whole step, beyond it log(1 + reach).
    """
    return np.where(reach_B > 1, np.log1p(reach_B) / np.maximum(reach_B, 1.0), 1.0)


def net_benefit(threshold: float) -> Metric:
    """Measure of treating who has a risk of at least `threshold`: true positives less false ones at the odds' price."""
    if not 0 < threshold < 1:
        raise ValueError(f"threshold: must lie between 0 and 1, got {threshold}")
    price = threshold / (1 - threshold)

    def measure(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
        gain_N = (score_N >= threshold) * np.where(label_N, 1.0, -price)
        mean_B: Floats = (gain_N @ weight_NB) / weight_NB.sum(axis=0)
        return mean_B

    return measure


def net_benefit_of_all(threshold: float) -> Metric:
    """Measure of treating everybody, beside which `net_benefit` is read."""
    of_scores = net_benefit(threshold)
    return lambda label_N, score_N, weight_NB: of_scores(label_N, np.ones_like(score_N), weight_NB)


CALIBRATION: dict[str, Metric] = {
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
    "brier": brier,
}
BIASED: dict[str, Metric] = {"calibration_error": calibration_error}
"""Measures of which no interval is made: draws would be further from what is estimated than the value is."""


@dataclass(frozen=True)
class Estimate:
    """One measure with what resampling says of it.

    Attributes:
        value: mean over the seeds of training.
        values_S: of each seed.
        draws_B: of each draw, averaged over the trainings in it; NaN where a draw held one class.
    """

    value: float
    values_S: Floats
    draws_B: Floats

    @property
    def seed_deviation(self) -> float:
        """Standard deviation over the seeds of training; NaN for one seed."""
        return float(self.values_S.std(ddof=1)) if len(self.values_S) > 1 else float("nan")

    @property
    def num_undefined(self) -> int:
        """Draws in which the measure has no value."""
        return int(np.isnan(self.draws_B).sum())

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Percentile interval over the draws that have a value; NaN where more than `MOST_UNDEFINED` have none."""
        return _interval(self.draws_B, level)


def bootstrap(
    metrics: Mapping[str, Metric],
    label_N: ArrayLike,
    score_SN: ArrayLike,
    subject_N: ArrayLike,
    *,
    num_draws: int = 10_000,
    seed: int = 0,
    with_trainings: bool = False,
) -> dict[str, Estimate]:
    """Measures of the same records' scores by several trainings, with patients drawn with replacement.

    A draw takes as many patients as there are, each with all records, and averages the measure over the trainings: over
    all of them, or over some that are drawn too, so that an interval holds what another training would change. The same
    seed draws the same patients and, of as many, the same trainings: two methods' draws can be subtracted
    (`difference`).

    Args:
        metrics: measures by name.
        label_N: outcome of each record.
        score_SN: risk of each record by each training; one row is one training.
        subject_N: patient of each record.
        num_draws: draws of patients; 0 gives values alone.
        seed: of the draws.
        with_trainings: draw trainings too; of one, a draw holds the patients alone.

    Returns:
        estimates by name.
    """
    label, scores = np.asarray(label_N, dtype=bool), np.atleast_2d(np.asarray(score_SN, dtype=np.float64))
    if scores.shape[1] != len(label):
        raise ValueError(f"scores of {scores.shape[1]} records, labels of {len(label)}")
    subjects, group_N = np.unique(np.asarray(subject_N), return_inverse=True)
    once_N1 = np.ones((len(label), 1))
    values = {name: np.array([metric(label, row, once_N1)[0] for row in scores]) for name, metric in metrics.items()}
    draws = {name: np.zeros(num_draws) for name in metrics}
    alike_SB = np.full((len(scores), num_draws), 1 / len(scores))
    share_SB = training_shares(len(scores), num_draws, seed=seed) if with_trainings else alike_SB
    rng, size = np.random.default_rng(seed), max(1, _CELLS // max(len(label), 1))
    for first in range(0, num_draws, size):
        part = slice(first, min(first + size, num_draws))
        weight_NB = _draw(rng, part.stop - first, len(subjects))[group_N]
        for row, share_B in zip(scores, share_SB[:, part], strict=True):
            held_B = share_B > 0  # of five trainings a draw holds three, and what the others say is not asked
            held_NB = weight_NB if held_B.all() else weight_NB[:, held_B]
            for name, value_B in measure_all(metrics, label, row, held_NB):
                draws[name][part][held_B] += share_B[held_B] * value_B
    return {name: Estimate(float(values[name].mean()), values[name], draws[name]) for name in metrics}


@dataclass(frozen=True)
class Difference:
    """One method less another on the same patients.

    Attributes:
        value: difference of the two values.
        low, high: percentile interval; NaN where more than `MOST_UNDEFINED` of the draws have no value.
        p: two-sided, from the share of draws on the far side of zero; never below 2 / (draws + 1); NaN where low is.
    """

    value: float
    low: float
    high: float
    p: float


def difference(ours: Estimate, other: Estimate, *, level: float = 0.95) -> Difference:
    """Paired difference of two estimates that `bootstrap` made of the same records with the same seed."""
    if len(ours.draws_B) != len(other.draws_B):
        raise ValueError(f"{len(ours.draws_B)} and {len(other.draws_B)} draws: draw both with the same settings")
    draws_B = ours.draws_B - other.draws_B
    low, high = _interval(draws_B, level)
    held_B = draws_B[~np.isnan(draws_B)]
    tail = 1 + min(int((held_B <= 0).sum()), int((held_B >= 0).sum()))
    p = float("nan") if np.isnan(low) else min(1.0, 2 * tail / (len(held_B) + 1))
    return Difference(ours.value - other.value, low, high, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given: each is compared with the level itself; NaN stays, and counts."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def compare(estimates: Mapping[str, Estimate], pairs: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    """Rows of the differences that were declared beforehand, with Holm's p values over all of them.

    Args:
        estimates: one measure by method, drawn with the same settings.
        pairs: methods whose difference, first less second, is tested.
    """
    found = [difference(estimates[ours], estimates[other]) for ours, other in pairs]
    adjusted = holm([each.p for each in found])
    return [
        {"method": ours, "other": other, **vars(each), "p_holm": p}
        for (ours, other), each, p in zip(pairs, found, adjusted, strict=True)
    ]


@dataclass(frozen=True)
class Measured:
    """One measure of one method on one task.

    Attributes:
        division, group: subgroup, such as sex and F; both are empty for everybody.
        metric: its name.
        estimate: value and draws.
        num_records, num_positives: what it was measured on.
    """

    division: str
    group: str
    metric: str
    estimate: Estimate
    num_records: int
    num_positives: int


def report(
    label_N: ArrayLike,
    score_SN: ArrayLike,
    subject_N: ArrayLike,
    *,
    groups: Mapping[str, ArrayLike] | None = None,
    thresholds: Sequence[float] = (0.1, 0.2, 0.3),
    num_draws: int = 10_000,
    seed: int = 0,
    with_trainings: bool = False,
) -> list[Measured]:
    """All measures of one method on one task: discrimination, calibration, net benefit; then by subgroup.

    Those of `BIASED` have no draws, so that their interval is NaN.

    Args:
        label_N: outcome of each record.
        score_SN: risk of each record by each training.
        subject_N: patient of each record.
        groups: subgroup of each record by division, such as sex; discrimination alone is measured in them.
        thresholds: risks above which one would treat.
        num_draws: as in `bootstrap`.
        seed: as there.
        with_trainings: as there.

    Returns:
        measures; one without a value is NaN.
    """
    label, scores = np.asarray(label_N, dtype=bool), np.atleast_2d(np.asarray(score_SN, dtype=np.float64))
    subject = np.asarray(subject_N)
    drawn = partial(bootstrap, seed=seed, with_trainings=with_trainings)
    metrics = DISCRIMINATION | CALIBRATION
    metrics |= {f"net_benefit_{threshold:g}": net_benefit(threshold) for threshold in thresholds}
    metrics |= {f"net_benefit_of_all_{threshold:g}": net_benefit_of_all(threshold) for threshold in thresholds}
    everybody = ("", "", np.ones(len(label), dtype=bool))
    parts = [(*everybody, metrics, num_draws), (*everybody, BIASED, 0)]
    for division, names in (groups or {}).items():
        name_N = np.asarray(names)
        parts += [(division, str(group), name_N == group, DISCRIMINATION, num_draws) for group in np.unique(name_N)]
    return [
        Measured(division, group, name, estimate, int(held.sum()), int(label[held].sum()))
        for division, group, held, wanted, count in parts
        for name, estimate in drawn(wanted, label[held], scores[:, held], subject[held], num_draws=count).items()
    ]


def training_shares(num_trainings: int, num_draws: int, *, seed: int) -> Floats:
    """Share of each training in each draw of a bootstrap over trainings, (num_trainings, num_draws).

    One fewer is drawn than there are: with as many, the variance of their mean would come out too small by that share
    (McCarthy and Snowden, The bootstrap and finite population sampling, 1985). One training is all there is.
    """
    if num_trainings == 1:
        return np.ones((1, num_draws))
    rng, size = np.random.default_rng((seed, num_trainings)), num_trainings - 1
    drawn_BS = rng.multinomial(size, np.full(num_trainings, 1 / num_trainings), size=num_draws)
    return drawn_BS.T / size


def averaged_over_folds(metric: Metric, fold_N: NDArray[np.int64]) -> Metric:
    """Measure within each fold and average: risks of different trainings are never ranked against each other."""
    folds = [fold_N == fold for fold in np.unique(fold_N)]

    def measure(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
        mean_B: Floats = np.mean([metric(label_N[held], score_N[held], weight_NB[held]) for held in folds], axis=0)
        return mean_B

    return measure


def _draw(rng: np.random.Generator, num_draws: int, num_subjects: int) -> Floats:
    """How often each patient is drawn, (num_subjects, num_draws)."""
    drawn = num_draws * rng.integers(num_subjects, size=(num_draws, num_subjects)) + np.arange(num_draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=num_draws * num_subjects)
    return counts.reshape(num_subjects, num_draws).astype(np.float64)


def _interval(draws_B: Floats, level: float) -> tuple[float, float]:
    held_B = draws_B[~np.isnan(draws_B)]
    if not len(held_B) or len(held_B) < (1 - MOST_UNDEFINED) * len(draws_B):
        return float("nan"), float("nan")
    low, high = np.quantile(held_B, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _logit(score_N: Floats) -> Floats:
    p_N = np.clip(score_N, 1e-7, 1 - 1e-7)
    logit_N: Floats = np.log(p_N) - np.log1p(-p_N)
    return logit_N


def _sigmoid(x: Floats) -> Floats:
    with np.errstate(over="ignore"):
        y: Floats = 1 / (1 + np.exp(-x))
    return y
