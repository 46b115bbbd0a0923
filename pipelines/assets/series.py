"""Hourly features of both spaces: what ICU stays show hour by hour. Not here: how they are made (`pipelines.features`).

The native space has the variables of the hospital's own ids, the shared one the concepts that all systems chart. Both
are fitted on the stays of pre-training subjects and applied unchanged to every other stay.
"""

import polars as pl

from data_contracts import Contract, features, links, records, tables
from pipelines.assets.step import Build, Made, Step, sql_step, step
from pipelines.features import concepts, series


@step(records.ConceptItems, data_files=(concepts.CONCEPTS_FILE,))
def concept_items(build: Build) -> pl.DataFrame:
    """Read the reviewed mapping of variables to concepts."""
    return concepts.read_concepts()


ehr_shared_readings = sql_step(
    records.EhrSharedReadings,
    "records/ehr_shared_readings.sql",
    inputs=[records.EhrReadings, records.ConceptItems],
    by_shard=True,
)
concept_coverage = sql_step(
    features.ConceptCoverage,
    "features/concept_coverage.sql",
    inputs=[records.EhrStays, records.EhrSharedReadings, records.ConceptItems],
)


def _fit_step(contract: type[Contract], readings: type[Contract]) -> Step:
    @step(
        contract,
        inputs=[readings, records.EhrStays, links.CohortSplit],
        settings=lambda profile: profile.group("series"),
    )
    def fit(build: Build) -> Made:
        """Fit the hourly features on the stays of pre-training subjects; remember the variables whose edges moved."""
        settings = series.SeriesSettings(**build.settings)
        stays = build.scan(records.EhrStays).filter(pl.col("database").cast(pl.String) == "mimic_iv")
        if settings.fit_on == "train":
            stays = stays.join(pretrain_subjects(build), on="subject_id", how="semi")
        of_stays = build.scan(readings).join(stays, on="stay_id", how="semi")
        fitted = series.fit_series(of_stays, stays, settings).features
        if build.lake.manifest(contract.table) is None:
            return Made(fitted)
        before = build.lake.scan(contract.table).collect()
        return Made(fitted, extra={"moved_variables": series.moved_variables(fitted, before)})

    return fit


def _encode_step(contract: type[Contract], readings: type[Contract], fitted: type[Contract]) -> Step:
    @step(contract, inputs=[readings, fitted], settings=lambda profile: profile.group("series"), by_shard=True)
    def encode(build: Build) -> pl.LazyFrame:
        """Encode the readings of every stay with the fitted features."""
        vocabulary = series.SeriesVocabulary(
            features=build.frame(fitted), settings=series.SeriesSettings(**build.settings)
        )
        return series.encode_series(build.scan(readings), vocabulary)

    return encode


series_features = _fit_step(features.SeriesFeatures, records.EhrReadings)
ehr_series = _encode_step(features.EhrSeries, records.EhrReadings, features.SeriesFeatures)
shared_series_features = _fit_step(features.SharedSeriesFeatures, records.EhrSharedReadings)
ehr_shared_series = _encode_step(features.EhrSharedSeries, records.EhrSharedReadings, features.SharedSeriesFeatures)
feature_dictionary = sql_step(
    features.FeatureDictionary,
    "features/feature_dictionary.sql",
    inputs=[
        *(features.SeriesFeatures, features.SharedSeriesFeatures, records.ConceptItems),
        *(tables.MimicIvDItems, tables.MimicIvDLabitems, tables.MimicIvMicrobiologyevents),
    ],
)


def pretrain_subjects(build: Build) -> pl.LazyFrame:
    """Return the subjects that every vocabulary and statistic is fitted on."""
    split = build.scan(links.CohortSplit)
    return split.filter(pl.col("split") == "pretrain").select("subject_id").unique()


STEPS = (
    *(concept_items, ehr_shared_readings, concept_coverage, series_features, ehr_series),
    *(shared_series_features, ehr_shared_series, feature_dictionary),
)
