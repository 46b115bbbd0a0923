"""The X-ray tasks in a home that the user's own commands finished, and what they are asked beside published weights."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from graph_runs import copy_home, tiny_workspace

from data_contracts import evaluation, radiology, training
from data_contracts.corpus import RetrievalOpenICorpus
from lake import Lake
from medcsp_model.evaluation.readers import EvaluationSet
from medcsp_model.settings import RadiologyEvaluation, SmallModels
from pipelines.assets.glue import build_and_publish
from pipelines.assets.graph import STEPS
from pipelines.assets.pictures import pictures_of
from pipelines.assets.radiology import TASKS, gather, model_digests, published_digests, trained_here
from pipelines.assets.step import Build
from pipelines.report.paper_numbers import TABLE_2, paper_value
from pipelines.resources import Workspace


def rows(home: Path, table: str) -> pl.DataFrame:
    return Lake(home).scan(table).collect()


def test_every_task_has_numbers_or_says_why_not(finished_home: Path) -> None:
    methods = rows(finished_home, "radiology_methods")
    assert {(row["task"], row["method"]) for row in methods.iter_rows(named=True)} == {
        (task, method) for task in TASKS for method in ("medcsp", "clip")
    }
    for task in TASKS:
        numbers = rows(finished_home, task)
        ours = methods.filter(pl.col("task") == task, pl.col("method").cast(pl.String) == "medcsp")
        assert numbers.is_empty() == (ours["reason"][0] is not None), task
        assert "clip" not in set(numbers["method"].cast(pl.String))
    absent = methods.filter(pl.col("method").cast(pl.String) == "clip")
    assert absent["fingerprint"].null_count() == absent.height
    assert all("CLIP ViT-L/14: huggingface.co/openai" in why or "tell apart" in why for why in absent["reason"])


def test_metrics_has_all_of_them_and_the_paper_beside_its_own_search(finished_home: Path) -> None:
    metrics = rows(finished_home, "metrics").with_columns(pl.col("method").cast(pl.String))
    assert set(metrics["task"]) >= {"retrieval_mimic_cxr", "retrieval_open_i", "zero_shot_covid19"}
    printed = metrics.filter(pl.col("paper_value").is_not_null())
    assert set(printed["method"]) == {"medcsp"} and not printed["split"].str.contains("/").any()
    searched = printed.filter(pl.col("task") == "retrieval_mimic_cxr")
    assert set(searched["mode"]) == {"text_to_image"} and set(searched["cohort"]) == {"all_views"}
    for row in searched.iter_rows(named=True):
        assert row["paper_value"] == TABLE_2[row["metric"]][row["k"]]
    alone = metrics.filter(pl.col("method") == "chance", pl.col("task").is_in(list(TASKS)))
    assert alone.height and alone["fingerprint"].null_count() == alone.height, "no checkpoint made these"
    of_covid = printed.filter(pl.col("task") == "zero_shot_covid19")
    assert sorted(of_covid.select("metric", "paper_value").iter_rows()) == [
        ("f1", 0.6236),
        ("precision", 0.7198),
        ("recall", 0.55),
    ]


def test_what_ours_has_seen_is_counted(finished_home: Path) -> None:
    seen = rows(finished_home, "exposure").with_columns(pl.col("method", "dataset").cast(pl.String))
    ours = seen.filter(pl.col("method") == "medcsp")
    assert set(ours["dataset"]) == {"chexpert", "covid19", "mimic_cxr", "open_i"} and ours["num_seen"].sum() == 0
    films = rows(finished_home, "evaluation_films")
    assert ours["num_films"].sum() == films.height
    official = films.filter(pl.col("official_split").cast(pl.String) == "train").height
    marked = seen.filter("is_contaminated")
    assert {(row["method"], row["dataset"], row["num_seen"]) for row in marked.iter_rows(named=True)} == {
        (method, "mimic_cxr", official) for method in ("medclip", "cxr_clip")
    }


def test_a_set_is_the_films_of_its_split(finished_home: Path) -> None:
    films = rows(finished_home, "evaluation_films")
    for task in TASKS.values():
        contents = rows(finished_home, task.films.table)
        of_split = films.filter(pl.col("split") == task.contract.table)
        assert contents.filter(modality="image")["num_present"].sum() == of_split.height > 0
        manifest = Lake(finished_home).manifest(task.films.table)
        folder = Lake(finished_home).run_folder(task.films.table, manifest.fingerprint)
        told = json.loads((folder / "films.json").read_text())["films"]
        assert sorted(told["record_id"]) == sorted(of_split["record_id"])
        assert (folder / "masks.npy").is_file() == (task.dataset == "covid19")


def test_published_weights_are_part_of_what_a_number_is_of(finished_home: Path, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "config.json").write_text("{}")
    workspace = tiny_workspace(finished_home)
    step, without = STEPS["retrieval_open_i"], tiny_workspace(finished_home)
    asked = replace(workspace, weights_root=tmp_path, home=finished_home)
    digests = model_digests(asked)
    assert list(digests) == ["raw:weights/clip/config.json"]
    inputs = [step.input_versions(each) for each in (without, asked)]
    assert set(inputs[1]) - set(inputs[0]) == set(digests)
    other = replace(asked, profile=replace(asked.profile, radiology=RadiologyEvaluation(methods=("medcsp",))))
    assert model_digests(other) == {}


def test_published_models_are_shown_whole_films(finished_home: Path, tmp_path: Path) -> None:
    """Of DICOM, renderings that are there while a model looks; the JPG release's own files where it has them."""
    (tmp_path / "weights" / "clip").mkdir(parents=True)
    workspace = tiny_workspace(copy_home(finished_home, tmp_path / "home"))
    asked, said = replace(workspace, weights_root=tmp_path / "weights"), list[str]()

    def build(of: Workspace, task: str) -> tuple[Build, Path, str]:
        step, lake = STEPS[task], of.lake
        films = TASKS[task].films.table
        folder = lake.run_folder(films, lake.manifest(films).fingerprint)
        return Build(step, of, {}, {}, "f" * 16, said.append), folder, TASKS[task].dataset

    with pictures_of(*build(workspace, "retrieval_mimic_cxr")) as pictures:
        assert pictures == "" and said == [], "no published model is there to look"
    with pictures_of(*build(workspace, "zero_shot_covid19")) as pictures:
        assert Path(pictures) == workspace.sources.roots["covid19"]
    step, corpus, dataset = build(asked, "retrieval_mimic_cxr")
    films = json.loads((corpus / "films.json").read_text())["films"]["path"]
    with pictures_of(step, corpus, dataset) as pictures:
        made = {path.relative_to(pictures).as_posix() for path in Path(pictures).rglob("*.jpg")}
        assert made == {path.removesuffix(".dcm") + ".jpg" for path in films} and made
        assert said == [f"rendering {len(films):,} DICOM films as pictures for published models"]
        assert EvaluationSet.open(corpus, root=pictures).has_pictures
    assert not Path(pictures).exists()
    jpg = asked.sources.roots["mimic_cxr_jpg"]
    (jpg / films[0]).parent.mkdir(parents=True, exist_ok=True)
    (jpg / films[0]).with_suffix(".jpg").touch()
    with pictures_of(step, corpus, dataset) as pictures:
        assert Path(pictures) == jpg


