"""Static features of ICU stays with FIDDLE's meaning: what is known of a patient when the stay begins.

FIDDLE's rules for data without a time: variables that few stays have are dropped (theta_1), numbers become quintile
indicators, texts become category indicators, nearly constant features (theta_2) and those that equal or complement an
earlier one are dropped. That is what becomes of a reading in a series of a single hour, so this module says which
values there are and leaves the rest to `series` and `series_fit`. A value that is missing or unknown has no cell. Of
several values of one variable and stay the largest number counts, and every text (FIDDLE refuses the former).

Not here: how categories are folded (`sql/records/ehr_demographics.sql`); the vector that the model reads, which does
not depend on data (`demographics`).
"""

from dataclasses import dataclass

import polars as pl

from pipelines.features.series import CELL_SCHEMA, SeriesSettings, SeriesVocabulary, encode_series
from pipelines.features.series_bins import SeriesColumn
from pipelines.features.series_fit import fit_series, fitted_columns

LABELS = {
    "age_years": "age at admission in years",
    "gender": "sex",
    "race_group": "race",
    "insurance_group": "insurance",
    "admission_group": "admission",
    "care_unit_group": "first care unit",
    "hours_before_icu": "hours from admission to the ICU stay",
}
NUMERIC = ("age_years", "hours_before_icu")
CATEGORICAL = tuple(name for name in LABELS if name not in NUMERIC)
STATIC_CELLS = [name for name in CELL_SCHEMA if name != "bin"]
FEATURES = ("feature_index", "feature", "meaning", "variable", "category", "low", "high", "low_inclusive", "aliases")


@dataclass(frozen=True, kw_only=True)
class StaticSettings:
    """How static features are fitted.

    Attributes:
        theta_1: a variable is kept if more than this share of the stays has it.
        theta_2: a feature is kept if more than this share of the stays has a one of it, and a zero.
    """

    theta_1: float = 0.05
    theta_2: float = 0.001

    def of_one_hour(self) -> SeriesSettings:
        """Return the settings of the series of a single hour in which a static value is a reading."""
        return SeriesSettings(
            window_hours=1, theta_1=self.theta_1, theta_2=self.theta_2, theta_freq=float("inf"), statistics=()
        )


def static_values(stays: pl.LazyFrame, records: pl.LazyFrame, demographics: pl.LazyFrame) -> pl.LazyFrame:
    """Return what is known of each stay's patient when it begins; what comes later is nowhere among the columns read.

    Args:
        stays: rows of contract EhrStays.
        records: rows of contract EhrRecords.
        demographics: rows of contract EhrDemographics.

    Returns:
        subject_id, hadm_id, stay_id, variable, value (text), value_number: one row per value. Demographics say what the
        admission and its first ICU stay began with; an unknown category is a missing value.
    """
    begins = stays.select("subject_id", "hadm_id", "stay_id", "in_time")
    known = begins.join(records.select("hadm_id", "admit_time"), on="hadm_id").join(
        demographics.select("hadm_id", "age_years", *CATEGORICAL), on="hadm_id", how="left"
    )
    before = (pl.col("in_time") - pl.col("admit_time")).dt.total_microseconds() / 3.6e9
    ids = ["subject_id", "hadm_id", "stay_id"]
    described = known.select(
        *ids,
        pl.col("age_years").cast(pl.Float64),
        before.alias("hours_before_icu"),
        *(pl.col(name).cast(pl.String) for name in CATEGORICAL),
    )
    numbers = described.unpivot(NUMERIC, index=ids, variable_name="variable", value_name="value_number")
    texts = described.unpivot(CATEGORICAL, index=ids, variable_name="variable", value_name="value")
    rows = pl.concat([numbers, texts.filter(pl.col("value") != "unknown")], how="diagonal")
    return rows.filter(pl.col("value").is_not_null() | pl.col("value_number").is_not_null()).select(
        *ids, "variable", "value", "value_number"
    )


def fit_static(values: pl.LazyFrame, stays: pl.LazyFrame, settings: StaticSettings) -> pl.DataFrame:
    """Fit intervals, categories and the filtered list of static features on the given stays.

    Args:
        values: rows with subject_id, stay_id, variable, value, value_number; those of other stays are ignored.
        stays: rows with stay_id; a stay without values counts in every share.
        settings: thresholds.

    Returns:
        Rows of contract StaticFeatures.

    Raises:
        ValueError: `stays` is empty.
    """
    features = fit_series(_readings(values), stays, settings.of_one_hour()).features
    return features.with_columns(_meaning()).select(FEATURES)


def static_columns(values: pl.LazyFrame, stays: pl.LazyFrame, settings: StaticSettings) -> dict[str, SeriesColumn]:
    """Return edges and categories per variable as `fit_static` fits them, before features are dropped."""
    columns = fitted_columns(_readings(values), stays, settings.of_one_hour())
    return {variable: column for (variable, _), column in columns.items()}


def encode_static(values: pl.LazyFrame, features: pl.DataFrame) -> pl.LazyFrame:
    """Encode static values as the non-zero cells of fitted features.

    A number outside the fitted range, and a category that was not fitted, give no cell.

    Args:
        values: output of `static_values`, of any stays.
        features: output of `fit_static`.

    Returns:
        Rows of contract EhrStatic (subject_id, hadm_id, stay_id, feature_index, value).
    """
    of_one_hour = features.with_columns(pl.lit("value").alias("statistic"), pl.lit(False).alias("is_filled"))
    vocabulary = SeriesVocabulary(features=of_one_hour, settings=StaticSettings().of_one_hour())
    return encode_series(_readings(values), vocabulary).select(STATIC_CELLS)


def _readings(values: pl.LazyFrame) -> pl.LazyFrame:
    return values.with_columns(pl.lit(0.0).alias("offset_hours"))


def _meaning() -> pl.Expr:
    label = pl.col("variable").replace(LABELS)
    edges = pl.format(
        "{} {} to {}",
        pl.when("low_inclusive").then(pl.lit("from")).otherwise(pl.lit("above")),
        pl.col("low").round(3),
        pl.col("high").round(3),
    )
    return pl.format("{}: {}", label, pl.coalesce("category", edges)).alias("meaning")
