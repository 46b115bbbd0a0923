"""Predictions: launches every method on every task, and publishes its numbers. Not here: any method or metric.

A sweep keeps its trainings below `runs/prediction_trials`, which no fingerprint names: whatever is asked next, what the
same code trained once is found there. Dagster shows what is done as partitions of `prediction_sweeps`, task by method.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts import Contract, corpus, evaluation, prediction, training
from lake import code_version
from pipelines.assets.prediction import task_folder
from pipelines.assets.step import Build, Made, gathering, step
from pipelines.assets.training import weights_digests
from pipelines.features.prediction_questions import Places, questions
from pipelines.profiles import Profile
from pipelines.resources import Workspace

TRIALS = "prediction_trials"
FILES = ("metrics.json", "comparisons.json", "methods.json", "curves.json")
DONE = re.compile(r"done: (\w+): ")
"""What the evaluator says when it has trained a method for a question."""
CHECKPOINTS = {
    "native": (training.PretrainCheckpoint, corpus.PretrainCorpus),
    "shared": (training.PretrainCheckpointShared, corpus.PretrainCorpusShared),
}
"""Checkpoint and the corpus it was trained on, by feature space."""
BASELINES = "medcsp_model.baselines.ehr"
MODULES = {
    **dict.fromkeys(("medcsp", "medcsp_linear_probe", "medcsp_scratch"), "medcsp"),
    **{name: name for name in ("f_lstm", "f_cnn", "raim", "dcmn", "medhmp")},
    **dict.fromkeys(("bert_lstm", "bert_cnn", "bert_encoder", "bert_star"), "gated"),
    **dict.fromkeys(("lstm_bert", "cnn_bert", "encoder_bert", "star_bert"), "gated"),
    **dict.fromkeys(("logistic_regression", "gradient_boosting"), "tables"),
}
"""Module of each method: it, what it imports, the loop among it, and `SWEEP` are the code that names its trainings."""
SWEEP = "medcsp_model.evaluation.sweep"
OF_CHECKPOINT = ("medcsp", "medcsp_linear_probe")
"""Methods that start from our checkpoint's weights; all others, the same network from scratch too, read none."""
MODELS = tuple(contract for pair in CHECKPOINTS.values() for contract in pair)


def _settings_of(*tasks: str) -> Callable[[Profile], dict[str, Any]]:
    """Return the settings of an asset: those of the evaluation, with the asset's own tasks."""

    def settings(profile: Profile) -> dict[str, Any]:
        chosen = profile.evaluation
        asked = [task for task in tasks if task in chosen.tasks]
        plain = asdict(chosen) | {"measured": chosen.measured.to_json()}
        own = json.loads(json.dumps(plain | {"tasks": asked, "towers": profile.towers}))
        return own if asked else {"tasks": []}

    return settings


def _text_encoder(workspace: Workspace) -> Path | None:
    name = workspace.profile.evaluation.text_encoder
    return (workspace.weights_root or Path("MEDCSP_WEIGHTS")) / name if name else None


def _text_digests(workspace: Workspace) -> dict[str, str]:
    folder = _text_encoder(workspace)
    return weights_digests(workspace, folder) if folder and folder.is_dir() else {}


AT_48H: dict[str, Any] = {
    "inputs": [prediction.CriticalCareCorpus, *MODELS],
    "code": ("medcsp_model.evaluation.prediction_report",),
    "leaves": FILES,
    "on_device": True,
    "kinds": ("pytorch", "scikitlearn"),
}
GATHERED = gathering(*evaluation.PREDICTIONS)
AT_DISCHARGE = AT_48H | {"inputs": [prediction.DischargeCorpus, *MODELS], "raw": _text_digests}


@step(evaluation.PredictionArf, settings=_settings_of("arf"), **AT_48H)
def prediction_arf(build: Build) -> Made:
    """Predict acute respiratory failure."""
    return _evaluate(build, prediction.CriticalCareCorpus)


@step(evaluation.PredictionShock, settings=_settings_of("shock"), **AT_48H)
def prediction_shock(build: Build) -> Made:
    """Predict shock."""
    return _evaluate(build, prediction.CriticalCareCorpus)


@step(evaluation.PredictionMortality, settings=_settings_of("mortality"), **AT_48H)
def prediction_mortality(build: Build) -> Made:
    """Predict death in hospital."""
    return _evaluate(build, prediction.CriticalCareCorpus)


@step(evaluation.PredictionAki, settings=_settings_of("aki"), **AT_48H)
def prediction_aki(build: Build) -> Made:
    """Predict acute kidney injury."""
    return _evaluate(build, prediction.CriticalCareCorpus)


