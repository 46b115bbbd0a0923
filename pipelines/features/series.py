"""Hourly features of ICU stays with FIDDLE's meaning, fitted on some stays and encoded for any.

Tang et al., "Democratizing EHR analyses with FIDDLE", JAMIA 2020: rare variables are dropped (theta_1), variables with
about one reading an hour (theta_freq) are filled forward and summarised, all others show the last reading of the hour;
numbers become quintile indicators, texts become category indicators; nearly constant features (theta_2), and features
that equal or complement an earlier one, are dropped.

Nothing is ever dense: a cell that is not listed is zero. Hours are right-open. Differences from FIDDLE, by intent:
readings of one variable at the same moment are no error (the largest number counts, and every text), and features are
compared cell by cell instead of by a rounded correlation. The hour itself (which reading stands for it, filling) is in
`series_hours`, intervals and names are in `series_bins`, cells and what is dropped in `series_cells`. Readings are read
in chunks of whole subjects, so memory does not grow with their number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl
from polars.io.plugins import register_io_source

from pipelines.features.series_bins import SeriesColumn, column_features, fit_columns
from pipelines.features.series_cells import count_cells, drop_features, match_cells
from pipelines.features.series_hours import hourly_values, numbers_and_texts

READINGS_PER_CHUNK = 2_000_000
MAX_WINDOW_HOURS = 255
CELL_SCHEMA = {
    "subject_id": pl.Int64,
    "hadm_id": pl.Int64,
    "stay_id": pl.Int64,
    "bin": pl.Int16,
    "feature_index": pl.Int32,
    "value": pl.Float32,
}


@dataclass(frozen=True, kw_only=True)
class SeriesSettings:
    """How hourly features are fitted.

    Attributes:
        window_hours: hours of a stay that are read (T), in bins of one hour.
        theta_1: a variable is kept if more than this share of the stays has a reading of it.
        theta_2: a feature is kept if more than this share of the stays has a one of it, and a zero.
        theta_freq: a numeric variable is frequent if it has at least this many readings per hour and stay on average.
        statistics: what of an hour's readings a frequent variable shows beside its last value.
    """

    window_hours: int = 48
    theta_1: float = 0.05
    theta_2: float = 0.001
    theta_freq: float = 1.0
    statistics: tuple[str, ...] = ("min", "max", "mean")

    def __post_init__(self) -> None:
        unknown = sorted(set(self.statistics) - {"min", "max", "mean"})
        if unknown:
            raise ValueError(f"series: statistics {unknown} are unknown; choose from min, max, mean")
        if not 1 <= self.window_hours <= MAX_WINDOW_HOURS:
            raise ValueError(f"series: window_hours is {self.window_hours}; it must be from 1 to {MAX_WINDOW_HOURS}")


@dataclass(frozen=True, kw_only=True)
class SeriesVocabulary:
    """Fitted hourly features: rows of contract SeriesFeatures, enough to encode any stay.

    Attributes:
        features: columns of contract SeriesFeatures, ordered by feature_index.
        settings: what they were fitted with; encoding reads the window alone.
    """

    features: pl.DataFrame
    settings: SeriesSettings = field(default_factory=SeriesSettings)

    @property
    def num_features(self) -> int:
        """Width of the encoded series."""
        return self.features.height


def fit_series(
    readings: pl.LazyFrame,
    stays: pl.LazyFrame,
    settings: SeriesSettings,
    *,
    readings_per_chunk: int = READINGS_PER_CHUNK,
) -> SeriesVocabulary:
    """Fit variables, intervals, categories and the filtered list of features on the given stays.

    Args:
        readings: rows of contract EhrReadings; those of other stays are ignored.
        stays: rows with stay_id; a stay without readings counts in every share.
        settings: thresholds and statistics.
        readings_per_chunk: how many readings are worked on at a time; the result does not depend on it.

    Returns:
        The vocabulary; it is empty if no variable passes theta_1.

    Raises:
        ValueError: `stays` is empty.
    """
    fitted = _fit(readings, stays, settings, readings_per_chunk)
    features = column_features(fitted.columns)
    if features.is_empty():
        return SeriesVocabulary(features=features, settings=settings)
    hours = settings.window_hours
    counts = [count_cells(match_cells(hourly, features), hours) for hourly in fitted.hourly]
    kept = drop_features(features, counts, fitted.stay_ids, window_hours=hours, theta_2=settings.theta_2)
    return SeriesVocabulary(features=kept, settings=settings)


def fitted_columns(
    readings: pl.LazyFrame, stays: pl.LazyFrame, settings: SeriesSettings
) -> dict[tuple[str, str], SeriesColumn]:
    """Return edges and categories per (variable, statistic) as `fit_series` fits them, before features are dropped."""
    columns = _fit(readings, stays, settings, READINGS_PER_CHUNK).columns
    return {(column.variable, column.statistic): column for column in columns}


def encode_series(
    readings: pl.LazyFrame, vocabulary: SeriesVocabulary, *, readings_per_chunk: int = READINGS_PER_CHUNK
) -> pl.LazyFrame:
    """Encode readings as the non-zero cells of hourly features.

    A number outside the fitted range, and a text that was not fitted, give no cell.

    Args:
        readings: rows of contract EhrReadings, of any stays.
        vocabulary: fitted features.
        readings_per_chunk: how many readings are worked on at a time.

    Returns:
        Rows of contract EhrSeries (subject_id, hadm_id, stay_id, bin, feature_index, value) in no order; a stay without
        readings of fitted variables has none.
    """

    def cells(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for chunk in _chunks(readings, readings_per_chunk):
            part = _encode_chunk(chunk, vocabulary)
            if predicate is not None:
                part = part.filter(predicate)
            if with_columns is not None:
                part = part.select(with_columns)
            if left is not None:
                part = part.head(left)
                left -= part.height
            yield part

    return register_io_source(cells, schema=CELL_SCHEMA)


def _encode_chunk(readings: pl.LazyFrame, vocabulary: SeriesVocabulary) -> pl.DataFrame:
    features = vocabulary.features
    statistics = [s for s in ("min", "max", "mean") if s in set(features["statistic"].cast(pl.String))]
    hourly = hourly_values(
        numbers_and_texts(readings, window_hours=vocabulary.settings.window_hours),
        variables=features["variable"].unique().sort(),
        frequent=features.filter("is_filled")["variable"].unique().sort().to_list(),
        statistics=tuple(statistics),
        window_hours=vocabulary.settings.window_hours,
    )
    patients = readings.select("subject_id", "hadm_id", "stay_id").unique()
    return (
        match_cells(hourly, features)
        .join(patients, on="stay_id", how="left")
        .with_columns(pl.lit(1.0).alias("value"))
        .select(pl.col(name).cast(dtype) for name, dtype in CELL_SCHEMA.items())
        .collect(engine="streaming")
    )


def _chunks(readings: pl.LazyFrame, readings_per_chunk: int) -> list[pl.LazyFrame]:
    """Split readings by ranges of subject_id: whole subjects, about so many readings each."""
    subjects = readings.group_by("subject_id").len().sort("subject_id").collect(engine="streaming")
    ranges = (
        subjects.with_columns(((pl.col("len").cum_sum() - 1) // readings_per_chunk).alias("chunk"))
        .group_by("chunk", maintain_order=True)
        .agg(pl.col("subject_id").min().alias("first"), pl.col("subject_id").max().alias("last"))
    )
    if ranges.height <= 1:
        return [readings]
    return [
        readings.filter(pl.col("subject_id").is_between(first, last))
        for first, last in ranges.select("first", "last").iter_rows()
    ]


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """What is known before features are dropped; `hourly` has one frame per chunk."""

    stay_ids: pl.LazyFrame
    hourly: list[pl.LazyFrame]
    columns: list[SeriesColumn]


def _fit(readings: pl.LazyFrame, stays: pl.LazyFrame, settings: SeriesSettings, readings_per_chunk: int) -> _Fitted:
    ids = stays.select("stay_id").unique().collect(engine="streaming")
    if ids.is_empty():
        raise ValueError("series: there is no stay to fit hourly features on; check ehr_stays and cohort_split")
    clean = [
        numbers_and_texts(chunk, window_hours=settings.window_hours).join(ids.lazy(), on="stay_id", how="semi")
        for chunk in _chunks(readings, readings_per_chunk)
    ]
    variables = select_variables(clean, ids.height, settings)
    hourly = [
        hourly_values(
            part,
            variables=variables["variable"],
            frequent=variables.filter("is_frequent")["variable"].to_list(),
            statistics=settings.statistics,
            window_hours=settings.window_hours,
        )
        for part in clean
    ]
    return _Fitted(stay_ids=ids.lazy(), hourly=hourly, columns=fit_columns(hourly, variables))


def select_variables(clean: Sequence[pl.LazyFrame], num_stays: int, settings: SeriesSettings) -> pl.DataFrame:
    """Return the variables that pass theta_1, sorted by name: variable, is_frequent (numeric, and read often).

    Args:
        clean: outputs of `numbers_and_texts` over disjoint stays.
        num_stays: stays the share is taken of, those without readings included.
        settings: theta_1 and theta_freq.
    """
    counts = [
        part.group_by("variable")
        .agg(
            pl.col("stay_id").n_unique().cast(pl.Int64).alias("num_stays"),
            pl.len().cast(pl.Int64).alias("num_readings"),
            pl.col("text").count().cast(pl.Int64).alias("num_texts"),
        )
        .collect(engine="streaming")
        for part in clean
    ]
    is_frequent = (pl.col("num_texts") == 0) & (
        pl.col("num_readings") / num_stays >= settings.theta_freq * settings.window_hours
    )
    return (
        pl.concat(counts)
        .group_by("variable")
        .agg(pl.all().sum())
        .filter(pl.col("num_stays") / num_stays > settings.theta_1)
        .select("variable", is_frequent.alias("is_frequent"))
        .sort("variable")
    )
