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

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from pipelines.features.series_bins import SeriesColumn, column_features, count_values, fit_columns, merge_values
from pipelines.features.series_cells import (
    CellMatcher,
    count_all,
    count_cells,
    drop_features,
    encode_cells,
    merge_counts,
)
from pipelines.features.series_hours import Hourly, hourly_values, numbers_and_texts

READINGS_PER_CHUNK = 1_000_000
STAYS_PER_CHUNK = 8_192
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
        fit_on: train fits on the stays of pre-training subjects, all on those of every MIMIC-IV subject, held-out ones
            too, as FIDDLE does.
    """

    window_hours: int = 48
    theta_1: float = 0.05
    theta_2: float = 0.001
    theta_freq: float = 1.0
    statistics: tuple[str, ...] = ("min", "max", "mean")
    fit_on: str = "train"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.statistics) - {"min", "max", "mean"})
        if unknown:
            raise ValueError(f"series: statistics {unknown} are unknown; choose from min, max, mean")
        if self.fit_on not in ("train", "all"):
            raise ValueError(f"series: fit_on is {self.fit_on!r}; choose from train, all")
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
    counts = merge_counts([count_cells(hourly, features, window_hours=hours) for hourly in fitted.hourly()])
    ids = fitted.stay_ids
    kept = drop_features(features, counts, num_stays=len(ids), whole=count_all(ids, hours), theta_2=settings.theta_2)
    return SeriesVocabulary(features=kept, settings=settings)


def fitted_columns(
    readings: pl.LazyFrame, stays: pl.LazyFrame, settings: SeriesSettings
) -> dict[tuple[str, str], SeriesColumn]:
    """Return edges and categories per (variable, statistic) as `fit_series` fits them, before features are dropped."""
    columns = _fit(readings, stays, settings, READINGS_PER_CHUNK).columns
    return {(column.variable, column.statistic): column for column in columns}


def moved_variables(features: pl.DataFrame, before: pl.DataFrame) -> list[str]:
    """Return the variables whose intervals or categories differ between two fits, sorted; new and lost ones too.

    Args:
        features: rows of contract SeriesFeatures.
        before: rows of an earlier version.
    """
    shown = ["variable", "statistic", "category", "low", "high", "low_inclusive", "is_filled"]
    now, then = (
        part.select(pl.col("statistic").cast(pl.String), pl.exclude("statistic")) for part in (features, before)
    )
    changed = [
        one.join(other, on=shown, how="anti", nulls_equal=True)["variable"] for one, other in ((now, then), (then, now))
    ]
    return sorted(set(pl.concat(changed)))


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
        Rows of contract EhrSeries (subject_id, hadm_id, stay_id, bin, feature_index, value), by stay within ranges of
        subjects; a stay without readings of fitted variables has none.
    """

    def cells(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        encode = _Encoder(vocabulary)
        for chunk in _chunks(readings, readings_per_chunk):
            part = encode(chunk)
            if predicate is not None:
                part = part.filter(predicate)
            if with_columns is not None:
                part = part.select(with_columns)
            if left is not None:
                part = part.head(left)
                left -= part.height
            yield part

    return register_io_source(cells, schema=CELL_SCHEMA)


class _Encoder:
    def __init__(self, vocabulary: SeriesVocabulary) -> None:
        features = vocabulary.features
        self.window_hours = vocabulary.settings.window_hours
        self.variables = features["variable"].unique().sort().to_list()
        self.frequent = features.filter("is_filled")["variable"].unique().sort().to_list()
        shown = set(features["statistic"].cast(pl.String))
        self.statistics = [name for name in ("min", "max", "mean") if name in shown]
        self.matcher = CellMatcher(features)

    def __call__(self, readings: pl.LazyFrame) -> pl.DataFrame:
        """Return the cells of a chunk of readings."""
        hourly = hourly_values(
            numbers_and_texts(readings, window_hours=self.window_hours).collect(engine="streaming"),
            variables=self.variables,
            frequent=self.frequent,
            statistics=self.statistics,
            window_hours=self.window_hours,
        )
        cells = encode_cells(hourly, self.matcher)
        patients = readings.select("subject_id", "hadm_id", "stay_id").unique().collect(engine="streaming")
        return (
            cells.join(patients, on="stay_id", how="left", maintain_order="left")
            .with_columns(pl.lit(1.0).alias("value"))
            .select(pl.col(name).cast(dtype) for name, dtype in CELL_SCHEMA.items())
        )


def _chunks(readings: pl.LazyFrame, readings_per_chunk: int) -> list[pl.LazyFrame]:
    """Split readings by ranges of subject_id: whole subjects, about so many readings each, and not too many stays."""
    each = pl.len() + pl.col("stay_id").n_unique() * (readings_per_chunk // STAYS_PER_CHUNK)
    subjects = readings.group_by("subject_id").agg(each.alias("size")).sort("subject_id").collect(engine="streaming")
    ranges = (
        subjects.with_columns(((pl.col("size").cum_sum() - 1) // readings_per_chunk).alias("chunk"))
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
    """What is known before features are dropped."""

    stay_ids: np.ndarray
    clean: list[pl.LazyFrame]
    variables: pl.DataFrame
    columns: list[SeriesColumn]
    settings: SeriesSettings

    def hourly(self) -> Iterator[Hourly]:
        """Return the hours of one chunk of stays after the other."""
        return _hourly_of(self.clean, self.variables, self.settings)


def _hourly_of(clean: list[pl.LazyFrame], variables: pl.DataFrame, settings: SeriesSettings) -> Iterator[Hourly]:
    for part in clean:
        yield hourly_values(
            part.collect(engine="streaming"),
            variables=variables["variable"].to_list(),
            frequent=variables.filter("is_frequent")["variable"].to_list(),
            statistics=settings.statistics,
            window_hours=settings.window_hours,
        )


def _fit(readings: pl.LazyFrame, stays: pl.LazyFrame, settings: SeriesSettings, readings_per_chunk: int) -> _Fitted:
    ids = stays.select("stay_id").unique().sort("stay_id").collect(engine="streaming")
    if ids.is_empty():
        raise ValueError("series: there is no stay to fit hourly features on; check ehr_stays and cohort_split")
    clean = [
        numbers_and_texts(chunk.join(ids.lazy(), on="stay_id", how="semi"), window_hours=settings.window_hours)
        for chunk in _chunks(readings, readings_per_chunk)
    ]
    variables = select_variables([count_readings(part) for part in clean], ids.height, settings)
    counts = merge_values([count_values(hourly) for hourly in _hourly_of(clean, variables, settings)])
    return _Fitted(
        stay_ids=ids["stay_id"].to_numpy(),
        clean=clean,
        variables=variables,
        columns=fit_columns(counts, set(variables.filter("is_frequent")["variable"])),
        settings=settings,
    )


def count_readings(clean: pl.LazyFrame) -> pl.DataFrame:
    """Count the stays, readings and texts of every variable, so that counts of different stays add up.

    Args:
        clean: output of `numbers_and_texts`.
    """
    of_stay = clean.group_by("stay_id", "variable").agg(
        pl.len().alias("num_readings"), pl.col("text").count().alias("num_texts")
    )
    return (
        of_stay.group_by("variable")
        .agg(
            pl.len().cast(pl.Int64).alias("num_stays"),
            pl.col("num_readings").sum().cast(pl.Int64),
            pl.col("num_texts").sum().cast(pl.Int64),
        )
        .collect(engine="streaming")
    )


def select_variables(counts: Sequence[pl.DataFrame], num_stays: int, settings: SeriesSettings) -> pl.DataFrame:
    """Return the variables that pass theta_1, sorted by name: variable, is_frequent (numeric, and read often).

    Args:
        counts: outputs of `count_readings` over disjoint stays.
        num_stays: stays the share is taken of, those without readings included.
        settings: theta_1 and theta_freq.
    """
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
