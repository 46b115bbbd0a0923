"""Measures against scikit-learn, weights against copies, intervals and differences against what they must be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import auc, average_precision_score, brier_score_loss, precision_recall_curve, roc_auc_score

from medcsp_model.evaluation import areas, scores


def sklearn_trapezoid(label: np.ndarray, score: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(label, score)
    return float(auc(recall, precision))


REFERENCES = {
    "auroc": roc_auc_score,
    "average_precision": average_precision_score,
    "trapezoid_aupr": sklearn_trapezoid,
    "prevalence": lambda label, score: label.mean(),
    "brier": brier_score_loss,
}
MEASURES = areas.DISCRIMINATION | scores.CALIBRATION


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of both classes, scores with ties, and how often each record was drawn."""
    size = draw(st.integers(4, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    label = rng.random(size) < 0.4
    label[:2] = [True, False]
    score = rng.integers(1, draw(st.integers(2, 20)) + 1, size=size) / 21
    count = rng.integers(0, 3, size=size)
    count[:2] = 1
    return label, score, count


@given(tables())
@settings(max_examples=60, deadline=None)
def test_measures_of_weights_are_those_of_copies(table: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    label, score, count = table
    copied_label, copied_score = np.repeat(label, count), np.repeat(score, count)
    for name, reference in REFERENCES.items():
        weighted = MEASURES[name](label, score, count[:, None].astype(float))[0]
        assert weighted == pytest.approx(reference(copied_label, copied_score), abs=1e-12), name


def test_one_class_has_no_value() -> None:
    label, score = np.array([True, True, False]), np.array([0.2, 0.3, 0.4])
    weight = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0]]).T
    for name in ("auroc", "average_precision", "trapezoid_aupr"):
        assert np.isnan(MEASURES[name](label, score, weight)).tolist() == [True, True, False], name


@pytest.fixture(scope="module")
def risks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Well calibrated risks of 300 patients with one to three records, half of the records' logits doubled."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(300), rng.integers(1, 4, size=300))
    logit = rng.normal(-1, 1.2, size=len(subject))
    label = rng.random(len(subject)) < 1 / (1 + np.exp(-logit))
    return label, 1 / (1 + np.exp(-2 * logit)), subject


def test_calibration_against_logistic_regression(risks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    label, score, _ = risks
    logit = np.log(score / (1 - score))
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit[:, None], label)
    slope = areas.score(scores.calibration_slope, label, score)
    assert slope == pytest.approx(fitted.coef_[0, 0], abs=1e-5)
    assert 0.35 < slope < 0.65
    intercept = areas.score(scores.calibration_intercept, label, score)
    assert (1 / (1 + np.exp(-logit - intercept))).mean() == pytest.approx(label.mean(), abs=1e-9)
    separated = np.where(label, 0.9, 0.1)
    assert np.isnan(areas.score(scores.calibration_slope, label, separated))


@pytest.mark.parametrize(
    ("size", "share", "effect", "spread", "decimals"),
    [(60, 0.3, 4.0, 1.0, 9), (60, 0.06, 4.0, 1.0, 1), (150, 0.06, 0.0, 6.0, 9), (150, 0.06, 4.0, 3.0, 1)],
)
def test_a_slope_is_found_where_there_is_one_and_nowhere_else(
    size: int, share: float, effect: float, spread: float, decimals: int
) -> None:
    """Many draws of few positives are separated, some have steep slopes, and risks of 0 and 1 lie far off."""
    for seed in (0, 4, 10):
        rng = np.random.default_rng(seed)
        label = rng.random(size) < share
        risk = np.round(1 / (1 + np.exp(-(rng.normal(0, spread, size=size) + effect * label - 2))), decimals)
        weight = rng.multinomial(size, np.full(size, 1 / size), size=60).T
        found = scores.calibration_slope(label, risk, weight.astype(float))
        clipped = np.clip(risk, 1e-7, 1 - 1e-7)
        logit = np.log(clipped / (1 - clipped))
        for slope, count in zip(found, weight.T, strict=True):
            ill, well = logit[label & (count > 0)], logit[~label & (count > 0)]
            if not len(ill) or ill.min() >= well.max() or ill.max() <= well.min():
                assert np.isnan(slope)
                continue
            model = LogisticRegression(C=np.inf, tol=1e-9, max_iter=5000)
            expected = model.fit(logit[:, None], label, sample_weight=count).coef_[0, 0]
            assert slope == pytest.approx(expected, rel=1e-3, abs=1e-3) or abs(expected) > 90


def test_calibration_error_by_hand() -> None:
    label = np.array([True, False, False, True])
    score = np.array([0.25, 0.25, 0.95, 1.0])
    assert areas.score(scores.calibration_error, label, score) == pytest.approx((0.5 + 0.95) / 4)


