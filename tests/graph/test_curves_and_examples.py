"""What two small steps publish in a finished home: curves that processes wrote, and reports with what they find."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from graph_runs import copy_home, tiny_workspace

from lake import Lake, Manifest
from lake.publish import PublishError
from medcsp_model.corpus import Corpus, Films
from pipelines.assets.glue import build_and_publish
from pipelines.assets.graph import STEPS
from pipelines.profiles import ReportSettings
from pipelines.resources import Workspace

TASK = "zero_shot_covid19"


def made(workspace: Workspace, name: str) -> Manifest:
    step = STEPS[name]
    return build_and_publish(step, workspace, step.input_versions(workspace), log=lambda line: None)


def test_few_positives_leave_no_curve_and_a_reason(finished_home: Path) -> None:
    lake = Lake(finished_home)
    manifest = lake.manifest("curves")
    assert manifest is not None and manifest.rows == 0
    assert manifest.extra["not_available"] == "every task was measured on fewer than ten positives or negatives"


GATHERERS = {
    "curves": "prediction_arf",
    "prediction_comparisons": "prediction_arf",
    "prediction_methods": "prediction_arf",
    "radiology_comparisons": "zero_shot_covid19",
    "radiology_methods": "zero_shot_covid19",
    "radiology_duplicates": "zero_shot_covid19",
    "exposure": "zero_shot_covid19",
    "ablation_comparisons": "ablation",
    "ablation_trials": "ablation",
    "case_study_points": "case_studies",
}
"""Steps that read files beside the rows of their inputs, and one of these inputs."""


@pytest.mark.parametrize("name", GATHERERS)
def test_what_reads_files_beside_rows_follows_what_wrote_them(finished_home: Path, name: str) -> None:
    lake = Lake(finished_home)
    manifest, read = lake.manifest(name), lake.manifest(GATHERERS[name])
    assert manifest is not None and read is not None
    assert manifest.inputs[f"made:{GATHERERS[name]}"] == read.fingerprint


@pytest.fixture
def evaluated(finished_home: Path, tmp_path: Path) -> Workspace:
    return tiny_workspace(copy_home(finished_home, tmp_path / "home"))


def write_curves(workspace: Workspace, *, lack: float = 0.0) -> dict[str, Any]:
    """Write two cells of five positives as the task's process would; returns what its table has of our model."""
    own = (pl.col("mode") == "description", pl.col("split") == TASK, pl.col("metric").is_in(["auroc", "auprc"]))
    rows = workspace.lake.scan(TASK).filter(*own, pl.col("method").cast(pl.String) == "medcsp").collect().to_dicts()
    areas = {row["metric"]: row["value"] for row in rows}
    names = ("task", "dataset", "cohort", "mode", "split")
    cell = {name: rows[0][name] for name in names} | {"method": "medcsp", "num_seeds": 1, "n": 40, "num_positive": 10}
    cell |= {"false_positive_rate": 1 - areas["auroc"], "precision": areas["auprc"] - lack}
    manifest = workspace.lake.manifest(TASK)
    assert manifest is not None
    file = workspace.lake.run_folder(TASK, manifest.fingerprint) / "curves.json"
    assert json.loads(file.read_text()) == []
    file.write_text(json.dumps([cell | {"point": at, "recall": at / 2} for at in (1, 2)]))
    return {"areas": areas, "checkpoint": rows[0]["fingerprint"]}


def test_what_a_process_wrote_is_published_with_what_it_is_of(evaluated: Workspace) -> None:
    known = write_curves(evaluated)
    assert made(evaluated, "curves").extra == {}
    rows = evaluated.lake.scan("curves").collect()
    assert rows["point"].to_list() == [1, 2] and set(rows["task"]) == {TASK}
    assert rows["precision"].mean() == pytest.approx(known["areas"]["auprc"])
    assert rows["synthetic"].all() and set(rows["fingerprint"]) == {known["checkpoint"]}


def test_a_curve_without_the_published_area_is_refused(evaluated: Workspace) -> None:
    write_curves(evaluated, lack=0.001)
    before = evaluated.lake.manifest("curves")
    with pytest.raises(PublishError, match="curves__areas_are_the_published"):
        made(evaluated, "curves")
    assert evaluated.lake.manifest("curves") == before


def test_examples_are_what_the_checkpoint_finds(finished_home: Path) -> None:
    lake = Lake(finished_home)
    manifest = lake.manifest("retrieval_examples")
    assert manifest is not None and manifest.extra == {} and manifest.inputs["shown:open_i"] == "synthetic"
    rows = lake.scan("retrieval_examples").collect().with_columns(pl.col("dataset").cast(pl.String))
    assert rows.select("dataset", "example", "rank").rows() == [
        ("open_i", example, rank) for example in (1, 2) for rank in (1, 2, 3)
    ]
    told = set(lake.scan("cxr_reports").filter(pl.col("source") == "open_i").collect()["text"])
    assert rows["text"].n_unique() == 2 and set(rows["text"]) <= told
    assert all(picture.startswith(b"\x89PNG") for picture in rows["picture"])
    assert_ranked_by_the_embeddings(lake, manifest, rows)


def test_examples_of_a_hospital_are_not_shown_unless_asked_for(evaluated: Workspace) -> None:
    asked = replace(evaluated.profile, report=ReportSettings(example_sets=("retrieval_mimic_cxr",)))
    theirs = replace(evaluated.sources, synthetic=frozenset())
    manifest = made(replace(evaluated, profile=asked, sources=theirs), "retrieval_examples")
    assert manifest.rows == 0 and "mimic_cxr may not be shown" in manifest.extra["not_available"]
    assert not any(name.startswith("shown:") for name in manifest.inputs)
    nobody = made(replace(evaluated, profile=replace(asked, report=ReportSettings())), "retrieval_examples")
    assert nobody.rows == 0 and "asks for none (report.example_sets)" in nobody.extra["not_available"]


def assert_ranked_by_the_embeddings(lake: Lake, manifest: Manifest, rows: pl.DataFrame) -> None:
    """Hold the ranks against the embeddings that the process left in the step's run folder."""
    searched = lake.manifest("retrieval_open_i_corpus")
    assert searched is not None
    folder = lake.run_folder(searched.table, searched.fingerprint)
    source = Corpus.open(folder).sources["open_i"]
    films = Films.open(folder, source.record_id)
    run = lake.run_folder("retrieval_examples", manifest.fingerprint) / "open_i"
    reports, images = (np.load(run / f"open_i__{kind}.npy") for kind in ("report", "image"))
    for _, example in rows.sort("rank").group_by("example"):
        text = films.whole.index(example["text"][0])
        query = films.text.tolist().index(text)
        found = np.argsort(-(images @ reports[query]), kind="stable")[: example.height]
        assert example["record_id"].to_list() == [source.record_id[record].decode() for record in found]
        assert example["is_own"].to_list() == [source.study_id[query] == source.study_id[record] for record in found]
