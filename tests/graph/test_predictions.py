"""The prediction assets over a built home, with a stand-in for the evaluator: what it is asked, what becomes of it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from graph_runs import copy_home, tiny_workspace

from data_contracts import Contract, evaluation
from data_contracts.corpus import PretrainCorpus, PretrainCorpusShared
from data_contracts.training import PretrainCheckpoint, PretrainCheckpointShared
from lake import code_version
from lake.code import ROOT
from pipelines.assets.glue import PREDICTION_SWEEPS, _done, build_and_publish
from pipelines.assets.graph import STEPS
from pipelines.assets.predictions import BASELINES, MODULES, SWEEP
from pipelines.features.prediction_questions import EvaluationSettings
from pipelines.launcher import Launcher, ProcessUsage
from pipelines.resources import Workspace
from pipelines.run import asset_costs

CHECKPOINTS = (PretrainCheckpoint, PretrainCheckpointShared)
NUMBER = {"value": 0.75, "ci_low": 0.6, "ci_high": 0.9, "n": 20, "num_positive": 6}
CHOSEN = {"point": '{"leaves": 7}', "num_seeds": 1, "num_trials": 2, "num_parameters": None, "num_train": 40}
DIFFERENCE = {"difference": 0.1, "ci_low": 0.0, "ci_high": 0.2, "num_seeds": 1, "p_value": None, "p_holm": None}
DIFFERENCE |= {"is_declared": False}


@dataclass(frozen=True)
class StandIn(Launcher):
    """Answers every question with one number of one method, and with a reason why another has none."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    def run(
        self, module: str, settings: dict[str, Any], *, folder: Path, log: Callable[[str], None], **_: Any
    ) -> ProcessUsage:
        assert (module, settings["task"]) == ("medcsp_model.evaluate", "prediction")
        assert set(settings["code"]) >= set(settings["settings"]["methods"])
        self.asked.extend(settings["questions"])
        labels = [question["labels"] for question in settings["questions"]]
        place = {"metric": "auroc", "k": 0, "split": "test", "method": "medcsp"}
        rows = {
            "metrics": [
                {**each, **place, "method": name, "seed": -1, **NUMBER}
                for each in labels
                for name in ("medcsp", "medcsp_scratch", "gradient_boosting")
            ],
            "comparisons": [
                {**each, **place, "other": "raim", **DIFFERENCE, "n": 20, "num_positive": 6} for each in labels
            ],
            "methods": [
                {**each, "method": name, "reason": reason, **CHOSEN, "num_train_positive": 9}
                for each in labels
                for name, reason in (("medcsp", None), ("raim", f"{folder.parents[2]}/a: one class"))
            ],
        }
        for name, values in rows.items():
            (folder / f"{name}.json").write_text(json.dumps(values))
        for each in labels:
            log(f"  09:00:00 done: medcsp: {each['task']} {each['cohort']}")
        return ProcessUsage(cpu_seconds=1.0, peak_mb=1.0)


@dataclass(frozen=True)
class Evaluated:
    """A home whose prediction assets were made, what the evaluator was asked, and what Dagster heard."""

    workspace: Workspace
    asked: list[dict[str, Any]]
    done: list[dict[str, str]]

    def rows(self, contract: type[Contract]) -> pl.DataFrame:
        return self.workspace.lake.scan(contract.table).collect()


def checkpoint_rows(contract: type[Contract]) -> pl.DataFrame:
    """One row of a checkpoint's curve, zeros all over."""
    values = {name: "0" * 64 if name == "model_sha256" else 0 for name in contract.columns()}
    return contract.validate(pl.DataFrame([values]), cast=True)


def make(workspace: Workspace, contract: type[Contract], **options: Any) -> None:
    step = STEPS[contract.table]
    build_and_publish(step, workspace, step.input_versions(workspace), log=lambda line: None, **options)


