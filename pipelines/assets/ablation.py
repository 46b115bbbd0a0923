"""The ablation: launches every variant with every seed and publishes their numbers. Not here: any variant or measure.

Trainings lie below `runs/ablation_trials`, named by their content: a killed ablation goes on, and another variant, seed
or draw of the bootstrap trains only what is new. Dagster shows what is done as partitions of `ablation_sweeps`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts import Contract, corpus, features, studies
from lake import code_version
from pipelines.assets.radiology import PROMPTS, TASKS, prompt_digests, why_no_films, write_vocabulary
from pipelines.assets.step import Build, Made, gathering, step
from pipelines.assets.training import training_settings
from pipelines.profiles import Profile

TRIALS = "ablation_trials"
FILES = ("metrics.json", "comparisons.json", "trials.json")
NOT_MEASURED = "not_measured.json"
CLASSIFIED = TASKS["zero_shot_covid19"]
"""What the variants of the corpus classify, as in the paper's Figure 7."""
DONE = re.compile(r"done: (\w+): (\w+), seed (\d+)")
"""What the command says when a variant is trained and measured."""
TRAINING = ("medcsp_model.train",)
MEASURING = ("medcsp_model.evaluation.ablation.bench", "medcsp_model.evaluation.ablation.films")
GATHERED = gathering(studies.Ablation)


def _settings(profile: Profile) -> dict[str, Any]:
    asked = profile.ablation
    if not (asked.variants or asked.planted_variants):
        return {}
    radiology = profile.radiology
    prompts = {"prompts": radiology.prompts, "headline": radiology.headline, "raw_towers": profile.retrieval.raw_towers}
    return {
        "ablation": asked.to_json(),
        "recipe": profile.training.to_json(),
        "towers": profile.towers,
        "zero_shot": prompts if asked.variants else {},
    }


@step(
    studies.Ablation,
    inputs=[corpus.PretrainCorpus, CLASSIFIED.films, features.TokenizerVocabulary],
    settings=_settings,
    raw=prompt_digests,
    code=("medcsp_model.ablate",),
    data_files=tuple(sorted((PROMPTS / CLASSIFIED.dataset).glob("*.toml"))),
    leaves=FILES,
    on_device=True,
    kinds=("pytorch",),
)
def ablation(build: Build) -> Made:
    """Train and measure every variant with every seed (Figure 7), if the profile asks for any."""
    folder = build.run_folder()
    if not build.settings:
        for name in FILES:
            (folder / name).write_text("[]\n")
        reason = f"the profile {build.workspace.profile.name} asks for no variant (ablation.variants)"
        build.log(f"{reason}: published empty")
        return Made(build.step.contract.create_empty(), extra={"not_available": reason})
    reason = why_no_films(build, CLASSIFIED)
    run = {
        "corpus": str(build.folder_of(corpus.PretrainCorpus)),
        "output": str(folder),
        "trials": str(build.lake.home / "runs" / TRIALS),
        "settings": build.settings["ablation"],
        "recipe": training_settings(build),
        "zero_shot": None if reason or not build.settings["zero_shot"] else _classified(build),
        "training_code": _code_of(*TRAINING),
        "measuring_code": _code_of(*MEASURING),
    }
    replace(build, log=_hear(build)).launch("medcsp_model.ablate", run)
    said = {"zero_shot": reason} if reason else json.loads((folder / NOT_MEASURED).read_text())
    return Made(_rows(build, studies.Ablation, folder / "metrics.json"), extra={"not_measured": said} if said else {})


@step(studies.AblationComparisons, **GATHERED)
def ablation_comparisons(build: Build) -> pl.DataFrame:
    """Gather how far the recipe lies above each variant."""
    return _rows(build, build.step.contract, build.folder_of(studies.Ablation) / "comparisons.json")


@step(studies.AblationTrials, **GATHERED)
def ablation_trials(build: Build) -> pl.DataFrame:
    """Gather what each training was."""
    return _rows(build, build.step.contract, build.folder_of(studies.Ablation) / "trials.json")


def _classified(build: Build) -> dict[str, Any]:
    """Return the films that variants classify, as `medcsp_model.evaluation.ablation.films` reads them."""
    return {
        "corpus": str(build.folder_of(CLASSIFIED.films)),
        "dataset": CLASSIFIED.dataset,
        "cohort": CLASSIFIED.cohort,
        "vocabulary": str(write_vocabulary(build)),
        **build.settings["zero_shot"],
    }


@cache
def _code_of(*modules: str) -> str:
    return code_version(*modules)


def _hear(build: Build) -> Callable[[str], None]:
    """Return what passes lines on, and says when a variant has been trained and measured with a seed."""

    def hear(line: str) -> None:
        build.log(line)
        if found := DONE.search(line):
            build.done({"variant": f"{found[2]}/{found[1]}", "seed": found[3]})

    return hear


def _rows(build: Build, contract: type[Contract], path: Path) -> pl.DataFrame:
    """Return rows that the command wrote, with what the caller knows of them."""
    empty = contract.create_empty()
    values = json.loads(path.read_text())
    if not values:
        return empty
    rows = pl.DataFrame(values, schema_overrides=dict(empty.schema), infer_schema_length=None)
    known: dict[str, Any] = {"synthetic": _is_made_up(build)}
    if "task" in empty.columns:
        known |= {"task": pl.lit(contract.table), "paper_value": pl.lit(None, dtype=pl.Float64)}
        known["fingerprint"] = pl.lit(build.fingerprint)
    return rows.with_columns(**known).select(empty.columns)


def _is_made_up(build: Build) -> pl.Expr:
    """Planted records are, whatever the profile's sources."""
    return pl.lit(build.workspace.is_synthetic) | (pl.col("dataset") == "planted")


STEPS = (ablation, ablation_comparisons, ablation_trials)
