"""Where there is nothing to find: what intervals, chance and differences say of what knows nothing."""

import numpy as np
import pytest

from medcsp_model.evaluation import areas, scores
from medcsp_model.evaluation.retrieval import (
    Relevant,
    chance,
    chance_average_precision,
    exact_ranks,
    method_rows,
    query_measures,
)

WORLDS = 200


def test_average_precision_by_chance_is_that_of_random_orders() -> None:
    rng = np.random.default_rng(0)
    for num, positive in ((12, 1), (20, 12), (50, 18)):
        label = np.arange(num) < positive
        found = [areas.score(areas.average_precision, label, rng.random(num)) for _ in range(2000)]
        expected = chance_average_precision(positive, num)
        assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / 2000**0.5)
        assert expected > positive / num
        one_query = Relevant.of_groups(np.array([1]), label.astype(np.int64))
        assert expected == pytest.approx(chance(one_query, ks=())["average_precision", 0], abs=1e-12)
    assert chance_average_precision(3, 3) == pytest.approx(1.0)
    assert chance_average_precision(20_000, 100_000) == pytest.approx(0.2, abs=1e-4)


def test_areas_of_risks_that_know_nothing() -> None:
    """AUROC of 76 patients with 29 events, and average precision over five folds of 50 with 18."""
    rng = np.random.default_rng(1)
    fold = np.repeat(np.arange(5), 50)
    label, of_folds = np.arange(76) < 29, np.tile(np.arange(50) < 18, 5)
    over_folds = scores.averaged_over_folds(areas.average_precision, fold)
    expected = chance_average_precision(18, 50)
    above = {"auroc": 0, "prevalence": 0, "chance": 0}
    for _ in range(WORLDS):
        draws = {"num_draws": 200}
        auroc = scores.bootstrap({"auroc": areas.auroc}, label, rng.random(76), np.arange(76), **draws)["auroc"]
        risk = rng.random(250)
        low, _ = scores.bootstrap({"auprc": over_folds}, of_folds, risk, np.arange(250), **draws)["auprc"].interval()
        above["auroc"] += auroc.interval()[0] > 0.5
        above["prevalence"] += low > 0.36
        above["chance"] += low > expected
    assert above["auroc"] <= 0.06 * WORLDS and above["chance"] <= 0.08 * WORLDS
    assert above["prevalence"] > 0.2 * WORLDS, "the prevalence is not what average precision has by chance"


@pytest.mark.parametrize(
    ("num_trainings", "spread", "least", "most"),
    [
        (1, 0.0, 0.0, 0.09),
        (2, 0.0, 0.0, 0.03),
        (5, 0.0, 0.0, 0.03),
        (2, 0.4, 0.25, 1.0),
        (5, 0.4, 0.0, 0.18),
        (20, 0.4, 0.0, 0.1),
    ],
)
def test_two_methods_that_do_not_differ_are_rarely_told_apart(
    num_trainings: int, spread: float, least: float, most: float
) -> None:
    """Of patients with several records and one outcome; trainings differ at random, or as a whole by `spread`.

    What trainings say of single patients at random is drawn twice, with patients and with trainings, so p is too large;
    where some trainings are better than others two do not tell how far they spread, and p is much too small.
    """
    rng = np.random.default_rng(2)
    told = 0
    for _ in range(WORLDS):
        subject = np.repeat(np.arange(90), rng.integers(1, 4, size=90))
        label = (rng.random(90) < 0.3)[subject]
        common = rng.normal(size=len(subject))
        better = 1 + spread * rng.normal(size=(2, num_trainings, 1))
        noise = (0.0 if spread else 0.7) * rng.normal(size=(2, num_trainings, len(subject)))
        risks = 1 / (1 + np.exp(-common - better * label - noise))
        drawn = [
            scores.bootstrap({"auroc": areas.auroc}, label, each, subject, num_draws=200, with_trainings=True)["auroc"]
            for each in risks
        ]
        told += scores.difference(*drawn).p < 0.05
    assert least * WORLDS <= told <= most * WORLDS


def test_reports_of_other_studies_find_images_by_chance() -> None:
    """Images of a study lie beside each other; whose report is asked for has nothing to do with them."""
    rng = np.random.default_rng(3)
    study = np.repeat(np.arange(40), rng.integers(1, 4, size=40))
    centre = rng.normal(size=(40, 8))
    images = (centre[study] + 0.3 * rng.normal(size=(len(study), 8))).astype(np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    relevant = Relevant.of_groups(np.arange(40), study)
    expected, found, above = chance(relevant, ks=(5, 10)), {}, 0
    for _ in range(WORLDS):
        reports = centre[rng.permutation(40)].astype(np.float32)
        reports /= np.linalg.norm(reports, axis=1, keepdims=True)
        measures = query_measures(exact_ranks(reports, images, relevant), relevant, ks=(5, 10))
        rows = {
            (row["metric"], row["k"]): row for row in method_rows(measures, np.arange(40), method="m", num_draws=100)
        }
        for k in (5, 10):
            for name in ("precision_at_k", "recall_at_k", "hit_at_k"):
                found.setdefault((name, k), []).append(rows[name, k]["value"])
        for name in ("median_rank", "average_precision"):
            found.setdefault((name, 0), []).append(rows[name, 0]["value"])
        above += rows["recall_at_k", 10]["ci_low"] > expected["recall_at_k", 10]
    for name, values in found.items():
        above_chance, error = np.mean(values) - expected[name], np.std(values) / WORLDS**0.5
        if name[0] in ("precision_at_k", "recall_at_k"):
            assert abs(above_chance) <= 4 * error, name
        else:  # of neighbours in space one is found with the other
            assert above_chance * (-1 if name[0] == "hit_at_k" else 1) > 3 * error, name
    assert above <= 0.06 * WORLDS