@pytest.fixture(scope="module")
def evaluated(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    home = copy_home(built_home, tmp_path_factory.mktemp("predictions") / "home")
    workspace = tiny_workspace(home)
    settings = EvaluationSettings(
        tasks=("arf", "readmission"), cohorts=("ehr_holdout", "carevue"), is_transferred=False, text_encoder=""
    )
    stand_in = StandIn()
    workspace = replace(
        workspace, profile=replace(workspace.profile, evaluation=settings), launcher=stand_in, weights_root=None
    )
    lake, done = workspace.lake, []
    make(workspace, PretrainCorpusShared)
    for contract in CHECKPOINTS:
        lake.publish(contract, checkpoint_rows(contract), code_version=contract.table, inputs={}, settings={})
    for contract in (*evaluation.PREDICTIONS, evaluation.PredictionComparisons, evaluation.PredictionMethods):
        make(workspace, contract, done=done.append)
    return Evaluated(workspace, stand_in.asked, done)


def test_every_task_of_the_profile_is_asked_about(evaluated: Evaluated) -> None:
    modes = {(question["task"], question["labels"]["mode"]) for question in evaluated.asked}
    assert modes == {
        *(("arf", mode + space) for mode in ("unbounded", "within_48h") for space in ("", "/shared")),
        *(
            ("readmission", mode + space)
            for mode in ("within_30d", "within_30d/without_codes")
            for space in ("", "/shared")
        ),
    }
    for question in evaluated.asked:
        assert (Path(question["folder"]) / "labels.npz").is_file()
        assert (Path(question["corpus"]) / "corpus.json").is_file()


def test_code_names_the_trainings_of_the_methods_it_trains(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "medcsp_model", tmp_path / "medcsp_model", ignore=shutil.ignore_patterns("__pycache__"))

    def codes() -> dict[str, str]:
        return {name: code_version(f"{BASELINES}.{module}", SWEEP, root=tmp_path) for name, module in MODULES.items()}

    def changed(path: str) -> set[str]:
        """Methods that are trained again when a file has another constant."""
        before = codes()
        with (tmp_path / "medcsp_model" / path).open("a") as file:
            file.write("\nANOTHER = 1\n")
        return {name for name, code in codes().items() if code != before[name]}

    assert changed("baselines/ehr/raim.py") == {"raim"}
    assert changed("baselines/ehr/medhmp_pretraining.py") == {"medhmp"}
    for path in ("evaluation/prediction.py", "evaluation/sweep.py", "evaluation/areas.py"):
        assert changed(path) == set(MODULES)
    for path in ("evaluation/scores.py", "evaluation/prediction_report.py", "settings/evaluation.py"):
        assert changed(path) == set(), "what is measured trains nothing again"


def test_its_numbers_are_published_with_the_checkpoint_they_are_of(evaluated: Evaluated) -> None:
    rows = evaluated.rows(evaluation.PredictionArf)
    native, shared = (evaluated.workspace.lake.manifest(contract.table) for contract in CHECKPOINTS)
    assert native is not None and shared is not None and native.fingerprint != shared.fingerprint
    ours, others = (rows.filter(is_ours) for is_ours in (pl.col("method") == "medcsp", pl.col("method") != "medcsp"))
    assert dict(ours.select("mode", "fingerprint").iter_rows()) == {
        mode + space: checkpoint.fingerprint
        for mode in ("unbounded", "within_48h")
        for space, checkpoint in (("", native), ("/shared", shared))
    }
    assert others["fingerprint"].null_count() == others.height == 8, "no checkpoint stands behind them"
    assert rows["synthetic"].all() and rows["paper_value"].null_count() == rows.height == 12


def test_the_shared_corpus_is_the_same_with_other_series(evaluated: Evaluated) -> None:
    shared, native = evaluated.rows(PretrainCorpusShared), evaluated.rows(PretrainCorpus)
    keys = ["source", "modality"]
    changed = shared.join(native, on=[*keys, "content_sha256"], how="anti").select(keys).rows()
    assert changed == [("ehr", "series")]
    features = evaluated.workspace.lake.scan("shared_series_features").collect()
    assert shared.filter(pl.col("modality") == "series")["size"].to_list() == [features.height]


def test_a_task_that_is_not_asked_about_is_empty(evaluated: Evaluated) -> None:
    for contract in (evaluation.PredictionShock, evaluation.PredictionAki):
        assert evaluated.rows(contract).is_empty()
        step = STEPS[contract.table]
        inputs = step.input_versions(evaluated.workspace)
        assert step.current(evaluated.workspace, inputs) is not None


def test_differences_and_reasons_are_gathered(evaluated: Evaluated) -> None:
    assert set(evaluated.rows(evaluation.PredictionComparisons)["task"]) == {"prediction_arf", "prediction_readmission"}
    methods = evaluated.rows(evaluation.PredictionMethods)
    assert set(methods.filter(pl.col("fingerprint").is_null())["method"].cast(pl.String)) == {"raim"}
    assert methods.filter(pl.col("reason") == "MEDCSP_HOME/a: one class")["method"].cast(
        pl.String
    ).unique().to_list() == ["raim"]
    assert methods.height == 2 * len(evaluated.asked)
    manifest = evaluated.workspace.lake.manifest("prediction_arf")
    assert manifest is not None
    assert set(manifest.extra["not_available"].values()) == {"MEDCSP_HOME/a: one class"}


def test_the_grid_is_told_once_a_method_is_through(evaluated: Evaluated) -> None:
    assert evaluated.done == [
        {"task": "prediction_arf", "method": "medcsp"},
        {"task": "prediction_readmission", "method": "medcsp"},
    ]
    keys = PREDICTION_SWEEPS.partitions_def.get_partition_keys()  # type: ignore[union-attr]
    assert {"medcsp|prediction_arf", "star_bert|prediction_readmission"} <= set(keys)


def test_the_grid_shows_what_is_done_and_costs_nothing(evaluated: Evaluated) -> None:
    @dg.asset
    def prediction_arf(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        _done(context, {"task": "prediction_arf", "method": "raim"})
        return dg.MaterializeResult(metadata={"memoised": False, "seconds": 1.0})

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([prediction_arf, PREDICTION_SWEEPS], instance=instance)
        shown = instance.get_materialized_partitions(PREDICTION_SWEEPS.key)
    assert shown == {"raim|prediction_arf"}
    assert asset_costs(result, evaluated.workspace.lake)["asset"].to_list() == ["prediction_arf"]
