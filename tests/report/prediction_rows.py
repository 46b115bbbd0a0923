"""Planted numbers of prediction tasks: two cohorts, two horizons, few positives, subgroups, folds, transfer."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pipelines.features.tasks import task_table

Row = dict[str, Any]
ARF, READMISSION = "prediction_arf", "prediction_readmission"
HERE = {"dataset": "mimic_iii", "cohort": "metavision"}
THERE = {"dataset": "mimic_iii", "cohort": "carevue"}
METHODS = {
    "medcsp": 0.84,
    "medcsp_linear_probe": 0.8,
    "medcsp_scratch": 0.76,
    "f_lstm": 0.78,
    "f_cnn": 0.74,
    "raim": 0.71,
    "dcmn": 0.69,
    "medhmp": 0.79,
    "logistic_regression": 0.77,
    "gradient_boosting": 0.81,
}
AT_DISCHARGE = {
    **{name: METHODS[name] for name in ("medcsp", "medcsp_linear_probe", "medcsp_scratch")},
    "bert_lstm": 0.7,
    "bert_star": 0.68,
    "lstm_bert": 0.71,
    "star_bert": 0.45,
    "medhmp": 0.72,
    "logistic_regression": 0.69,
    "gradient_boosting": 0.75,
}
LOWER = {"prediction_arf": 0.0, "prediction_shock": 0.03, "prediction_mortality": -0.02, "prediction_readmission": 0.1}
POSITIVES = {"prediction_arf": 40, "prediction_shock": 62, "prediction_mortality": 58, "prediction_readmission": 31}
FEW = {10: 0.16, 30: 0.09, 100: 0.03}
"""Positives trained on, and what a method lacks with so few."""
THRESHOLDS = (5, 10, 20, 30)
NUM_SEEDS, NUM_DRAWS, N = 3, 20, 500
MEASURED = {
    "sweep": {
        "batch_sizes": [32, 64],
        "learning_rates": [0.0002, 0.002],
        "seeds": [0, 1, 2],
        "monitor": "auroc",
        "max_epochs": 50,
        "patience": 5,
        "num_draws": 10_000,
    }
}
"""Settings of the evaluation, as manifests of the tasks' tables have them."""
WHEN = datetime(2150, 1, 1)


def prediction_metrics(checkpoint: str, shared: str) -> list[Row]:
    """Rows as `metrics` has them, measured on the checkpoint of their feature space."""
    common = {"paper_value": None, "synthetic": True}
    of = {True: shared, False: checkpoint}
    return [row | common | {"fingerprint": _of_ours(row["method"], of["/shared" in row["mode"]])} for row in _rows()]


def _of_ours(method: str, checkpoint: str) -> str | None:
    return checkpoint if method in ("medcsp", "medcsp_linear_probe") else None


def _rows() -> Iterator[Row]:
    for task in LOWER:
        values = AT_DISCHARGE if task == READMISSION else METHODS
        modes = ["within_30d", "within_30d/without_codes"] if task == READMISSION else ["unbounded"]
        modes += ["within_48h"] if task == ARF else []
        for late, mode in enumerate(modes):
            yield from _of_task({"task": task, **HERE, "mode": mode}, values, lower=0.02 * late, is_whole=not late)
    shared = {"task": ARF, **THERE}
    two = {name: METHODS[name] for name in ("medcsp", "gradient_boosting")}
    yield from _of_task(shared | {"mode": "unbounded/shared"}, two, lower=0.05, is_whole=False)
    yield from _of_task(shared | {"mode": "unbounded/shared/transfer"}, two, lower=0.11, is_whole=False)