def test_what_is_biased_has_no_interval() -> None:
    """Draws of the calibration error of right risks, whose true one is 0, lie above 0, and mostly above the value."""
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.05, 0.95, size=150)
    label, subject = rng.random(150) < risk, np.arange(150)
    drawn = scores.bootstrap(scores.BIASED, label, risk, subject, num_draws=200)["calibration_error"]
    assert drawn.interval()[0] > 0 and np.mean(drawn.draws_B > drawn.value) > 0.8
    reported = {row.metric: row.estimate for row in scores.report(label, risk, subject, num_draws=200)}
    assert (
        reported["calibration_error"].value == drawn.value and np.isnan(reported["calibration_error"].interval()).all()
    )
    assert [name for name, each in reported.items() if np.isnan(each.interval()).any()] == ["calibration_error"]


def test_net_benefit_by_hand() -> None:
    label, score = np.array([True, False, False, True, False]), np.array([0.9, 0.3, 0.1, 0.1, 0.2])
    assert areas.score(scores.net_benefit(0.2), label, score) == pytest.approx(1 / 5 - 2 / 5 * 0.25)
    assert areas.score(scores.net_benefit_of_all(0.2), label, score) == pytest.approx(2 / 5 - 3 / 5 * 0.25)
    with pytest.raises(ValueError, match="between 0 and 1"):
        scores.net_benefit(1.0)


