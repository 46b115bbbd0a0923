"""Hourly features of ICU stays with FIDDLE's meaning, fitted on some stays and encoded for any.

Tang et al., "Democratizing EHR analyses with FIDDLE", JAMIA 2020: rare variables are dropped (theta_1), variables with
about one reading an hour (theta_freq) are filled forward and summarised, all others show the last reading of the hour;
numbers become quintile indicators, texts become category indicators; nearly constant features (theta_2), and features
that equal or complement an earlier one, are dropped.

Nothing is ever dense: a cell that is not listed is zero. Hours are right-open. Differences from FIDDLE, by intent:
readings of one variable at the same moment are no error (the largest number counts, and every text), and features are
compared cell by cell instead of by a rounded correlation. The hour itself (which reading stands for it, filling) is in
`series_hours`, intervals and names are in `series_bins`, cells and what is dropped in `series_cells`, how they are
fitted in `series_fit`. Readings are read in chunks of whole subjects, so memory does not grow with their number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl
from polars.io.plugins import register_io_source

from pipelines.features.series_cells import CellMatcher, encode_cells
from pipelines.features.series_hours import hourly_values, numbers_and_texts

READINGS_PER_CHUNK = 1_000_000
STAYS_PER_CHUNK = 8_192
MAX_WINDOW_HOURS = 255
PATIENT = ("subject_id", "hadm_id", "stay_id")
NEEDED = (*PATIENT, "variable", "offset_hours", "value", "value_number")
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
        Rows of contract EhrSeries (subject_id, hadm_id, stay_id, bin, feature_index, value), stay after stay as the
        readings have them; a stay without readings of fitted variables has none.
    """

    def cells(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        encode = _Encoder(vocabulary)
        for chunk in subject_chunks(readings, readings_per_chunk):
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
        self.statistics = shown_statistics(features)
        self.matcher = CellMatcher(features)

    def __call__(self, readings: pl.LazyFrame) -> pl.DataFrame:
        """Return the cells of a chunk of readings."""
        rows = readings.select(NEEDED).collect(engine="streaming")
        hourly = hourly_values(
            numbers_and_texts(rows.lazy(), window_hours=self.window_hours).collect(),
            variables=self.variables,
            frequent=self.frequent,
            statistics=self.statistics,
            window_hours=self.window_hours,
        )
        cells = encode_cells(hourly, self.matcher)
        stays = pl.DataFrame({"stay_id": hourly.stay_ids}).join(
            rows.select(PATIENT).unique("stay_id"), on="stay_id", how="left", maintain_order="left"
        )
        of_cell = stays.select(PATIENT)[cells["stay"]]
        return of_cell.with_columns(cells["bin"], cells["feature_index"], pl.lit(1, pl.Float32).alias("value"))


def shown_statistics(features: pl.DataFrame) -> list[str]:
    """Return which of min, max and mean features show."""
    shown = set(features["statistic"].cast(pl.String))
    return [name for name in ("min", "max", "mean") if name in shown]


def subject_chunks(readings: pl.LazyFrame, readings_per_chunk: int) -> list[pl.LazyFrame]:
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
