"""Case studies: launches the drawing of embeddings of two variants and publishes numbers and points. No maths here."""

import json
from typing import Any

import polars as pl

from data_contracts import corpus, features, studies
from pipelines.assets.step import Build, Made, gathering, step
from pipelines.profiles import Profile

COMPARED = ("a", "a_p_d")
"""The variants that are drawn side by side."""
GROUND = "pretrain_corpus"
FILES = ("numbers.json", "points.json")


def _settings(profile: Profile) -> dict[str, Any]:
    if not set(COMPARED) <= set(profile.ablation.variants):
        return {}
    held_out = {
        "validation_share": profile.ablation.validation_share,
        "validation_seed": profile.training.batch.validation_seed,
    }
    chosen = profile.case_studies.to_json()
    return {"case_studies": chosen, "held_out": held_out, "seed_of_training": profile.ablation.seeds[0]}


@step(
    studies.CaseStudies,
    inputs=[corpus.PretrainCorpus, studies.Ablation],
    settings=_settings,
    code=("medcsp_model.case_studies",),
    leaves=FILES,
    on_device=True,
    kinds=("pytorch", "scikitlearn"),
)
def case_studies(build: Build) -> Made:
    """Draw what A alone and the whole recipe make of unseen subjects (Figures 8 and 9), if both were trained."""
    folder = build.run_folder()
    if not build.settings:
        for name in FILES:
            (folder / name).write_text("[]\n")
        asked = " and ".join(COMPARED)
        reason = f"the profile {build.workspace.profile.name} trains no variants {asked} (ablation.variants)"
        build.log(f"{reason}: published empty")
        return Made(build.step.contract.create_empty(), extra={"not_available": reason})
    run = {
        "corpus": str(build.folder_of(corpus.PretrainCorpus)),
        "output": str(folder),
        "checkpoints": _checkpoints(build),
        "held_out": build.settings["held_out"],
        "settings": build.settings["case_studies"],
    }
    build.launch("medcsp_model.case_studies", run)
    return Made(_numbers(build))


@step(
    studies.CaseStudyPoints,
    **gathering(studies.CaseStudies) | {"inputs": [studies.CaseStudies, features.DiagnosisVocabulary]},
)
def case_study_points(build: Build) -> pl.DataFrame:
    """Gather the points of the drawings, with the codes that they stand for."""
    empty = build.step.contract.create_empty()
    values = json.loads((build.folder_of(studies.CaseStudies) / "points.json").read_text())
    if not values:
        return empty
    names = build.frame(features.DiagnosisVocabulary).select(
        pl.col("code_index").cast(pl.Int64), case_name=pl.format("ICD-{} {}", "icd_version", "icd_code")
    )
    points = pl.DataFrame(values, schema_overrides={"code_index": pl.Int64}, infer_schema_length=None)
    named = points.join(names, on="code_index", how="left").with_columns(synthetic=build.workspace.is_synthetic)
    return named.select(empty.columns).cast(empty.schema)


def _checkpoints(build: Build) -> dict[str, str]:
    trials = json.loads((build.folder_of(studies.Ablation) / "trials.json").read_text())
    seed = build.settings["seed_of_training"]
    found = {row["method"]: row["folder"] for row in trials if (row["dataset"], row["seed"]) == (GROUND, seed)}
    return {name: found[name] for name in COMPARED}


def _numbers(build: Build) -> pl.DataFrame:
    empty = build.step.contract.create_empty()
    rows = pl.DataFrame(json.loads((build.run_folder() / "numbers.json").read_text()), infer_schema_length=None)
    ablation = build.lake.manifest(studies.Ablation.table)
    assert ablation is not None
    known = {
        "task": pl.lit(build.step.name),
        "dataset": pl.lit(GROUND),
        "mode": pl.lit("modalities"),
        "split": pl.lit("validation"),
        "seed": pl.lit(build.settings["seed_of_training"]),
        "num_positive": pl.lit(None),
        "paper_value": pl.lit(None),
        "fingerprint": pl.when(pl.col("method") != "chance").then(pl.lit(ablation.fingerprint)),
        "synthetic": pl.lit(build.workspace.is_synthetic),
    }
    return rows.with_columns(**known).select(empty.columns).cast(empty.schema)


STEPS = (case_studies, case_study_points)