def _of_task(labels: Row, values: dict[str, float], *, lower: float, is_whole: bool) -> Iterator[Row]:
    positive = POSITIVES[labels["task"]]
    lower += LOWER[labels["task"]]
    for method, value in values.items():
        auroc, auprc = value - lower, (value - lower) ** 2 / 2
        yield from _number(labels, method, "auroc", auroc, spread=0.07, seeds=True)
        yield from _number(labels, method, "auprc", auprc, spread=0.09, seeds=True)
        yield from _number(labels, method, "auprc_trapezoid", auprc + 0.01, spread=0.09)
        if not is_whole:
            continue
        yield from _number(labels, method, "calibration_slope", 0.8 + value - 0.7, spread=0.3)
        yield from _number(labels, method, "calibration_intercept", value - 0.8, spread=0.4)
        yield from _number(labels, method, "brier", 0.07, spread=0.01)
        yield from _number(labels, method, "ece", 0.03, spread=None)
        for threshold in THRESHOLDS:
            benefit = 0.08 * (value - 0.5) * math.exp(-threshold / 20)
            yield from _number(labels, method, "net_benefit", benefit, spread=0.01, k=threshold)
        for group, count in (
            ("sex=F", 9),
            ("sex=M", positive - 9),
            ("age=under_45", 3),
            ("age=45_to_64", positive - 3),
        ):
            counts = {"split": f"test/{group}", "n": 9 if count == 3 else 10 * count, "num_positive": count}
            yield from _number(labels, method, "auroc", auroc - 0.01, spread=0.1, **counts)
            yield from _number(labels, method, "auprc", auprc - 0.01, spread=0.1, **counts)
    yield from _number(labels, "chance", "prevalence", positive / N, spread=0.02)
    yield from _number(labels, "chance", "auprc", positive / N + 0.01, spread=None)
    for threshold in THRESHOLDS if is_whole else ():
        odds = threshold / (100 - threshold)
        benefit = positive / N - (1 - positive / N) * odds
        yield from _number(labels, "all_positive", "net_benefit", benefit, spread=0.02, k=threshold)
    if is_whole:
        yield from _few_and_folds(labels, values, lower=lower)


def _few_and_folds(labels: Row, values: dict[str, float], *, lower: float) -> Iterator[Row]:
    for method in ("medcsp", "medcsp_linear_probe", "medcsp_scratch", "gradient_boosting"):
        for k, lack in FEW.items():
            value = values[method] - lower - lack * (2 if method == "medcsp_scratch" else 1)
            yield from _number(labels, method, "auroc", value, spread=0.06, k=k, seeds=True)
    for method in ("medcsp", "medhmp", "medcsp_scratch", "gradient_boosting"):
        for metric in ("auroc", "auprc"):
            value = values[method] - lower - (0.5 if metric == "auprc" else 0)
            yield from _number(labels, method, metric, value, spread=0.02, split="cross_validation", n=10 * N)
    yield from _number(labels, "chance", "auprc", 0.25, spread=None, split="cross_validation", n=10 * N)


def _number(
    labels: Row, method: str, metric: str, value: float, *, spread: float | None, seeds: bool = False, **more: Any
) -> Iterator[Row]:
    row = {**labels, "method": method, "metric": metric, "k": 0, "split": "test", "n": N}
    row |= {"num_positive": POSITIVES[labels["task"]]} | more
    ends = (None, None) if spread is None else (round(value - spread, 6), round(value + 0.8 * spread, 6))
    if metric in ("auroc", "auprc") and spread is not None:
        ends = tuple(min(max(end, 0.0), 1.0) for end in ends)
    yield {**row, "seed": -1, "value": round(value, 6), **dict(zip(("ci_low", "ci_high"), ends, strict=True))}
    for seed in range(NUM_SEEDS if seeds else 0):
        yield {**row, "seed": seed, "value": round(value + 0.01 * (seed - 1), 6), "ci_low": None, "ci_high": None}


def prediction_curves(checkpoint: str, shared: str) -> list[Row]:
    """Curves of every method with an area on the test part, at each task's first horizon, with that area."""
    areas: dict[tuple[str, ...], dict[str, float]] = {}
    headlines = [row for row in prediction_metrics(checkpoint, shared) if _is_headline(row)]
    for row in headlines:
        areas.setdefault((row["task"], row["mode"], row["method"]), {})[row["metric"]] = row["value"]
    of = {(row["task"], row["mode"]): row for row in headlines}
    names = ("task", "dataset", "cohort", "mode", "split", "n", "num_positive", "synthetic")
    common = {"num_seeds": NUM_SEEDS}
    return [
        {name: of[task, mode][name] for name in names}
        | {"method": method, "fingerprint": _of_ours(method, checkpoint), **common, **point}
        for (task, mode, method), found in areas.items()
        for point in curve_points(POSITIVES[task], **found)
    ]


def _is_headline(row: Row) -> bool:
    is_first = row["mode"] in ("unbounded", "within_30d") and row["metric"] in ("auroc", "auprc")
    is_first &= row["method"] != "chance"
    return is_first and (row["k"], row["split"], row["seed"]) == (0, "test", -1)


def curve_points(num_positive: int, *, auroc: float, auprc: float) -> list[Row]:
    """Points of straight curves that have these areas, one for every five positives."""
    cells = num_positive // 5
    return [
        {
            "point": at + 1,
            "recall": (at + 1) / cells,
            "false_positive_rate": min((1 - auroc) * (2 * at + 1) / cells, 1.0),
            "precision": auprc + min(auprc, 1 - auprc) * (1 - (2 * at + 1) / cells),
        }
        for at in range(cells)
    ]


