"""The graph on a real MIMIC-IV tree, with synthetic X-rays written for its subjects."""

from pathlib import Path

import polars as pl
import pytest
from graph_runs import Outcome, making, run_job, tiny_workspace

from lake import Lake
from pipelines.profiles import demo

NUM_STAYS, NUM_RECORDS = 31, 29


@pytest.fixture(scope="module")
def outcome(open_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    home = tmp_path_factory.mktemp("companion")
    root = open_data / "mimic-iv-demo-25pt"
    asked = making("same_patient_pairs", "cohort_split", "ehr_notes", "ehr_stays")
    return home, run_job(tiny_workspace(home, MEDCSP_MIMIC_IV=root), only=asked)


@pytest.fixture(scope="module")
def lake(outcome: tuple[Path, Outcome]) -> Lake:
    home, run = outcome
    assert run.success, run.failures
    return Lake(home)


def test_the_records_are_those_of_the_real_tree(lake: Lake) -> None:
    assert lake.manifest("mimic_iv__icustays").rows == NUM_STAYS
    assert lake.manifest("ehr_records").rows == NUM_RECORDS
    assert lake.manifest("ehr_stays").rows == NUM_STAYS
    subjects = lake.scan("mimic_iv__patients").collect()["subject_id"]
    assert len(subjects) == 25


def test_no_notes_are_invented_for_real_patients(lake: Lake) -> None:
    assert lake.manifest("mimic_iv_note__discharge").rows == 0
    assert lake.manifest("ehr_notes").rows == 0
    assert not (lake.home / "raw" / "mimic-iv-note").exists()


def test_studies_stand_around_the_real_admissions(lake: Lake) -> None:
    pairs = lake.scan("same_patient_pairs").collect()
    assert pairs.height > 0
    assert pairs["gap_days"].max() <= 30
    subjects = set(lake.scan("ehr_records").collect()["subject_id"])
    assert set(pairs["subject_id"]) <= subjects


def test_there_is_something_to_search(lake: Lake) -> None:
    split = lake.scan("cohort_split").collect()
    searched = split.filter(pl.col("split") == "retrieval_mimic_cxr")["subject_id"]
    assert searched.n_unique() >= 10
    assert not set(searched) & set(lake.scan("ehr_records").collect()["subject_id"])
    synthetic = demo().synthetic
    assert synthetic is not None and synthetic.num_cxr_only_subjects >= 100


def test_no_subject_stands_in_two_cohorts(lake: Lake) -> None:
    split = lake.scan("cohort_split").collect()
    assert split.group_by("subject_id").agg(pl.col("split").n_unique())["split"].max() == 1
