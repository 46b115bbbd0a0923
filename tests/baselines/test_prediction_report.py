"""From a task folder to rows: what stands in them, what is missing and why, and that nothing is trained twice."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_contracts.evaluation import METHODS
from medcsp_model.baselines.ehr.gated import Gated
from medcsp_model.baselines.ehr.registry import NAMES, methods
from medcsp_model.baselines.ehr.text import TextSettings
from medcsp_model.evaluation import curves, prediction_report
from medcsp_model.evaluation.prediction_report import Answer, Question, evaluate_prediction, why_not
from medcsp_model.evaluation.sweep import Result
from medcsp_model.evaluation.task_data import TaskData
from medcsp_model.settings import PredictionEvaluation, SweepSettings
from pipelines.assets.predictions import BASELINES, DONE, MODULES, OF_CHECKPOINT

LABELS = {"task": "prediction_mortality", "dataset": "mimic_iii", "cohort": "carevue", "mode": "unbounded/shared"}
USED = ("medcsp", "logistic_regression", "gradient_boosting")
SETTINGS = PredictionEvaluation(
    methods=(*USED, "bert_cnn"),
    sizes="demo",
    sweep=SweepSettings(
        batch_sizes=(32,), learning_rates=(1e-2,), seeds=(0, 1), max_epochs=1, num_draws=40, device="cpu"
    ),
    few_methods=("medcsp", "gradient_boosting"),
    few_positives=(6, 1000),
    few_draws=2,
    thresholds=(0.1, 0.3),
)
Rows = dict[str, list[dict[str, Any]]]


def run(folder: Path, checkpoint: Path, output: Path, **changes: Any) -> Rows:
    question = {
        "labels": LABELS,
        "folder": str(folder),
        "task": "mortality",
        "horizon": "unbounded",
        "cohort": "carevue",
        "tested_on": "",
        "without": [],
        "checkpoint": str(checkpoint),
        "corpus": "",
        "towers_folder": "",
        "text_folder": "",
        "is_whole": True,
    }
    settings = changes.pop("settings", SETTINGS)
    evaluate_prediction(
        {
            "questions": [question | changes],
            "settings": settings.to_json(),
            "trials": str(output / "trials"),
            "code": dict.fromkeys(settings.methods, "some code"),
            "output": str(output / "rows"),
        }
    )
    return {path.stem: json.loads(path.read_text()) for path in (output / "rows").iterdir()}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answer")


@pytest.fixture(scope="module")
def rows(folders: Mapping[str, Path], checkpoint: Path, output: Path) -> Rows:
    return run(folders["mortality"], checkpoint, output)


def test_every_row_has_its_place(rows: Rows) -> None:
    keys = Counter(
        tuple(row[key] for key in (*LABELS, "method", "metric", "k", "split", "seed")) for row in rows["metrics"]
    )
    assert max(keys.values()) == 1
    assert all({**LABELS, **row} == row for each in rows.values() for row in each)
    mean = {(row["method"], row["metric"], row["k"]) for row in rows["metrics"] if row["split"] == "test"}
    wanted = {"auroc", "auprc", "auprc_trapezoid", "brier", "ece", "calibration_intercept"}
    assert {metric for method, metric, k in mean if method == "medcsp" and k == 0} >= wanted
    assert {place for place in mean if place[1] == "net_benefit"} == {
        (method, "net_benefit", k) for method in (*USED, "all_positive") for k in (10, 30)
    }
    assert {method for method, metric, _ in mean if metric == "prevalence"} == {"chance"}
    by_chance = [row for row in rows["metrics"] if (row["method"], row["metric"]) == ("chance", "auprc")]
    assert {row["split"] for row in by_chance} == {row["split"] for row in rows["metrics"]}
    for row in by_chance:
        assert (row["k"], row["seed"], row["ci_low"]) == (0, -1, None) and row["num_positive"] / row["n"] < row["value"]
    assert {row["split"] for row in rows["metrics"]} == {"test", "cross_validation", "test/sex=F", "test/sex=M"}


def test_the_mean_has_an_interval_and_each_seed_its_value(rows: Rows, tasks: Mapping[str, TaskData]) -> None:
    found = {
        row["seed"]: row
        for row in rows["metrics"]
        if (row["method"], row["metric"], row["split"], row["k"]) == ("medcsp", "auroc", "test", 0)
    }
    assert sorted(found) == [-1, 0, 1]
    assert found[-1]["value"] == pytest.approx(np.mean([found[0]["value"], found[1]["value"]]))
    assert found[-1]["ci_low"] <= found[-1]["value"] <= found[-1]["ci_high"]
    (error,) = [row for row in rows["metrics"] if (row["method"], row["metric"], row["seed"]) == ("medcsp", "ece", -1)]
    assert error["value"] > 0 and error["ci_low"] is error["ci_high"] is None
    label = tasks["mortality"].label_N[tasks["mortality"].part().test]
    assert (found[0]["ci_low"], found[-1]["n"], found[-1]["num_positive"]) == (None, len(label), label.sum())


def test_few_positives_are_draws_and_more_than_there_are_is_left_out(rows: Rows) -> None:
    few = {(row["method"], row["metric"], row["seed"]) for row in rows["metrics"] if row["k"] == 6}
    wanted = {
        (name, metric, seed) for name in SETTINGS.few_methods for metric in ("auroc", "auprc") for seed in (-1, 0, 1)
    }
    assert few == wanted
    assert 1000 not in {row["k"] for row in rows["metrics"]}


def test_only_what_was_declared_is_tested(rows: Rows) -> None:
    declared = {
        (row["other"], row["metric"], row["split"], row["k"]) for row in rows["comparisons"] if row["is_declared"]
    }
    assert declared == {("gradient_boosting", "auroc", split, 0) for split in ("test", "cross_validation")}
    for row in rows["comparisons"]:
        assert row["num_seeds"] == (2 if row["split"] == "test" else 1)
        assert row["p_value"] is None and row["p_holm"] is None, "so few trainings tell nothing of the methods"
        assert row["method"] == "medcsp" and row["ci_low"] <= row["difference"] <= row["ci_high"]
    (few,) = [row for row in rows["comparisons"] if row["k"] and row["metric"] == "auroc"]
    assert (few["other"], few["p_holm"]) == ("gradient_boosting", None)


@pytest.mark.parametrize("pairs", [2, 3])
def test_a_method_whose_trainings_differ_is_not_told_from_another(
    pairs: int, tasks: Mapping[str, TaskData], tmp_path: Path
) -> None:
    """Half of them are always right, half always wrong: of the patients alone their mean would have no doubt at all."""
    data = tasks["mortality"]
    right = data.label_N[data.part().test].astype(float)
    scores = {"medcsp": np.stack([right, 1 - right] * pairs), "gradient_boosting": np.stack([right, right] * pairs)}
    question = Question(labels=LABELS, folder="", task="", horizon="", cohort="", checkpoint="", is_whole=False)
    answer = Answer(
        question, settings=replace(SETTINGS, sweep=replace(SETTINGS.sweep, num_draws=2000)), trials=tmp_path, code={}
    )
    answer._test(data, {name: Result({}, [], score_SN, 0, 0) for name, score_SN in scores.items()})
    assert all(row["p_value"] is None for row in answer.numbers.comparisons if not row["is_declared"])
    (row,) = [row for row in answer.numbers.comparisons if row["metric"] == "auroc"]
    assert (row["difference"], row["ci_low"], row["ci_high"], row["num_seeds"]) == (-0.5, -1.0, 0.0, 2 * pairs)
    if pairs == 2:
        assert row["p_value"] is None and row["p_holm"] is None, "four are too few"
    else:
        assert row["p_value"] > 0.05 and row["p_holm"] > 0.05


def test_methods_say_what_was_chosen(rows: Rows, tasks: Mapping[str, TaskData]) -> None:
    by_name = {row["method"]: row for row in rows["methods"]}
    assert set(by_name) == set(USED), "a method of readmission is none of mortality"
    ours = by_name["medcsp"]
    assert json.loads(ours["point"]) == {"batch_size": 32, "learning_rate": 0.01}
    label = tasks["mortality"].label_N[tasks["mortality"].part().train]
    assert (ours["num_seeds"], ours["num_train"], ours["num_train_positive"]) == (2, len(label), label.sum())
    assert ours["num_trials"] == 2 + 2 + 5
    assert ours["num_parameters"] > 0 and by_name["gradient_boosting"]["num_parameters"] is None
    assert all(row["reason"] is None for row in by_name.values())


def test_nothing_is_trained_twice(rows: Rows, folders: Mapping[str, Path], checkpoint: Path, output: Path) -> None:
    before = {path: path.read_bytes() for path in (output / "trials").glob("*/trials.jsonl")}
    assert {path.parent.name for path in before} == set(USED)
    assert run(folders["mortality"], checkpoint, output) == rows
    assert {path: path.read_bytes() for path in before} == before


def test_curves_have_the_areas_of_the_means(
    rows: Rows, folders: Mapping[str, Path], tasks: Mapping[str, TaskData], checkpoint: Path, output: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert rows["curves"] == [], "eight positives are too few for a curve"
    monkeypatch.setattr(curves, "FEWEST", 2)
    found = run(folders["mortality"], checkpoint, output)["curves"]
    label = tasks["mortality"].label_N[tasks["mortality"].part().test]
    areas = {
        (row["method"], row["metric"]): row["value"]
        for row in rows["metrics"]
        if (row["split"], row["k"], row["seed"]) == ("test", 0, -1)
    }
    for method in USED:
        curve = [row for row in found if row["method"] == method]
        assert len(curve) == label.sum() // 2
        assert {(row["n"], row["num_positive"], row["num_seeds"]) for row in curve} == {(len(label), label.sum(), 2)}
        assert np.mean([1 - row["false_positive_rate"] for row in curve]) == pytest.approx(areas[method, "auroc"])
        assert np.mean([row["precision"] for row in curve]) == pytest.approx(areas[method, "auprc"])


def test_what_cannot_be_answered_says_why(folders: Mapping[str, Path], checkpoint: Path, tmp_path: Path) -> None:
    found = run(folders["mortality"], checkpoint, tmp_path, cohort="metavision")
    assert (found["metrics"], found["comparisons"], found["curves"]) == ([], [], [])
    assert {row["method"] for row in found["methods"]} == set(SETTINGS.methods)
    assert all("no example of mortality/unbounded/metavision" in row["reason"] for row in found["methods"])


def test_a_method_that_cannot_be_used_leaves_the_others(
    folders: Mapping[str, Path], tasks: Mapping[str, TaskData], checkpoint: Path, tmp_path: Path
) -> None:
    gated = Gated(name="BertCnn", series="cnn", main="text", text=TextSettings(folder=str(tmp_path / "bert")))
    assert "incomplete text encoder, no config.json" in why_not(gated, tasks["readmission"])
    small = replace(SETTINGS, fold_seeds=0, few_positives=(), sizes="published")
    chosen = replace(small, methods=("bert_cnn", "logistic_regression"))
    found = run(folders["readmission"], checkpoint, tmp_path, settings=chosen, text_folder=str(tmp_path / "bert"))
    reasons = {row["method"]: row["reason"] for row in found["methods"]}
    assert "give a folder with config.json and model.safetensors" in reasons["bert_cnn"]
    assert reasons["logistic_regression"] is None
    assert {row["method"] for row in found["metrics"]} == {"logistic_regression", "chance", "all_positive"}


def test_another_cohort_can_be_tested(folders: Mapping[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["mortality"], tmp_path / "task")
    with np.load(folder / "labels.npz") as file:
        columns = dict(file)
    place = np.arange(len(columns["label"]))
    columns["cohort"] = np.where(place % 4 < 2, "carevue", "metavision").astype("S16")
    np.savez(folder / "labels.npz", **columns)  # type: ignore[arg-type]
    data = TaskData.open(folder, task="mortality", horizon="unbounded", cohort="metavision", tested_on="carevue")
    part, cohort = data.part(), columns["cohort"].astype(str)[data.record_N]
    assert set(cohort[part.train]) == set(cohort[part.validation]) == {"metavision"}
    assert set(cohort[part.test]) == {"carevue"}
    assert TaskData.open(**data.opened).fingerprint == data.fingerprint


def test_the_graph_understands_the_evaluators_words() -> None:
    found = DONE.search(f"  09:10:11 {prediction_report.DONE}f_lstm: prediction_arf carevue unbounded")
    assert found is not None and found[1] == "f_lstm"
    assert set(NAMES) == set(PredictionEvaluation().methods) <= set(METHODS)
    modules = {name: type(method).__module__ for name, method in methods(checkpoint="").items()}
    assert {name: f"{BASELINES}.{module}" for name, module in MODULES.items()} == modules
    described = (vars(method) for method in methods(checkpoint="ours").values())
    starts = {values["name"] for values in described if "ours" in values.values() and "scratch" not in values.values()}
    assert {NAMES[name] for name in OF_CHECKPOINT} == starts and OF_CHECKPOINT == prediction_report.PRETRAINED


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"methods": []}, "name at least one"),
        ({"thresholds": [0.0]}, "between 0 and 1"),
        ({"fold_seeds": 9}, "9, of 5 seeds"),
        ({"few_draws": 0}, "few_draws: must be at least 1"),
        ({"sweep": {"patience": 0}}, "patience"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, Any], message: str) -> None:
    assert PredictionEvaluation.from_json(SETTINGS.to_json()) == SETTINGS
    with pytest.raises(ValueError, match=message):
        PredictionEvaluation.from_json(values)
