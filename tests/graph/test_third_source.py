"""Open-I as a third pre-training source: one entry in the profile, and nothing else."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from graph_runs import copy_home, run_job, tiny_workspace
from tiny import tiny

from data_contracts.corpus import PretrainCorpus
from lake import Lake
from medcsp_model.corpus import Corpus
from pipelines.automation import EVERYTHING
from pipelines.features.pretrain_sources import films
from pipelines.profiles import Profile, profile_named
from pipelines.resources import REPOSITORY, check_declared


def three_sources() -> Profile:
    """The tiny profile and Open-I."""
    profile = tiny()
    return replace(profile, sources=(*profile.sources, films("open_i")))


def test_the_readme_shows_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "README.md").read_text(), flags=re.M | re.S)
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    shown = profile_named("mine:with_open_i")
    assert [source.name for source in shown.sources] == ["ehr", "cxr", "open_i"]
    check_declared(shown)


READ_IT = ["cohort_split", "diagnosis_histories", "tokenizer_vocabulary", "text_tokens", "pretrain_corpus"]
"""What is made anew on the way to a checkpoint; films and reports of every release stand in their tables already."""


@pytest.fixture(scope="module")
def grown(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the built home, trained under the profile with three sources."""
    home = copy_home(built_home, tmp_path_factory.mktemp("three") / "home")
    sys.modules["three_sources_of_a_user"] = sys.modules[__name__]
    workspace = tiny_workspace(home, profile="three_sources_of_a_user:three_sources")
    outcome = run_job(workspace, EVERYTHING, only=[*READ_IT, "pretrain_checkpoint"])
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


def test_only_true_links_are_linked(grown: Path) -> None:
    corpus, pairs = corpus_of(grown), Lake(grown).scan("same_patient_pairs").collect()
    assert list(corpus.links) == [("ehr", "cxr")]
    links = corpus.links["ehr", "cxr"]
    assert 0 < len(links.s) <= pairs.height
    assert set(pairs["other_source"]) == {"cxr"}
    named = set(pairs.select("record_id", "other_record_id").iter_rows())
    ids = [corpus.sources[name].record_id.astype(str) for name in ("ehr", "cxr")]
    assert {(ids[0][s], ids[1][t]) for s, t in zip(links.s, links.t, strict=True)} <= named


def test_it_trains_to_a_checkpoint(grown: Path) -> None:
    checkpoint = Lake(grown).scan("pretrain_checkpoint").collect()
    assert checkpoint["step"].max() == 6
    assert np.isfinite(checkpoint.select("loss", "loss_a", "loss_p", "loss_d").to_numpy()).all()


def test_nobody_is_searched_who_pre_trains(grown: Path, built_home: Path) -> None:
    splits = [
        set(Lake(home).scan("cohort_split").filter(pl.col("source") == "open_i").collect()["split"])
        for home in (built_home, grown)
    ]
    assert splits == [{"retrieval_open_i"}, {"pretrain"}]


def test_a_source_that_no_release_gives_is_refused(tmp_path: Path) -> None:
    workspace = tiny_workspace(tmp_path)
    odd = replace(workspace.profile, sources=(*workspace.profile.sources, films("open_eye")))
    with pytest.raises(
        ValueError, match="declares the source open_eye, which no release gives; known: cxr, ehr, open_i"
    ):
        check_declared(odd)
    check_declared(three_sources())
