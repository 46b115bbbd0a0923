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

from data_contracts import Contract, corpus, studies
from lake import code_version
from pipelines.assets.step import Build, Made, step
from pipelines.assets.training import training_settings
from pipelines.profiles import Profile

TRIALS = "ablation_trials"
FILES = ("metrics.json", "comparisons.json", "trials.json")
DONE = re.compile(r"done: (\w+): (\w+), seed (\d+)")
"""What the command says when a variant is trained and measured."""
TRAINING, MEASURING = "medcsp_model.train", "medcsp_model.evaluation.ablation.bench"


def _settings(profile: Profile) -> dict[str, Any]:
    asked = profile.ablation
    if not (asked.variants or asked.planted_variants):
        return {}
    return {"ablation": asked.to_json(), "recipe": profile.training.to_json(), "towers": profile.towers}


@step(
    studies.Ablation,
    inputs=[corpus.PretrainCorpus],
    settings=_settings,
    code=("medcsp_model.ablate",),
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
    run = {
        "corpus": str(build.folder_of(corpus.PretrainCorpus)),
        "output": str(folder),
        "trials": str(build.lake.home / "runs" / TRIALS),
        "settings": build.settings["ablation"],
        "recipe": training_settings(build),
        "training_code": _code_of(TRAINING),
        "measuring_code": _code_of(MEASURING),
    }
    replace(build, log=_hear(build)).launch("medcsp_model.ablate", run)
    return Made(_rows(build, studies.Ablation, folder / "metrics.json"))


@step(studies.AblationComparisons, inputs=[studies.Ablation], on_device=True, kinds=("polars",))
def ablation_comparisons(build: Build) -> pl.DataFrame:
    """Gather how far the recipe lies above each variant."""
    return _rows(build, build.step.contract, build.folder_of(studies.Ablation) / "comparisons.json")


@step(studies.AblationTrials, inputs=[studies.Ablation], on_device=True, kinds=("polars",))
def ablation_trials(build: Build) -> pl.DataFrame:
    """Gather what each training was."""
    return _rows(build, build.step.contract, build.folder_of(studies.Ablation) / "trials.json")


@cache
def _code_of(module: str) -> str:
    return code_version(module)


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
