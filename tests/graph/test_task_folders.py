"""The task folders of a built home: the examples that the labels name, coded as the model was trained."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from graph_runs import tiny_workspace

from data_contracts.corpus import PretrainCorpus
from lake import Lake
from medcsp_model.corpus import Corpus, Series
from pipelines.assets.glue import build_and_publish
from pipelines.assets.graph import STEPS
from pipelines.assets.prediction import task_folder
from pipelines.assets.step import Build
from pipelines.features.prediction_corpus import SPACES, VocabularyMismatchError

INDEX_EVENTS = {"critical_care_corpus": "icu_48h", "discharge_corpus": "discharge"}
SERIES = {"native": "ehr_series", "shared": "ehr_shared_series"}


def folder_of(lake: Lake, table: str) -> Path:
    manifest = lake.manifest(table)
    assert manifest is not None
    return lake.run_folder(table, manifest.fingerprint)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("table", INDEX_EVENTS)
def test_it_holds_the_examples_of_its_cohorts(built_home: Path, table: str, space: str) -> None:
    lake = Lake(built_home)
    folder = folder_of(lake, table) / space
    examples = lake.scan("prediction_labels").filter(
        (pl.col("index_event").cast(pl.String) == INDEX_EVENTS[table])
        & pl.col("cohort").cast(pl.String).is_in(SPACES[space].cohorts)
    )
    wanted = examples.collect()
    ehr = Corpus.open(folder).sources["ehr"]
    assert sorted(int(name) for name in ehr.record_id) == sorted(wanted["stay_id"].unique())
    with np.load(folder / "labels.npz") as labels:
        assert len(labels["label"]) == wanted.height > 0
        assert labels["label"].sum() == wanted["label"].sum() > 0


@pytest.mark.parametrize("space", SPACES)
def test_a_stay_whose_readings_all_came_in_time_is_coded_as_for_training(built_home: Path, space: str) -> None:
    lake = Lake(built_home)
    ehr = Corpus.open(folder_of(lake, "discharge_corpus") / space).sources["ehr"]
    series = ehr.modalities["series"]
    assert isinstance(series, Series)
    late = lake.scan("prediction_inputs").filter(
        (pl.col("index_event").cast(pl.String) == "discharge")
        & (pl.col("input").cast(pl.String) == "series")
        & (pl.col("num_late_rows") > 0)
    )
    stays_with_late_rows = set(late.collect()["input_stay_id"])
    compared = 0
    for record, name in enumerate(ehr.record_id):
        if int(name) in stays_with_late_rows:
            continue
        last = series.stay_indptr[record + 1] - 1
        own = slice(*series.cell_indptr[last : last + 2])
        cells = lake.scan(SERIES[space]).filter(pl.col("stay_id") == int(name)).sort("bin", "feature_index").collect()
        assert series.bin[own].tolist() == cells["bin"].to_list()
        assert series.feature[own].tolist() == cells["feature_index"].to_list()
        compared += cells.height
    assert compared > 0, "no stay's readings all came in time: nothing was compared"


def test_the_folders_fit_the_training_corpus_in_the_native_space_alone(built_home: Path) -> None:

    workspace = tiny_workspace(built_home)
    step = STEPS["critical_care_corpus"]
    build = Build(step=step, workspace=workspace, settings={}, inputs={}, fingerprint="", log=lambda line: None)
    trained_on = PretrainCorpus
    assert (task_folder(build, step.contract, space="native", trained_on=trained_on) / "labels.npz").is_file()
    with pytest.raises(VocabularyMismatchError, match="another feature space"):
        task_folder(build, step.contract, space="shared", trained_on=trained_on)


def test_it_is_made_again_when_a_file_of_it_is_lost(fresh_copy: Path) -> None:
    workspace = tiny_workspace(fresh_copy)
    step = STEPS["critical_care_corpus"]
    inputs = step.input_versions(workspace)
    before = step.current(workspace, inputs)
    assert before is not None
    (folder_of(workspace.lake, step.name) / "shared" / "labels.npz").unlink()
    assert step.current(workspace, inputs) is None
    after = build_and_publish(step, workspace, inputs, log=lambda line: None)
    assert after.version == before.version and step.current(workspace, inputs) is not None
