"""Hourly features of both spaces: what ICU stays show hour by hour. Not here: how they are made (`pipelines.features`).

The native space has the variables of the hospital's own ids, the shared one the concepts that all systems chart. Both
are fitted on the stays of pre-training subjects and applied unchanged to every other stay. What a fit needs of a shard
are counts, and they are tables: it reads only readings that changed, and all of them only where a selection of
variables or an edge of theirs moved, after which every stay is encoded anew anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_contracts import Contract, features, links, records, tables
from pipelines.assets.step import Build, Made, Step, sql_step, step
from pipelines.features import concepts, series, series_bins, series_fit
from pipelines.profiles import Profile


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


@dataclass(frozen=True, kw_only=True)
class Space:
    """The tables of one feature space, in the order in which they are made."""

    readings: type[Contract]
    variable_counts: type[Contract]
    variables: type[Contract]
    value_counts: type[Contract]
    candidates: type[Contract]
    cell_counts: type[Contract]
    fitted: type[Contract]
    series: type[Contract]


NATIVE = Space(
    readings=records.EhrReadings,
    variable_counts=features.SeriesVariableCounts,
    variables=features.SeriesVariables,
    value_counts=features.SeriesValueCounts,
    candidates=features.SeriesCandidates,
    cell_counts=features.SeriesCellCounts,
    fitted=features.SeriesFeatures,
    series=features.EhrSeries,
)
SHARED = Space(
    readings=records.EhrSharedReadings,
    variable_counts=features.SharedSeriesVariableCounts,
    variables=features.SharedSeriesVariables,
    value_counts=features.SharedSeriesValueCounts,
    candidates=features.SharedSeriesCandidates,
    cell_counts=features.SharedSeriesCellCounts,
    fitted=features.SharedSeriesFeatures,
    series=features.EhrSharedSeries,
)
STAYS = (records.EhrStays, links.CohortSplit)


def _settings(*names: str) -> Callable[[Profile], dict[str, Any]]:
    """Choose the settings that a step reads: one that it does not read makes nothing of it anew."""
    return lambda profile: {name: profile.group("series")[name] for name in names}


def _variable_counts_step(space: Space) -> Step:
    settings = _settings("window_hours", "fit_on")

    @step(space.variable_counts, inputs=[space.readings, *STAYS], settings=settings, by_shard=True)
    def count(build: Build) -> pl.DataFrame:
        """Count the readings of every variable."""
        return of_shard(build, series_fit.variable_counts(clean_parts(build, space)))

    return count


def _variables_step(space: Space) -> Step:
    settings = _settings("window_hours", "theta_1", "theta_freq", "fit_on")

    @step(space.variables, inputs=[space.variable_counts, *STAYS], settings=settings)
    def select(build: Build) -> pl.DataFrame:
        """Select the variables that enough stays read."""
        num_stays = fit_stays(build).select(pl.col("stay_id").n_unique()).collect().item()
        thresholds = {name: build.settings[name] for name in ("theta_1", "theta_freq", "window_hours")}
        return series_fit.select_variables([build.frame(space.variable_counts)], num_stays=num_stays, **thresholds)

    return select


def _value_counts_step(space: Space) -> Step:
    settings = _settings("window_hours", "statistics", "fit_on")

    @step(space.value_counts, inputs=[space.readings, space.variables, *STAYS], settings=settings, by_shard=True)
    def count(build: Build) -> pl.DataFrame:
        """Count the hours that show each value."""
        found = series_fit.value_counts(
            clean_parts(build, space),
            build.frame(space.variables),
            statistics=build.settings["statistics"],
            window_hours=build.settings["window_hours"],
        )
        return of_shard(build, found)

    return count


def _candidates_step(space: Space) -> Step:
    @step(space.candidates, inputs=[space.value_counts, space.variables])
    def fit(build: Build) -> pl.DataFrame:
        """Fit edges and categories."""
        columns = series_fit.candidate_columns([build.frame(space.value_counts)], build.frame(space.variables))
        return series_bins.column_features(columns)

    return fit


def _cell_counts_step(space: Space) -> Step:
    settings = _settings("window_hours", "fit_on")

    @step(space.cell_counts, inputs=[space.readings, space.candidates, *STAYS], settings=settings, by_shard=True)
    def count(build: Build) -> pl.DataFrame:
        """Count the cells of every candidate."""
        found = series_fit.cell_counts(
            clean_parts(build, space), build.frame(space.candidates), window_hours=build.settings["window_hours"]
        )
        return of_shard(build, found)

    return count


def _fit_step(space: Space) -> Step:
    settings = _settings("window_hours", "theta_2", "fit_on")

    @step(space.fitted, inputs=[space.candidates, space.cell_counts, *STAYS], settings=settings)
    def drop(build: Build) -> Made:
        """Drop rare and equal candidates; remember the variables whose edges moved."""
        fitted = series_fit.fitted_features(
            build.frame(space.candidates),
            build.frame(space.cell_counts),
            fit_stays(build),
            window_hours=build.settings["window_hours"],
            theta_2=build.settings["theta_2"],
        )
        if build.lake.manifest(space.fitted.table) is None:
            return Made(fitted)
        before = build.lake.scan(space.fitted.table).collect()
        return Made(fitted, extra={"moved_variables": series_fit.moved_variables(fitted, before)})

    return drop


def _encode_step(space: Space) -> Step:
    @step(space.series, inputs=[space.readings, space.fitted], settings=_settings("window_hours"), by_shard=True)
    def encode(build: Build) -> pl.LazyFrame:
        """Encode the readings of every stay with the fitted features."""
        vocabulary = series.SeriesVocabulary(
            features=build.frame(space.fitted), settings=series.SeriesSettings(**build.settings)
        )
        return series.encode_series(build.scan(space.readings), vocabulary)

    return encode


def clean_parts(build: Build, space: Space) -> list[pl.LazyFrame]:
    """Return the numbers and texts of the shard's stays of the fit."""
    window_hours = build.settings["window_hours"]
    return series_fit.clean_parts(build.scan(space.readings), fit_stays(build), window_hours=window_hours)


