"""Intervals of areas and calibration from drawn weights, against scikit-learn on copied records.

3,000 records of 2,300 patients, five trainings, 40 draws of patients; both average each measure over all trainings.

Prints one JSON object: `ratio` of the CPU time (median of five interleaved runs), `milliseconds` of ours and of the
other, `difference`, the largest between the draws of the two, and `cpu_seconds_10000` of ours as evaluations run it:
10,000 draws of patients and of trainings.
"""

import json
import time

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from benchmarks.measure import ratio_of
from medcsp_model.evaluation import areas, scores

NUM_RECORDS, NUM_PATIENTS, NUM_TRAININGS, NUM_DRAWS = 3_000, 2_300, 5, 40
MEASURES: dict[str, areas.Metric] = {
    "auroc": areas.auroc,
    "average_precision": areas.average_precision,
    "brier": scores.brier,
    "calibration_slope": scores.calibration_slope,
}


def slope(label: NDArray[np.bool_], risk: NDArray[np.float64]) -> float:
    """Slope of a logistic regression on the logit."""
    logit = np.log(risk / (1 - risk))
    return float(LogisticRegression(C=np.inf, tol=1e-9).fit(logit[:, None], label).coef_[0, 0])


REFERENCES = (roc_auc_score, average_precision_score, brier_score_loss, slope)


def main() -> None:
    rng = np.random.default_rng(0)
    subject = np.sort(np.r_[np.arange(NUM_PATIENTS), rng.integers(NUM_PATIENTS, size=NUM_RECORDS - NUM_PATIENTS)])
    label = rng.random(NUM_RECORDS) < 0.12
    risks = 1 / (1 + np.exp(-(rng.normal(size=(NUM_TRAININGS, NUM_RECORDS)) + label - 2.2)))
    rows = np.split(np.arange(NUM_RECORDS), np.flatnonzero(np.diff(subject)) + 1)

    def copied() -> NDArray[np.float64]:
        found = []
        for patients in np.random.default_rng(0).integers(NUM_PATIENTS, size=(NUM_DRAWS, NUM_PATIENTS)):
            taken = np.concatenate([rows[patient] for patient in patients])
            found.append([[one(label[taken], risk[taken]) for one in REFERENCES] for risk in risks])
        return np.mean(found, axis=1).T

    def weighted() -> NDArray[np.float64]:
        drawn = scores.bootstrap(MEASURES, label, risks, subject, num_draws=NUM_DRAWS)
        return np.stack([each.draws_B for each in drawn.values()])

    difference = float(np.abs(copied() - weighted()).max())
    assert difference < 1e-4, difference
    ratio, slow, fast = ratio_of(copied, weighted)
    started = time.process_time()
    scores.report(label, risks, subject, with_trainings=True)
    line = {"ratio": round(ratio, 1), "milliseconds": [round(fast, 1), round(slow, 1)], "difference": difference}
    print(json.dumps(line | {"cpu_seconds_10000": round(time.process_time() - started, 1)}))


if __name__ == "__main__":
    main()
