"""Open-I as a third pre-training source: one entry in the profile, and nothing else."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from graph_runs import copy_home, run_job, tiny_workspace, versions
from tiny import tiny

from data_contracts.corpus import PretrainCorpus
from lake import Lake
from medcsp_model.corpus import Corpus
from pipelines.assets.graph import STEPS
from pipelines.automation import REFRESH, TRAIN
from pipelines.features.pretrain_sources import films
from pipelines.profiles import Profile


def three_sources() -> Profile:
    """The tiny profile and Open-I."""
    profile = tiny()
    return replace(profile, sources=(*profile.sources, films("open_i")))


@pytest.fixture(scope="module")
def grown(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the built home, refreshed and trained under the profile with three sources."""
    home = copy_home(built_home, tmp_path_factory.mktemp("three") / "home")
    sys.modules["three_sources_of_a_user"] = sys.modules[__name__]
    workspace = tiny_workspace(home, profile="three_sources_of_a_user:three_sources")
    for job in (REFRESH, TRAIN):
        outcome = run_job(workspace, job)
        assert outcome.success, outcome.failures
    return home


def corpus_of(home: Path) -> Corpus:
    manifest = Lake(home).manifest(PretrainCorpus.table)
    assert manifest is not None
    return Corpus.open(Lake(home).run_folder(PretrainCorpus.table, manifest.fingerprint))


def test_the_corpus_has_all_three(grown: Path, built_home: Path) -> None:
    corpus, before = corpus_of(grown), corpus_of(built_home)
    assert list(before.sources) == ["ehr", "cxr"] and list(corpus.sources) == ["ehr", "cxr", "open_i"]
    third = corpus.sources["open_i"]
    held = Lake(grown).scan("cxr_records").filter(pl.col("source") == "open_i").sort("record_id").collect()
    assert third.num_records == held.height > 0
    assert third.record_id.astype(str).tolist() == held["record_id"].to_list()
    assert all(modality.present.all() for modality in third.modalities.values())
    assert np.isnan(third.time_days).all() and not third.history.present.any()
    others = np.concatenate([corpus.sources[name].subject_id for name in ("ehr", "cxr")])
    assert third.subject_id.min() >= 900_000_000 > others.max()
    assert third.num_records > len(np.unique(third.study_id)) == len(np.unique(third.subject_id))


def test_only_true_links_are_linked(grown: Path, built_home: Path) -> None:
    corpus, pairs = corpus_of(grown), Lake(grown).scan("same_patient_pairs").collect()
    assert list(corpus.links) == [("ehr", "cxr")]
    links = corpus.links["ehr", "cxr"]
    assert 0 < len(links.s) <= pairs.height
    assert set(pairs["other_source"]) == {"cxr"}
    named = set(pairs.select("record_id", "other_record_id").iter_rows())
    ids = [corpus.sources[name].record_id.astype(str) for name in ("ehr", "cxr")]
    assert {(ids[0][s], ids[1][t]) for s, t in zip(links.s, links.t, strict=True)} <= named
    assert versions(grown)["same_patient_pairs"] == versions(built_home)["same_patient_pairs"]


def test_it_trains_to_a_checkpoint(grown: Path) -> None:
    lake = Lake(grown)
    checkpoint = lake.scan("pretrain_checkpoint").collect()
    assert checkpoint["step"].max() == 6
    assert np.isfinite(checkpoint.select("loss", "loss_a", "loss_p", "loss_d").to_numpy()).all()
    embedded = lake.scan("record_embeddings").group_by("source").len().collect()
    corpus = corpus_of(grown)
    assert dict(embedded.iter_rows()) == {name: source.num_records for name, source in corpus.sources.items()}
    assert lake.scan("metrics").filter(pl.col("method") == "medcsp").collect().height > 0


def test_nobody_is_searched_who_pre_trains(grown: Path, built_home: Path) -> None:
    splits = [
        set(Lake(home).scan("cohort_split").filter(pl.col("source") == "open_i").collect()["split"])
        for home in (built_home, grown)
    ]
    assert splits == [{"retrieval_open_i"}, {"pretrain"}]


def test_what_does_not_read_it_stays(grown: Path, built_home: Path) -> None:
    before, after = versions(built_home), versions(grown)
    changed = {name for name in before if before[name] != after[name]}
    assert {"cohort_split", "tokenizer_vocabulary", "pretrain_corpus"} <= changed
    assert not {name for name in changed if STEPS[name].contract.layer in ("tables", "records")}
    assert not changed & {"diagnosis_vocabulary", "series_features", "ehr_series", "cxr_images", "same_patient_pairs"}