def fit_stays(build: Build) -> pl.LazyFrame:
    """Return the stays that hourly features are fitted on, of the shard or of all."""
    stays = build.scan(records.EhrStays).filter(pl.col("database").cast(pl.String) == "mimic_iv")
    if build.settings["fit_on"] == "all":
        return stays
    return stays.join(pretrain_subjects(build), on="subject_id", how="semi")


def of_shard(build: Build, counts: pl.DataFrame) -> pl.DataFrame:
    """Say which shard counts are of."""
    return counts.select(pl.lit(build.shard, dtype=pl.Int32).alias("shard"), pl.all())


def pretrain_subjects(build: Build) -> pl.LazyFrame:
    """Return the subjects that every vocabulary and statistic is fitted on."""
    split = build.scan(links.CohortSplit)
    return split.filter(pl.col("split") == "pretrain").select("subject_id").unique()


def _steps(space: Space) -> tuple[Step, ...]:
    return (
        _variable_counts_step(space),
        _variables_step(space),
        _value_counts_step(space),
        _candidates_step(space),
        _cell_counts_step(space),
        _fit_step(space),
        _encode_step(space),
    )


feature_dictionary = sql_step(
    features.FeatureDictionary,
    "features/feature_dictionary.sql",
    inputs=[
        *(features.SeriesFeatures, features.SharedSeriesFeatures, records.ConceptItems),
        *(tables.MimicIvDItems, tables.MimicIvDLabitems, tables.MimicIvMicrobiologyevents),
    ],
)

STEPS = (concept_items, ehr_shared_readings, concept_coverage, *_steps(NATIVE), *_steps(SHARED), feature_dictionary)
