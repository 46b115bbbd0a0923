"""Evaluation sets of X-rays: who stands in them, and the folders that the evaluator reads. Not here: their format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts import corpus, features, links, radiology, records, tables
from lake import short_hash
from pipelines.assets.corpora import settings_of, write_folder
from pipelines.assets.step import Build, Made, sql_step, step
from pipelines.features.evaluation_sets import add_films
from pipelines.features.film_journal import stat_films
from pipelines.features.pretrain_sources import CHEST_XRAYS, PretrainSource, films
from pipelines.profiles import Profile
from pipelines.resources import Workspace
from pipelines.sources.covid19 import list_masks

evaluation_films = sql_step(
    radiology.EvaluationFilms,
    "labels/evaluation_films.sql",
    inputs=[
        *(links.CohortSplit, records.CxrRecords, tables.MimicIvPatients, tables.MimicCxrJpgSplit),
        *(tables.Covid19Images, tables.ChexpertImages),
    ],
)


def unread_films(name: str) -> PretrainSource:
    """Return the films of a release without reports."""
    return PretrainSource(name=name, records="cxr_records", modalities=("image",))


def _settings_of(source: PretrainSource) -> Callable[[Profile], dict[str, Any]]:
    wanted = ("sources", "image_size", "context_length")  # of the others no film knows
    return lambda profile: {name: value for name, value in settings_of(profile, [source]).items() if name in wanted}


def mask_digests(workspace: Workspace) -> dict[str, str]:
    """Return one version for all lung masks: their names, sizes and times, as films have."""
    root = workspace.sources.root("covid19")
    if root is None:
        return {}
    stats = stat_films(root, list_masks(root))
    return {"raw:covid19/masks": short_hash(stats.write_csv())}


SET: dict[str, Any] = {
    "inputs": [
        *(records.CxrRecords, records.CxrReports, links.CohortSplit, links.DiagnosisHistories),
        *(features.DiagnosisVocabulary, features.TokenizerVocabulary, features.TextTokens, features.CxrImages),
        radiology.EvaluationFilms,
    ],
    "leaves": ("corpus.json", "films.json"),
    "kinds": ("numpy",),
}


@step(corpus.RetrievalMimicCxrCorpus, settings=_settings_of(CHEST_XRAYS), **SET)
def retrieval_mimic_cxr_corpus(build: Build) -> Made:
    """Write the X-rays of MIMIC-CXR that the retrieval evaluation searches."""
    return _write_set(build, "retrieval_mimic_cxr")


@step(corpus.RetrievalOpenICorpus, settings=_settings_of(films("open_i")), **SET)
def retrieval_open_i_corpus(build: Build) -> Made:
    """Write the X-rays of Open-I that the retrieval evaluation searches."""
    return _write_set(build, "retrieval_open_i")


@step(
    corpus.ZeroShotCovid19Corpus,
    settings=_settings_of(unread_films("covid19")),
    raw=mask_digests,
    raw_keys=("covid19__images",),
    **SET,
)
def zero_shot_covid19_corpus(build: Build) -> Made:
    """Write the films of COVID-19 Radiography that are classified, and their lung masks."""
    return _write_set(build, "zero_shot_covid19", root=build.workspace.sources.root("covid19"))


@step(corpus.ZeroShotChexpertCorpus, settings=_settings_of(unread_films("chexpert")), **SET)
def zero_shot_chexpert_corpus(build: Build) -> Made:
    """Write the films of CheXpert that are classified."""
    return _write_set(build, "zero_shot_chexpert")


def _write_set(build: Build, split: str, *, root: Path | None = None) -> Made:
    """Write the records of a split, and beside them what is known of their films."""
    chosen = build.scan(radiology.EvaluationFilms).filter(pl.col("split") == split).collect()

    def beside(folder: Path) -> pl.DataFrame:
        reports, size = build.scan(records.CxrReports), int(build.settings["image_size"])
        return add_films(folder, films=chosen, reports=reports, root=root, size=size, log=build.log)

    return write_folder(build, splits=[split], beside=beside)


STEPS = (
    evaluation_films,
    retrieval_mimic_cxr_corpus,
    retrieval_open_i_corpus,
    zero_shot_covid19_corpus,
    zero_shot_chexpert_corpus,
)