def test_draws_are_those_of_resampled_patients(risks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    label, score, subject = risks
    found = scores.bootstrap({"auroc": areas.auroc}, label, score, subject, num_draws=4, seed=3)["auroc"]
    rng = np.random.default_rng(3)
    drawn = rng.integers(300, size=(4, 300))
    for draw, patients in enumerate(drawn):
        rows = np.concatenate([np.flatnonzero(subject == patient) for patient in patients])
        assert found.draws_B[draw] == pytest.approx(roc_auc_score(label[rows], score[rows]), abs=1e-12)


def test_intervals_average_over_seeds_and_leave_their_spread_out(
    risks: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    label, score, subject = risks
    noise = np.random.default_rng(1).normal(0, 0.1, size=(3, len(label)))
    found = scores.bootstrap(areas.DISCRIMINATION, label, score + noise, subject, num_draws=500)
    singles = [scores.bootstrap(areas.DISCRIMINATION, label, score + row, subject, num_draws=500) for row in noise]
    for name, estimate in found.items():
        assert estimate.draws_B == pytest.approx(np.mean([single[name].draws_B for single in singles], axis=0))
        assert estimate.value == pytest.approx(np.mean([single[name].value for single in singles]))
    low, high = found["auroc"].interval()
    assert low < found["auroc"].value < high
    assert found["auroc"].seed_deviation == pytest.approx(np.std(found["auroc"].values_S, ddof=1))
    assert found["auroc"].num_undefined == 0


def test_trainings_are_drawn_with_patients_where_that_is_asked() -> None:
    """Two trainings of one method each time, many times over: of the patients alone, far too many differ."""
    rng, found = np.random.default_rng(7), {False: 0, True: 0}
    subject = np.arange(200)
    for _ in range(40):
        label = rng.random(200) < 0.4
        sides = [rng.uniform(0, 1.5, size=(5, 1)) * label + rng.normal(size=(5, 200)) for _ in range(2)]
        for with_trainings in found:
            ours, other = (
                scores.bootstrap(
                    {"a": areas.auroc}, label, side, subject, num_draws=199, with_trainings=with_trainings
                )["a"]
                for side in sides
            )
            found[with_trainings] += scores.difference(ours, other).p < 0.05
    assert found[False] >= 12 and found[True] <= 6, found


def test_a_draw_takes_one_training_fewer_than_there_are(risks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    label, score, subject = risks
    noisy = score + np.random.default_rng(1).normal(0, 0.3, size=len(label))
    asked = {"metrics": {"a": areas.auroc}, "label_N": label, "subject_N": subject, "num_draws": 60}
    singles = [scores.bootstrap(score_SN=row, **asked, with_trainings=True)["a"].draws_B for row in (score, noisy)]
    assert np.array_equal(singles[0], scores.bootstrap(score_SN=score, **asked)["a"].draws_B), "of one, patients alone"
    both = scores.bootstrap(score_SN=[score, noisy], **asked, with_trainings=True)["a"]
    first, second = (np.isclose(both.draws_B, each) for each in singles)
    assert np.all(first | second) and 15 < first.sum() < 45
    asked["metrics"] = areas.DISCRIMINATION | scores.CALIBRATION
    rows = [score, noisy, score**2, noisy / 2, 1 - score]
    drawn = scores.bootstrap(score_SN=rows, **asked, with_trainings=True)
    alone = [scores.bootstrap(score_SN=row, **asked) for row in rows]
    share_SB = scores.training_shares(5, 60, seed=0)
    for name, estimate in drawn.items():
        values_SB = np.stack([single[name].draws_B for single in alone])
        assert estimate.draws_B == pytest.approx((share_SB * values_SB).sum(axis=0), abs=1e-6), name


def test_records_of_one_patient_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    label, score = np.repeat(rng.random(60) < 0.4, 6), np.repeat(rng.random(60), 6)
    widths = []
    for subject in (np.repeat(np.arange(60), 6), np.arange(360)):
        low, high = scores.bootstrap({"a": areas.auroc}, label, score, subject, num_draws=400)["a"].interval()
        widths.append(high - low)
    assert widths[0] > 1.8 * widths[1]


def test_paired_differences_are_narrower_and_say_how_sure(risks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    label, score, subject = risks
    better, worse = (
        scores.bootstrap({"a": areas.auroc}, label, values, subject, num_draws=999)["a"]
        for values in (score, score + np.random.default_rng(2).normal(0, 0.3, size=len(label)))
    )
    found = scores.difference(better, worse)
    assert found.value == pytest.approx(better.value - worse.value)
    assert found.low > 0
    assert found.p == pytest.approx(2 / 1000)
    assert scores.difference(better, better).p == 1.0
    with pytest.raises(ValueError, match="draws"):
        scores.difference(better, scores.bootstrap({"a": areas.auroc}, label, score, subject, num_draws=9)["a"])


@pytest.mark.parametrize(("num_positive", "is_told"), [(2, False), (8, True)])
def test_where_many_draws_hold_one_class_there_is_neither_interval_nor_p(num_positive: int, is_told: bool) -> None:
    """Of two positives a draw misses both one time in seven: what the others say is not all there is."""
    label, score = np.arange(40) < num_positive, np.random.default_rng(3).random(40)
    found = [
        scores.bootstrap({"a": areas.auroc}, label, values, np.arange(40), num_draws=400)["a"]
        for values in (score, score**2 + label)
    ]
    difference = scores.difference(found[1], found[0])
    assert np.isfinite(difference.value)
    assert np.isfinite([*found[0].interval(), difference.low, difference.high, difference.p]).all() == is_told


def test_holm_by_hand() -> None:
    assert scores.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert scores.holm([0.9, 0.6]) == pytest.approx([1.0, 1.0])
    assert scores.holm([0.04, np.nan, 0.01]) == pytest.approx([0.08, np.nan, 0.03], nan_ok=True)


def test_a_report_has_everybody_and_each_group(risks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    label, score, subject = risks
    sex = np.where(subject % 3 == 0, "F", "M")
    site = np.where(label, "only positives", "only negatives")
    rows = scores.report(label, [score, score**2], subject, groups={"sex": sex, "site": site}, num_draws=50)
    by_key = {(row.group, row.metric): row for row in rows}
    assert len(by_key) == len(rows) == 8 + 6 + 4 * 4
    women = sex == "F"
    expected = np.mean([roc_auc_score(label[women], values[women]) for values in (score, score**2)])
    row = by_key["F", "auroc"]
    assert row.estimate.value == pytest.approx(expected)
    assert (row.num_records, row.num_positives) == (women.sum(), label[women].sum())
    low, high = row.estimate.interval()
    assert low <= expected <= high
    assert np.isnan(by_key["only positives", "auroc"].estimate.value)
    assert by_key["only positives", "auroc"].estimate.num_undefined == 50


def test_folds_are_measured_apart_and_averaged(risks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    label, score, subject = risks
    fold = subject % 3
    shifted = score + 10 * fold  # what only a ranking across folds would see
    within = scores.averaged_over_folds(areas.auroc, fold)
    expected = np.mean([roc_auc_score(label[fold == number], score[fold == number]) for number in range(3)])
    assert areas.score(within, label, shifted) == pytest.approx(expected)


def test_declared_comparisons(risks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    label, score, subject = risks
    noise = np.random.default_rng(2).normal(0, 0.3, size=len(label))
    kept = {
        name: scores.bootstrap({"a": areas.auroc}, label, values, subject, num_draws=99)["a"]
        for name, values in (("ours", score), ("noisy", score + noise), ("same", score))
    }
    rows = scores.compare(kept, [("ours", "noisy"), ("ours", "same")])
    assert [(row["other"], row["p"], row["p_holm"]) for row in rows] == [("noisy", 0.02, 0.04), ("same", 1.0, 1.0)]
