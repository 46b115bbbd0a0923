"""Prediction: how many events there are, and the task folders. Not here: what a label is (`labels`), or any metric."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts import CONTRACTS, Contract, features, labels, prediction, records
from pipelines.assets.step import Build, Made, sql_step, step
from pipelines.features.prediction_corpus import SPACES, Space, check_vocabularies, write_task_folder
from pipelines.features.series import READINGS_PER_CHUNK
from pipelines.profiles import Profile

EXAMPLES = (labels.PredictionLabels, labels.PredictionInputs)
AT_48H = (
    *EXAMPLES,
    records.EhrDemographics,
    records.EhrReadings,
    records.EhrSharedReadings,
    features.SeriesFeatures,
    features.SharedSeriesFeatures,
    features.DiagnosisVocabulary,
)
AT_DISCHARGE = (
    *AT_48H,
    records.EhrCodes,
    features.DrugVocabulary,
    features.TokenizerVocabulary,
    features.TextTokens,
)

prediction_events = sql_step(
    prediction.PredictionEvents,
    "labels/prediction_events.sql",
    inputs=[labels.PredictionTasks, labels.PredictionLabels],
    settings=lambda profile: {"num_folds": profile.prediction.num_folds},
)


def _settings(profile: Profile) -> dict[str, Any]:
    return {
        "window_hours": min(profile.records.window_hours, profile.series.window_hours),
        "max_stays": profile.records.max_stays,
    }


LEAVES = tuple(f"{space}/{name}" for space in SPACES for name in ("corpus.json", "labels.npz"))


@step(prediction.CriticalCareCorpus, inputs=AT_48H, settings=_settings, leaves=LEAVES, kinds=("numpy",))
def critical_care_corpus(build: Build) -> Made:
    """Write the stays that are predicted 48 h after they began."""
    return _write(build, index_event="icu_48h")


@step(prediction.DischargeCorpus, inputs=AT_DISCHARGE, settings=_settings, leaves=LEAVES, kinds=("numpy",))
def discharge_corpus(build: Build) -> Made:
    """Write the admissions that are predicted at discharge."""
    return _write(build, index_event="discharge")


def task_folder(build: Build, contract: type[Contract], *, space: str, trained_on: type[Contract]) -> Path:
    """Return the folder of a task in one feature space, after a look at what the checkpoint was trained with, if any.

    Raises:
        VocabularyMismatchError: the training corpus is coded with other vocabularies.
    """
    folder = build.folder_of(contract) / space
    manifest = build.lake.manifest(trained_on.table)
    if manifest is not None and manifest.rows:
        places = (folder, build.folder_of(trained_on))
        check_vocabularies(*(json.loads((place / "corpus.json").read_text()) for place in places))
    return folder


def _write(build: Build, *, index_event: str) -> Made:
    target = build.run_folder()
    with build.lake.scratch(build.step.name) as scratch:
        written = [_write_space(build, scratch, index_event, space) for space in SPACES.values()]
        shutil.rmtree(target)
        (scratch / "folders").rename(target)
    return Made(pl.concat(written))


def _write_space(build: Build, scratch: Path, index_event: str, space: Space) -> pl.DataFrame:
    cells = scratch / "cells" / space.name
    cells.mkdir(parents=True)
    return write_task_folder(
        scratch / "folders" / space.name,
        name=build.step.name,
        index_event=index_event,
        space=space,
        tables={name: build.scan(CONTRACTS[name]) for name in build.step.inputs},
        readings=_in_parts(build, space.readings),
        scratch=cells,
        synthetic=build.workspace.is_synthetic,
        settings=build.settings,
        inputs=build.inputs,
    )


def _in_parts(build: Build, table: str) -> list[pl.LazyFrame]:
    """Return a table in parts that fit into memory: shard by shard where it is large."""
    manifest = build.lake.manifest(table)
    assert manifest is not None and table in build.step.inputs
    if manifest.rows <= READINGS_PER_CHUNK:
        return [build.lake.scan(table)]
    return [build.lake.scan(table, shard=shard) for shard in range(build.lake.num_shards)]


STEPS = (prediction_events, critical_care_corpus, discharge_corpus)