def prediction_comparisons(checkpoint: str) -> list[Row]:
    """Differences: declared ones on the test part and over folds, few positives, and one that was not declared."""
    common = {"metric": "auroc", "k": 0, "split": "test", "n": N, "num_positive": 40, "fingerprint": checkpoint}
    common |= {"task": ARF, **HERE, "mode": "unbounded", "method": "medcsp", "synthetic": True}
    tested = [("medhmp", 0.05, 0.012, 0.036), ("medcsp_scratch", 0.08, 0.0002, 0.0006)]
    tested += [("gradient_boosting", 0.03, 0.21, 0.21)]
    rows = [
        _difference(common, other, value, p_value=p, p_holm=holm, is_declared=True) for other, value, p, holm in tested
    ]
    once = {"split": "cross_validation", "num_seeds": 1, "p_value": None}
    rows += [_difference(common, other, value, is_declared=True, **once) for other, value, _, _ in tested]
    few = {"p_value": 0.01, "num_seeds": NUM_DRAWS}
    rows += [_difference(common, "medcsp_scratch", lack, k=k, **few) for k, lack in FEW.items()]
    return [*rows, _difference(common, "raim", 0.13, p_value=0.001)]


def _difference(common: Row, other: str, value: float, **more: Any) -> Row:
    ends = {"difference": value, "ci_low": value - 0.06, "ci_high": value + 0.05}
    return {**common, "other": other, **ends, "num_seeds": NUM_SEEDS, "p_holm": None, "is_declared": False, **more}


def prediction_methods(checkpoint: str) -> list[Row]:
    """One line per method: what was trained, and two that were not, with the reason."""
    common = {"point": '{"batch_size": 32}', "num_seeds": NUM_SEEDS, "num_trials": 12, "num_parameters": 1000}
    common |= {"num_train": 8 * N, "reason": None, "synthetic": True}
    rows = [
        {**common, "task": task, **HERE, "mode": mode, "method": method, "num_train_positive": 8 * POSITIVES[task]}
        for task in LOWER
        for mode in ("within_30d" if task == READMISSION else "unbounded",)
        for method in (AT_DISCHARGE if task == READMISSION else METHODS)
    ]
    nothing = dict.fromkeys(("point", "num_parameters", "num_train", "num_train_positive")) | {"num_seeds": 0}
    nobody = {"task": "prediction_shock", **THERE, "mode": "unbounded/shared", "reason": "no example has the event"}
    rows += [{**common, **nothing, "num_trials": 0, **nobody, "method": method} for method in ("medcsp", "medhmp")]
    no_text = {"task": READMISSION, **HERE, "mode": "within_30d", "reason": "MEDCSP_WEIGHTS/text lacks config.json"}
    rows += [{**common, **nothing, "num_trials": 0, **no_text, "method": "bert_cnn"}]
    return [{**row, "fingerprint": _of_ours(row["method"], checkpoint)} for row in rows]


def study_tables(admissions: Sequence[tuple[int, int]]) -> dict[str, list[Row]]:
    """Who is predicted and from what; of the admissions (subject, admission) four are examples of what was measured,
    two of a cohort that was not."""
    people = [
        {
            "subject_id": subject,
            "hadm_id": hadm_id,
            "age_years": 40.0 + at,
            "gender": "FM"[at % 2],
            "race_group": "white",
            "insurance_group": "medicare",
            "admission_group": "emergency",
            "care_unit_group": "medical",
        }
        for at, (subject, hadm_id) in enumerate(admissions)
    ]
    examples = [{key: row[key] for key in ("subject_id", "hadm_id")} for row in people[:6]]
    for row in examples:
        row |= {"stay_id": row["hadm_id"] + 1, "index_event": "icu_48h", "index_time": WHEN}
    parts = {101: "train", 102: "validation", 103: "test"}
    of_task = {"task": "arf", "horizon": "unbounded", "is_competing": False, "fold": 0}
    read = {"before_hours": 48.0, "flag": None, "last_known_time": None}
    return {
        "prediction_tasks": task_table().to_dicts(),
        "prediction_labels": [
            {
                **row,
                **of_task,
                "cohort": "metavision" if at < 4 else "ehr_holdout",
                "label": False,
                "event_time": None,
                "split": parts.get(row["subject_id"], "test"),
            }
            for at, row in enumerate(examples)
        ],
        "prediction_inputs": [
            {
                **row,
                "input": name,
                "input_stay_id": row["stay_id"],
                "num_rows": 0 if (name == "demographics" and not at) or at >= 4 else 9,
                "num_late_rows": 2,
                **read,
            }
            for at, row in enumerate(examples)
            for name in ("series", "demographics")
        ],
        "ehr_demographics": people,
        "static_features": [],
    }
