"""Case studies: whom they choose, what their numbers say of embeddings made by hand, and that nobody's id is drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from medcsp_model import case_studies
from medcsp_model.case_studies import study
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.case_studies import (
    Points,
    choose_diagnoses,
    choose_patients,
    knn_purity,
    project,
    purity_by_chance,
    silhouettes,
    unseen_points,
)
from medcsp_model.evaluation.planted.folder import write_planted
from medcsp_model.evaluation.planted.recipe import Size, at_planted_size
from medcsp_model.evaluation.planted.world import WorldSettings, make_world
from medcsp_model.settings import BatchSettings, CaseStudySettings, default
from medcsp_model.trainer import Trainer

HELD_OUT = BatchSettings(validation_share=0.3)
MODALITIES = {"ehr": ["codes", "drugs", "note"], "cxr": ["image", "report"]}
SETTINGS = CaseStudySettings(projections=("tsne",), num_draws=20, num_threads=1, per_case=15)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    world = make_world(WorldSettings(num_patients=80, num_unseen=1, images_per_patient=4.0), seed=0)
    return write_planted(world, tmp_path_factory.mktemp("planted") / "corpus")


@pytest.fixture(scope="module")
def checkpoints(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = at_planted_size(default(), size=Size(steps=1, batch=8), seed=0, schedule=default())
    base = base.replace(batch={"validation_share": 0.3})
    home = tmp_path_factory.mktemp("runs")
    for name, weight in (("a", 0.0), ("a_p_d", 0.5)):
        Trainer(corpus, settings=base.replace(loss={"lambda_p": weight}), folder=home / name).run()
    return {name: str(home / name) for name in ("a", "a_p_d")}


@pytest.fixture(scope="module")
def points(corpus: Corpus) -> Points:
    return unseen_points(corpus, MODALITIES, settings=HELD_OUT, max_points=5000, seed=0)


def test_points_are_every_modality_of_unseen_records(corpus: Corpus, points: Points) -> None:
    held = {name: corpus.records(name, splits=["pretrain"]) for name in MODALITIES}
    unseen = set(points.subject.tolist())
    expected = sum(
        int(corpus.sources[name].modalities[key].present[record])
        for name, keys in MODALITIES.items()
        for record in held[name]
        if corpus.sources[name].subject_id[record] in unseen
        for key in keys
    )
    assert len(points) == expected
    few = unseen_points(corpus, MODALITIES, settings=HELD_OUT, max_points=200, seed=0)
    assert len(few) <= 200
    for subject in np.unique(few.subject):
        assert np.count_nonzero(few.subject == subject) == np.count_nonzero(points.subject == subject)
    with pytest.raises(ValueError, match=r"raise ablation\.validation_share"):
        unseen_points(corpus, MODALITIES, settings=BatchSettings(validation_share=1e-9), max_points=9, seed=0)


def test_patients_are_those_with_records_of_both_sources(points: Points) -> None:
    cases = choose_patients(points, per_case=10)
    assert set(cases.case.tolist()) == {0, 1, 2} and not cases.codes
    for case in range(3):
        mine = points.take(cases.points[cases.case == case])
        assert len(set(mine.subject.tolist())) == 1 and len(mine) <= 10
        assert set(points.source[points.subject == mine.subject[0]].tolist()) == {"ehr", "cxr"}


def test_diagnoses_are_of_records_with_exactly_one_of_them(corpus: Corpus, points: Points) -> None:
    cases = choose_diagnoses(points, corpus, per_case=12)
    assert len(cases.codes) == 3
    for place, case in zip(cases.points, cases.case, strict=True):
        history = corpus.sources[str(points.source[place])].history
        start, stop = history.indptr[points.record[place]], history.indptr[points.record[place] + 1]
        assert set(history.indices[start:stop].tolist()) & set(cases.codes) == {cases.codes[case]}
    for case in range(3):
        mine = points.subject[cases.points[cases.case == case]]
        assert len(mine) <= 12
        assert (
            np.bincount(np.unique(mine, return_inverse=True)[1]).max() <= -(-len(mine) // len(set(mine.tolist()))) + 3
        )


def test_purity_counts_other_studies_alone() -> None:
    label, record = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 3])
    by_case = np.eye(2, dtype=np.float32)[label]
    assert knn_purity(by_case, label, record).tolist() == [1.0] * 6
    by_record = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 0, 1]]  # each case next to the other one
    assert knn_purity(by_record, label, record).tolist() == [0.5, 0.5, 0.5, 0.5, 0.0, 0.0]
    alone = knn_purity(by_case, np.array([0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 2, 3, 4]))
    assert np.isnan(alone[:2]).all() and (alone[2:] > 0).all()


def test_films_of_a_study_are_no_neighbours_of_each_other(corpus: Corpus, points: Points) -> None:
    """They share its report, whose copies lie on each other: of every embedding at random, purity is chance."""
    study = {name: corpus.sources[name].study_id for name in MODALITIES}
    named = [(source, study[source][record]) for source, record in zip(points.source, points.record, strict=True)]
    assert len(set(zip(named, points.of_study.tolist(), strict=True))) == len(set(named)) == len(set(points.of_study))
    rng, label = np.random.default_rng(0), points.subject
    by_chance = purity_by_chance(label, points.of_study)
    found = []
    for _ in range(20):
        e = rng.normal(size=(len(points), 32)).astype(np.float32)
        reports = np.flatnonzero(points.modality == "report")
        e[reports] = rng.normal(size=(len(points), 32))[points.of_study[reports]]  # one embedding for each report
        e /= np.linalg.norm(e, axis=1, keepdims=True)
        found.append(np.nanmean(knn_purity(e, label, points.of_study)))
    assert np.mean(found) == pytest.approx(np.nanmean(by_chance), abs=4 * np.std(found) / np.sqrt(20))


def test_chance_is_the_share_of_other_points_of_the_case() -> None:
    label, study = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 2, 3, 4])
    expected = [1 / 4, 1 / 4, 2 / 5, 1 / 5, 1 / 5, np.nan]
    assert purity_by_chance(label, study) == pytest.approx(expected, nan_ok=True)


def test_silhouettes_are_those_of_scikit_learn_and_unknown_without_two_labels() -> None:
    e = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    label = np.arange(12) % 3
    assert silhouettes(e, label).mean() == pytest.approx(silhouette_score(e, label, metric="cosine"), abs=1e-6)
    assert np.isnan(silhouettes(e, np.zeros(12))).all() and np.isnan(silhouettes(e, np.arange(12))).all()


def test_a_projection_is_a_function_of_its_seed() -> None:
    e = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    first, again = project(e, "tsne", seed=0), project(e, "tsne", seed=0)
    assert np.array_equal(first, again) and first.shape == (20, 2)
    with pytest.raises(ValueError, match="3 points cannot be drawn"):
        project(e[:3], "tsne", seed=0)


def test_every_model_is_drawn_with_the_same_points(corpus: Corpus, checkpoints: dict[str, str]) -> None:
    numbers, points = study(corpus, checkpoints, held_out=HELD_OUT, settings=SETTINGS)
    assert {(row["cohort"], row["metric"]) for row in numbers if row["method"] == "a"} == {
        *(
            (cohort, metric)
            for cohort in ("patients", "diagnoses", "all_subjects")
            for metric in ("silhouette_by_case", "silhouette_by_modality", "knn_purity")
        ),
        ("all_subjects", "agreement"),
        ("all_subjects", "patient_agreement"),
    }
    by_chance = {row["cohort"]: row for row in numbers if row["method"] == "chance"}
    purity = {row["cohort"]: row for row in numbers if (row["method"], row["metric"]) == ("a", "knn_purity")}
    assert by_chance.keys() == purity.keys() and all(by_chance[name]["n"] == purity[name]["n"] for name in purity)
    for row in numbers:
        assert (row["ci_low"] is not None) == (row["cohort"] == "all_subjects" and row["method"] != "chance")
        assert row["ci_low"] is None or row["ci_low"] <= row["value"] <= row["ci_high"]
    labels = [
        [
            (row["figure"], row["point"], row["case"], row["source"], row["modality"])
            for row in points
            if row["method"] == name
        ]
        for name in checkpoints
    ]
    assert labels[0] == labels[1] and len(labels[0]) > 20
    assert set(points[0]) == {
        *("figure", "method", "projection", "point", "case", "code_index", "source", "modality", "x", "y")
    }
    assert all((row["code_index"] is None) == (row["figure"] == "patients") for row in points)


def test_the_command_writes_numbers_and_points(
    corpus: Corpus, checkpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_studies, "study", lambda *_, **__: ([{"metric": "m"}], [{"x": 1.0}]))
    run = {"corpus": str(corpus.folder), "output": str(tmp_path / "out"), "checkpoints": checkpoints}
    run |= {"held_out": {"validation_share": 0.3}, "settings": {"num_draws": 9}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr("sys.argv", ["case_studies", "--settings", str(tmp_path / "run.json")])
    assert case_studies.main() == 0
    assert json.loads((tmp_path / "out" / "numbers.json").read_text()) == [{"metric": "m"}]
    (tmp_path / "run.json").write_text(json.dumps(run | {"held_out": {}}))
    with pytest.raises(ValueError, match=r"held_out\.validation_share"):
        case_studies.main()
    with pytest.raises(ValueError, match=r"settings\.projections: 'pca' is none of 'tsne', 'umap'"):
        CaseStudySettings.from_json({"projections": ["pca"]})