def test_a_release_that_is_not_there_is_a_reason(finished_home: Path, tmp_path: Path) -> None:
    workspace = tiny_workspace(copy_home(finished_home, tmp_path / "home"))
    roots = {name: root for name, root in workspace.sources.roots.items() if name != "open_i"}
    workspace = replace(workspace, sources=replace(workspace.sources, roots=roots))
    contract = RetrievalOpenICorpus
    workspace.lake.publish(contract, contract.create_empty(), code_version="-", inputs={}, settings={})
    for name in ("retrieval_open_i", "radiology_methods", "radiology_duplicates", "radiology_comparisons", "exposure"):
        step = STEPS[name]
        build_and_publish(step, workspace, step.input_versions(workspace), log=lambda line: None)
    assert rows(workspace.home, "retrieval_open_i").is_empty()
    methods = rows(workspace.home, "radiology_methods").filter(pl.col("task") == "retrieval_open_i")
    assert set(methods["reason"]) == {"open_i is not available: set MEDCSP_OPEN_I"} and methods.height == 2
    assert "open_i" not in set(rows(workspace.home, "exposure")["dataset"].cast(pl.String))


def test_a_number_names_what_was_trained_for_it_and_nothing_else(tmp_path: Path) -> None:
    """Small models have a training of their own; published models and chance none, though ours stands beside them."""
    plain = tiny_workspace(tmp_path / "home")
    small = SmallModels(methods=("clip_small",))
    workspace = replace(plain, profile=replace(plain.profile, small_models=small), weights_root=tmp_path / "weights")
    (tmp_path / "weights" / "clip").mkdir(parents=True)
    (tmp_path / "weights" / "clip" / "config.json").write_text("{}")
    lake, made = workspace.lake, list[str]()
    for contract in (training.PretrainCheckpoint, training.PretrainLlm, radiology.RadiologySmallModels):
        empty = contract.create_empty()
        made.append(lake.publish(contract, empty, code_version=contract.table, inputs={}, settings={}).fingerprint)
    methods = ("medcsp", "medcsp_llm", "clip_small", "clip", "chance")
    number = {"cohort": "x", "mode": "y", "metric": "auroc", "k": 0, "split": "z", "value": 0.5, "n": 9}
    number |= dict.fromkeys(("ci_low", "ci_high", "num_positive"))
    for contract in (evaluation.ZeroShotCovid19, evaluation.ZeroShotChexpert):
        manifest = lake.publish(contract, contract.create_empty(), code_version="-", inputs={}, settings={})
        folder = lake.run_folder(contract.table, manifest.fingerprint)
        (folder / "metrics.json").write_text(json.dumps([{**number, "method": method} for method in methods]))
    inputs = {contract.table: "" for contract in evaluation.RADIOLOGY}
    build = Build(replace(STEPS["zero_shot_covid19"], inputs=tuple(inputs)), workspace, {}, inputs, "f" * 16, print)
    numbers = gather(build, "metrics", kinds=("zero_shot",))
    assert dict(numbers.select(pl.col("method").cast(pl.String), "fingerprint").iter_rows()) == {
        **dict(zip(methods, made, strict=False)),
        **dict.fromkeys(methods[3:]),
    }
    assert len(set(made)) == 3 and trained_here(build).keys() == {*methods[:3]}
    assert published_digests(build).keys() == {"clip"}


def test_a_method_that_no_table_knows_is_refused(tmp_path: Path) -> None:
    profile = replace(tiny_workspace(tmp_path).profile, radiology=RadiologyEvaluation(methods=("medcsp", "my_model")))
    with pytest.raises(ValueError, match=r"names 'my_model' in radiology\.methods"):
        STEPS["retrieval_open_i"].settings(profile)


def test_what_the_paper_prints() -> None:
    assert paper_value("retrieval_mimic_cxr", "medcsp", "recall_at_k", 100) == TABLE_2["recall_at_k"][100]
    assert paper_value("retrieval_open_i", "medcsp_released", "precision_at_k", 1) == 0.0091
    assert paper_value("zero_shot_chexpert", "llava_med", "f1", 0) == 0.6356
    assert paper_value("zero_shot_chexpert", "llava_med", "auroc", 0) is None
    assert paper_value("retrieval_mimic_cxr", "chance", "recall_at_k", 1) is None
    assert {contract.table for contract in evaluation.RADIOLOGY} == set(TASKS)
