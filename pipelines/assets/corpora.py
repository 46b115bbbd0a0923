"""Corpora: the folders that the trainer reads, and how one is written. Not here: the format, `medcsp_model.corpus`."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from data_contracts import CONTRACTS, corpus, features, labels, links, records
from pipelines.assets.step import Build, Made, step
from pipelines.features.corpus import write_corpus
from pipelines.features.pretrain_sources import PretrainSource
from pipelines.profiles import Profile

INPUTS = (
    records.EhrRecords,
    records.EhrStays,
    records.EhrCodes,
    records.EhrDemographics,
    records.CxrRecords,
    links.CohortSplit,
    links.SamePatientPairs,
    links.DiagnosisHistories,
    features.DiagnosisVocabulary,
    features.DrugVocabulary,
    features.SeriesFeatures,
    features.EhrSeries,
    features.TokenizerVocabulary,
    features.TextTokens,
    features.CxrImages,
)
SHARED = {
    features.SeriesFeatures: features.SharedSeriesFeatures,
    features.EhrSeries: features.EhrSharedSeries,
}
"""What the shared feature space has in place of the hospital's own items."""


def _settings(profile: Profile) -> dict[str, Any]:
    return settings_of(profile, profile.sources)


def settings_of(profile: Profile, sources: Sequence[PretrainSource]) -> dict[str, Any]:
    """Return the settings of a corpus of some sources."""
    return {
        "sources": [asdict(source) | {"modalities": list(source.modalities)} for source in sources],
        "theta_days": profile.links.theta_days,
        "window_hours": profile.records.window_hours,
        "max_stays": profile.records.max_stays,
        "image_size": profile.images.size,
        "diagnosis_grouping": profile.vocabularies.diagnosis_grouping,
        "context_length": profile.vocabularies.context_length,
        "cohorts": asdict(profile.cohorts),
    }


@step(corpus.PretrainCorpus, inputs=INPUTS, settings=_settings, leaves=("corpus.json",), kinds=("numpy",))
def pretrain_corpus(build: Build) -> Made:
    """Write the records of the pre-training subjects."""
    return write_folder(build, splits=["pretrain"])


def _settings_of_shared(profile: Profile) -> dict[str, Any]:
    cohorts = list(profile.evaluation.shared_cohorts)
    return {"shared_cohorts": cohorts, **(_settings(profile) if cohorts else {})}


@step(
    corpus.PretrainCorpusShared,
    inputs=[*(SHARED.get(contract, contract) for contract in INPUTS), labels.PredictionLabels],
    settings=_settings_of_shared,
    leaves=("corpus.json",),
    kinds=("numpy",),
)
def pretrain_corpus_shared(build: Build) -> Made:
    """Write the same records with the features of the shared space, if a cohort that needs them has examples."""
    cohorts = build.settings["shared_cohorts"]
    of_cohorts = build.scan(labels.PredictionLabels).filter(pl.col("cohort").cast(pl.String).is_in(cohorts))
    if of_cohorts.limit(1).collect().is_empty():
        build.log(f"no example in {', '.join(cohorts) or 'any cohort that needs it'}: published empty")
        return Made(build.step.contract.create_empty())
    return write_folder(build, splits=["pretrain"])


def write_folder(build: Build, *, splits: list[str], beside: Callable[[Path], pl.DataFrame] | None = None) -> Made:
    """Write the records of some splits into the step's run folder.

    Args:
        build: the step.
        splits: splits of cohort_split.
        beside: writes what lies beside the arrays, and returns further rows of the contents.
    """
    target = build.run_folder()
    called = {shared.table: native.table for native, shared in SHARED.items()}
    with build.lake.scratch(build.step.name) as scratch:
        contents = write_corpus(
            scratch / "corpus",
            name=build.step.name,
            tables={called.get(name, name): build.scan(CONTRACTS[name]) for name in build.step.inputs},
            sources=[_source(values) for values in build.settings["sources"]],
            splits=splits,
            store=build.workspace.image_store,
            synthetic=build.workspace.is_synthetic,
            settings=build.settings,
            inputs=build.inputs,
        )
        if beside is not None:
            contents = pl.concat([contents, beside(scratch / "corpus").select(contents.columns)])
        shutil.rmtree(target)
        (scratch / "corpus").rename(target)
    return Made(contents)


def _source(values: dict[str, Any]) -> PretrainSource:
    return PretrainSource(**values | {"modalities": tuple(values["modalities"])})


STEPS = (pretrain_corpus, pretrain_corpus_shared)
