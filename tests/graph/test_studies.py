"""Ablation, case studies and LLM variant as assets over a built home, with a stand-in for their commands."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from graph_runs import copy_home, tiny_workspace

from data_contracts import Contract, features, studies, training
from data_contracts.corpus import ZeroShotCovid19Corpus
from lake import code_version
from medcsp_model.evaluation.ablation.films import FilmBench
from medcsp_model.settings import AblationSettings, CaseStudySettings, LlmSettings, Settings
from pipelines.assets.ablation import MEASURING, TRAINING
from pipelines.assets.glue import ABLATION_SWEEPS, build_and_publish
from pipelines.assets.graph import STEPS
from pipelines.features.llm import LlmVariant
from pipelines.launcher import Launcher, ProcessUsage
from pipelines.profiles import PROFILES
from pipelines.resources import Workspace

LINE = dict.fromkeys(("epoch", "loss", "loss_a", "loss_p", "loss_d", "learning_rate", "grad_norm", "num_linked"), 1.0)
PLACE = {"dataset": "pretrain_corpus", "cohort": "validation_subjects", "mode": "text_to_image", "split": "validation"}
TRIAL = {"dataset": "pretrain_corpus", "seed": 0, "steps": 2, "batch_size": 8, "weight_a": 1.0, "weight_p": 0.5}
TRIAL |= {"weight_d": 0.2, "pairs_per_batch": 4.0, "loss_a": 1.0, "loss_p": 1.0, "loss_d": 1.0, "num_candidates": 20}
TRIAL |= {"model_sha256": "0" * 64}


@dataclass(frozen=True)
class StandIn(Launcher):
    """Writes what each command would, for the variants `a_p_d` and `a`."""

    heard: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, module: str, settings: dict[str, Any], *, log: Callable[[str], None], **_: Any) -> ProcessUsage:
        self.heard[module] = settings
        files: dict[str, Any] = getattr(self, module.rsplit(".", 1)[-1])(settings)
        target = Path(settings.get("run_folder", settings.get("output", "")))
        target.mkdir(parents=True, exist_ok=True)
        for name, values in files.items():
            (target / name).write_text(json.dumps(values) + "\n")
        for name in ("a_p_d", "a") if module == "medcsp_model.ablate" else ():
            log(f"  09:00:00 done: {name}: pretrain_corpus, seed 0")
        return ProcessUsage(cpu_seconds=1.0, peak_mb=1.0)

    def train(self, settings: dict[str, Any]) -> dict[str, Any]:
        assert Path(settings["vocabulary"]).read_text().splitlines()[0]
        Settings.from_json(settings["settings"])
        LlmSettings.from_json(settings["llm"])
        return {
            "metrics.jsonl": {"step": 1, **LINE},
            "done.json": {"steps": 1},
            "model.safetensors": 0,
            "model.json": 0,
        }

    def ablate(self, settings: dict[str, Any]) -> dict[str, Any]:
        AblationSettings.from_json(settings["settings"])
        Settings.from_json(settings["recipe"])
        number = {"metric": "recall_at_k", "k": 10, "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 9}
        return {
            "metrics.json": [
                {**PLACE, **number, "method": name, "seed": -1, "num_positive": None} for name in ("a_p_d", "a")
            ],
            "comparisons.json": [
                {**PLACE, "metric": "recall_at_k", "k": 10, "method": "a_p_d", "other": "a", "difference": 0.1}
                | {"ci_low": 0.0, "ci_high": 0.2, "num_seeds": 1, "n": 9}
            ],
            "not_measured.json": {},
            "trials.json": [{**TRIAL, "method": name, "folder": f"runs/{name}"} for name in ("a_p_d", "a")],
        }

    def case_studies(self, settings: dict[str, Any]) -> dict[str, Any]:
        number = {"cohort": "all_subjects", "metric": "knn_purity", "k": 10, "value": 0.5, "ci_low": None}
        point = {"projection": "tsne", "point": 0, "case": 1, "source": "cxr", "modality": "image", "x": 1.0, "y": 2.0}
        return {
            "numbers.json": [
                {**number, "ci_high": None, "n": 9, "method": name} for name in ("chance", *settings["checkpoints"])
            ],
            "points.json": [
                {**point, "method": name, "figure": figure, "code_index": code}
                for name in settings["checkpoints"]
                for figure, code in (("patients", None), ("diagnoses", 0))
            ],
        }


@dataclass(frozen=True)
class Studied:
    """A home whose studies were made, what their commands were told, and what Dagster heard."""

    workspace: Workspace
    stand_in: StandIn
    done: list[dict[str, str]]

    def rows(self, contract: type[Contract]) -> pl.DataFrame:
        return self.workspace.lake.scan(contract.table).collect()

    def extra(self, contract: type[Contract]) -> dict[str, Any]:
        manifest = self.workspace.lake.manifest(contract.table)
        assert manifest is not None
        return manifest.extra


def made(home: Path, **groups: Any) -> Studied:
    """Make the studies that the settings ask for."""
    workspace, stand_in, done = tiny_workspace(home), StandIn(), list[dict[str, str]]()
    profile = replace(workspace.profile, **groups)
    workspace = replace(workspace, profile=profile, launcher=stand_in, weights_root=None)
    row = {name: "0" * 64 if name == "model_sha256" else 0 for name in training.PretrainCheckpoint.columns()}
    rows = training.PretrainCheckpoint.validate(pl.DataFrame([row]), cast=True)
    workspace.lake.publish(training.PretrainCheckpoint, rows, code_version="test", inputs={}, settings={})
    for contract in (
        *(training.PretrainLlm, studies.Ablation, studies.AblationComparisons, studies.AblationTrials),
        *(studies.CaseStudies, studies.CaseStudyPoints),
    ):
        step = STEPS[contract.table]
        inputs = step.input_versions(workspace)
        build_and_publish(step, workspace, inputs, log=lambda line: None, done=done.append)
        assert step.current(workspace, inputs) is not None
    return Studied(workspace, stand_in, done)


@pytest.fixture(scope="module")
def studied(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Studied:
    home = copy_home(built_home, tmp_path_factory.mktemp("studies") / "home")
    return made(
        home,
        ablation=AblationSettings(variants=("a_p_d", "a"), seeds=(0,), validation_share=0.3),
        llm=LlmVariant(language="random", steps=3, lr=0.5),
    )


def test_the_numbers_are_published_with_what_they_are_of(studied: Studied) -> None:
    rows = studied.rows(studies.Ablation)
    assert rows["method"].cast(pl.String).to_list() == ["a", "a_p_d"] and rows["synthetic"].all()
    assert set(rows["task"]) == {"ablation"}
    manifest = studied.workspace.lake.manifest("ablation")
    assert manifest is not None and set(rows["fingerprint"]) == {manifest.fingerprint}
    assert studied.rows(studies.AblationComparisons)["difference"].to_list() == [0.1]
    assert studied.rows(studies.AblationTrials).columns == list(studies.AblationTrials.columns())
    told = studied.stand_in.heard["medcsp_model.ablate"]
    assert Path(told["trials"]).name == "ablation_trials" and Path(told["trials"]).parent.name == "runs"
    assert len(told["training_code"]) == 16 and told["training_code"] != told["measuring_code"]
    bench = FilmBench.open(told["zero_shot"])
    assert bench.prompts.name == "description" and len(bench.films.records) == len(bench.films.data.films.label)
    assert "not_measured" not in studied.extra(studies.Ablation)


def test_a_measure_trains_nothing_again() -> None:
    measures = ("medcsp_model.evaluation.ablation", "medcsp_model.evaluation.readers", "medcsp_model.evaluation.scores")
    later = (*measures, "medcsp_model.settings.studies", "medcsp_model.settings.evaluation")
    assert code_version(*TRAINING) == code_version(*TRAINING, exclude=later)
    assert code_version(*MEASURING) != code_version(*MEASURING, exclude=("medcsp_model.evaluation.readers",))


def test_a_set_without_films_is_a_reason_and_other_films_another_ablation(studied: Studied, tmp_path: Path) -> None:
    workspace = replace(studied.workspace, home=copy_home(studied.workspace.home, tmp_path / "home"))
    step, before = STEPS["ablation"], STEPS["ablation"].input_versions(workspace)
    films = ZeroShotCovid19Corpus
    workspace.lake.publish(films, films.create_empty(), code_version="-", inputs={}, settings={})
    assert step.current(workspace, step.input_versions(workspace)) is None
    build_and_publish(step, workspace, step.input_versions(workspace), log=lambda line: None)
    assert studied.stand_in.heard["medcsp_model.ablate"]["zero_shot"] is None
    manifest = workspace.lake.manifest("ablation")
    assert manifest is not None and "no film of it" in manifest.extra["not_measured"]["zero_shot"]
    assert before.keys() == manifest.inputs.keys()


def test_the_grid_is_told_of_each_variant_and_seed(studied: Studied) -> None:
    assert studied.done == [
        {"variant": "pretrain_corpus/a_p_d", "seed": "0"},
        {"variant": "pretrain_corpus/a", "seed": "0"},
    ]
    keys = ABLATION_SWEEPS.partitions_def.get_partition_keys()  # type: ignore[union-attr]
    assert {"0|pretrain_corpus/a", "4|planted/no_history_in_d"} <= set(keys)


def test_a_and_the_recipe_are_drawn_side_by_side(studied: Studied) -> None:
    told = studied.stand_in.heard["medcsp_model.case_studies"]
    assert told["checkpoints"] == {"a": "runs/a", "a_p_d": "runs/a_p_d"}
    assert told["held_out"]["validation_share"] == 0.3
    points = studied.rows(studies.CaseStudyPoints)
    first = studied.rows(features.DiagnosisVocabulary).sort("code_index").row(0, named=True)
    named = points.filter(pl.col("figure") == "diagnoses")["case_name"]
    assert set(named) == {f"ICD-{first['icd_version']} {first['icd_code']}"}
    assert points.filter(pl.col("figure") == "patients")["case_name"].null_count() == 2
    made_by = studied.rows(studies.CaseStudies).select(pl.col("method").cast(pl.String), "fingerprint").rows()
    assert {method: name is not None for method, name in made_by} == {"chance": False, "a": True, "a_p_d": True}
    assert not {"subject_id", "record_id", "study_id"} & set(points.columns)


def test_the_variant_says_that_its_language_model_is_a_stand_in(studied: Studied) -> None:
    told = studied.stand_in.heard["medcsp_model.llm.train"]
    assert told["language"] == "" and told["llm"]["dtype"] == "float32"
    assert (told["settings"]["optimiser"]["steps"], told["settings"]["optimiser"]["lr"]) == (3, 0.5)
    assert "random weights" in studied.extra(training.PretrainLlm)["language"]
    assert studied.rows(training.PretrainLlm)["step"].to_list() == [1]


def test_what_is_not_asked_for_is_empty_and_says_why(built_home: Path, tmp_path: Path) -> None:
    studied = made(copy_home(built_home, tmp_path / "home"), llm=LlmVariant(language="llama"))
    assert studied.stand_in.heard == {} and studied.done == []
    for contract, reason in (
        (training.PretrainLlm, "no folder llama below MEDCSP_WEIGHTS"),
        (studies.Ablation, "asks for no variant"),
        (studies.CaseStudies, "trains no variants a and a_p_d"),
    ):
        assert studied.rows(contract).is_empty()
        assert reason in studied.extra(contract)["not_available"]
    for contract in (studies.AblationComparisons, studies.AblationTrials, studies.CaseStudyPoints):
        assert studied.rows(contract).is_empty()


def test_profiles_name_the_variants_that_there_are() -> None:
    for profile in PROFILES.values():
        chosen = profile()
        AblationSettings.from_json(chosen.ablation.to_json())
        LlmSettings.from_json(chosen.llm.settings.to_json())
        CaseStudySettings.from_json(chosen.case_studies.to_json())
        chosen.llm.recipe(chosen.training)
    unasked = PROFILES["demo"]()
    assert not (unasked.ablation.variants or unasked.ablation.planted_variants or unasked.llm.language)