@step(evaluation.PredictionReadmission, settings=_settings_of("readmission", "readmission_any"), **AT_DISCHARGE)
def prediction_readmission(build: Build) -> Made:
    """Predict readmission, to the ICU and of any kind."""
    return _evaluate(build, prediction.DischargeCorpus)


@step(evaluation.PredictionComparisons, **GATHERED)
def prediction_comparisons(build: Build) -> pl.DataFrame:
    """Gather how methods differ."""
    return gather(build, "comparisons")


@step(evaluation.PredictionMethods, **GATHERED)
def prediction_methods(build: Build) -> pl.DataFrame:
    """Gather what validation chose, and why a method has no number."""
    return gather(build, "methods")


def _evaluate(build: Build, contract: type[Contract]) -> Made:
    """Answer every question about the asset's tasks; without one, publish nothing and say so."""
    folder = build.run_folder()
    chosen = build.workspace.profile.evaluation
    asked = (
        questions(tuple(build.settings["tasks"]), chosen, _places(build, contract)) if build.settings["tasks"] else []
    )
    if asked:
        run = {"task": "prediction", "questions": asked, "settings": chosen.measured.to_json(), "output": str(folder)}
        code = {method: _code_of(module) for method, module in MODULES.items()}
        trials = build.lake.home / "runs" / TRIALS
        heard = replace(build, log=_hear(build, len(asked)))
        heard.launch("medcsp_model.evaluate", {**run, "trials": str(trials), "code": code})
    else:
        build.log("none of its tasks is among the profile's evaluation.tasks: published empty")
        for name in FILES:
            (folder / name).write_text("[]\n")
    methods = _rows(build, evaluation.PredictionMethods, folder / "methods.json")
    reasons = dict(methods.filter(pl.col("reason").is_not_null()).select("mode", "reason").iter_rows())
    return Made(_rows(build, build.step.contract, folder / "metrics.json"), extra={"not_available": reasons})


@cache
def _code_of(module: str) -> str:
    return code_version(f"{BASELINES}.{module}", SWEEP)


def _places(build: Build, contract: type[Contract]) -> Places:
    towers = build.workspace.profile.towers
    return Places(
        folders={
            space: task_folder(build, contract, space=space, trained_on=trained_on)
            for space, (_, trained_on) in CHECKPOINTS.items()
        },
        checkpoints={space: build.folder_of(checkpoint) for space, (checkpoint, _) in CHECKPOINTS.items()},
        corpora={space: build.folder_of(trained_on) for space, (_, trained_on) in CHECKPOINTS.items()},
        towers=str(build.workspace.weights(towers)) if towers else "",
        text_encoder=str(_text_encoder(build.workspace) or ""),
    )


def _hear(build: Build, num_questions: int) -> Callable[[str], None]:
    """Return what passes lines on, and says when a method has been trained for every question."""
    done: Counter[str] = Counter()

    def hear(line: str) -> None:
        build.log(line)
        if found := DONE.search(line):
            done[found[1]] += 1
            if done[found[1]] == num_questions:
                build.done({"task": build.step.name, "method": found[1]})

    return hear


def _rows(build: Build, contract: type[Contract], path: Path) -> pl.DataFrame:
    """Return rows that the evaluator wrote, with the checkpoint that they are of where their method starts from one."""
    empty = contract.create_empty()
    rows = pl.DataFrame(json.loads(path.read_text()), schema_overrides=dict(empty.schema), infer_schema_length=None)
    if rows.is_empty():
        return empty
    is_shared = pl.col("mode").str.split("/").list.contains("shared")
    native, shared = (build.lake.manifest(CHECKPOINTS[space][0].table) for space in CHECKPOINTS)
    assert native is not None and shared is not None
    known = {"synthetic": pl.lit(build.workspace.is_synthetic)}
    checkpoint = pl.when(is_shared).then(pl.lit(shared.fingerprint)).otherwise(pl.lit(native.fingerprint))
    known["fingerprint"] = pl.when(pl.col("method").is_in(OF_CHECKPOINT)).then(checkpoint)
    if "paper_value" in empty.columns:
        known["paper_value"] = pl.lit(None, dtype=pl.Float64)  # the paper's Figures 5 and 6 print no numbers
    if "reason" in empty.columns:
        known["reason"] = pl.col("reason").map_elements(build.workspace.portable, return_dtype=pl.String)
    return rows.with_columns(**known).select(empty.columns)


def gather(build: Build, name: str) -> pl.DataFrame:
    """Return what every task's process wrote to one of its `FILES`, under the contract of the step."""
    folders = [build.folder_of(contract) for contract in evaluation.PREDICTIONS]
    return pl.concat([_rows(build, build.step.contract, folder / f"{name}.json") for folder in folders])


STEPS = (
    prediction_arf,
    prediction_shock,
    prediction_mortality,
    prediction_aki,
    prediction_readmission,
    prediction_comparisons,
    prediction_methods,
)
