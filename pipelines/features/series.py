"""Hourly features of ICU stays with FIDDLE's meaning, fitted on some stays and encoded for any.

Tang et al., "Democratizing EHR analyses with FIDDLE", JAMIA 2020: rare variables are dropped (theta_1), variables with
about one reading an hour (theta_freq) are filled forward and summarised, all others show the last reading of the hour;
numbers become quintile indicators, texts become category indicators; nearly constant features (theta_2), and features
that equal or complement an earlier one, are dropped.

Nothing is ever dense: a cell that is not listed is zero. Hours are right-open. Differences from FIDDLE, by intent:
readings of one variable at the same moment are no error (the largest number counts, and every text), and features are
compared cell by cell instead of by a rounded correlation. The hour itself (which reading stands for it, filling) is in
`series_hours`, intervals and names are in `series_bins`.
"""

from dataclasses import dataclass, field

import polars as pl

from pipelines.features.series_bins import NUM_QUANTILES, SeriesColumn, column_features, fit_columns
from pipelines.features.series_hours import hourly_values, numbers_and_texts

NUM_LANES = 4
MAX_RANGES = NUM_QUANTILES
MAX_WINDOW_HOURS = 255


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


def fit_series(readings: pl.LazyFrame, stays: pl.LazyFrame, settings: SeriesSettings) -> SeriesVocabulary:
    """Fit variables, intervals, categories and the filtered list of features on the given stays.

    Args:
        readings: rows of contract EhrReadings; those of other stays are ignored.
        stays: rows with stay_id; a stay without readings counts in every share.
        settings: thresholds and statistics.

    Returns:
        The vocabulary; it is empty if no variable passes theta_1.

    Raises:
        ValueError: `stays` is empty.
    """
    fitted = _fit(readings, stays, settings)
    every_feature = column_features(fitted.columns)
    cells = _match_cells(fitted.hourly, every_feature)
    kept = _filter_features(every_feature, cells, fitted.stay_ids, fitted.num_stays, settings)
    return SeriesVocabulary(features=kept, settings=settings)


def fitted_columns(
    readings: pl.LazyFrame, stays: pl.LazyFrame, settings: SeriesSettings
) -> dict[tuple[str, str], SeriesColumn]:
    """Return edges and categories per (variable, statistic) as `fit_series` fits them, before features are dropped."""
    return {(column.variable, column.statistic): column for column in _fit(readings, stays, settings).columns}


def encode_series(readings: pl.LazyFrame, vocabulary: SeriesVocabulary) -> pl.LazyFrame:
    """Encode readings as the non-zero cells of hourly features.

    A number outside the fitted range, and a text that was not fitted, give no cell.

    Args:
        readings: rows of contract EhrReadings, of any stays.
        vocabulary: fitted features.

    Returns:
        Rows of contract EhrSeries (subject_id, hadm_id, stay_id, bin, feature_index, value) in no order; a stay without
        readings of fitted variables has none.
    """
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
    cells = _match_cells(hourly, features).join(patients, on="stay_id", how="left")
    one = pl.lit(1.0, dtype=pl.Float32).alias("value")
    return cells.select("subject_id", "hadm_id", "stay_id", "bin", "feature_index", one)


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    stay_ids: pl.LazyFrame
    num_stays: int
    hourly: pl.LazyFrame
    columns: list[SeriesColumn]


def _fit(readings: pl.LazyFrame, stays: pl.LazyFrame, settings: SeriesSettings) -> _Fitted:
    ids = stays.select("stay_id").unique().collect(engine="streaming")
    if ids.is_empty():
        raise ValueError("series: there is no stay to fit hourly features on; check ehr_stays and cohort_split")
    stay_ids = ids.lazy()
    clean = numbers_and_texts(readings, window_hours=settings.window_hours).join(stay_ids, on="stay_id", how="semi")
    variables = select_variables(clean, ids.height, settings)
    hourly = hourly_values(
        clean,
        variables=variables["variable"],
        frequent=variables.filter("is_frequent")["variable"].to_list(),
        statistics=settings.statistics,
        window_hours=settings.window_hours,
    )
    return _Fitted(stay_ids=stay_ids, num_stays=ids.height, hourly=hourly, columns=fit_columns(hourly, variables))


def select_variables(clean: pl.LazyFrame, num_stays: int, settings: SeriesSettings) -> pl.DataFrame:
    """Return the variables that pass theta_1, sorted by name: variable, is_numeric, is_frequent.

    Args:
        clean: output of `numbers_and_texts`.
        num_stays: stays the share is taken of, those without readings included.
        settings: theta_1 and theta_freq.
    """
    is_numeric = pl.col("num_texts") == 0
    return (
        clean.group_by("variable")
        .agg(
            pl.col("stay_id").n_unique().alias("num_stays"),
            pl.len().alias("num_readings"),
            pl.col("text").count().alias("num_texts"),
        )
        .filter(pl.col("num_stays") / num_stays > settings.theta_1)
        .select(
            "variable",
            is_numeric.alias("is_numeric"),
            (is_numeric & (pl.col("num_readings") / num_stays >= settings.theta_freq * settings.window_hours)).alias(
                "is_frequent"
            ),
        )
        .sort("variable")
        .collect(engine="streaming")
    )


def _match_cells(hourly: pl.LazyFrame, features: pl.DataFrame) -> pl.LazyFrame:
    """Return the (stay_id, bin, feature_index) whose hourly value a feature names, each once."""
    on = ["variable", "statistic"]
    keys = features.with_columns(pl.col("statistic").cast(pl.String))
    texts = keys.filter(pl.col("category").is_not_null()).select(
        *on, pl.col("category").alias("text"), pl.col("feature_index").alias("of_text")
    )
    slots = range(MAX_RANGES)
    of_number = pl.coalesce(
        pl.when(
            (pl.col("number") <= pl.col(f"high_{k}"))
            & ((pl.col("number") > pl.col(f"low_{k}")) | (pl.col("number") == pl.col(f"from_{k}")))
        ).then(f"index_{k}")
        for k in slots
    )
    return (
        hourly.join(_ranges(keys).lazy(), on=on, how="left")
        .join(texts.lazy(), on=[*on, "text"], how="left")
        .select("stay_id", "bin", pl.coalesce(of_number, "of_text").alias("feature_index"))
        .filter(pl.col("feature_index").is_not_null())
    )


def _ranges(keys: pl.DataFrame) -> pl.DataFrame:
    """Return one row per variable and statistic with up to five ranges of numbers beside each other.

    A number category is the range that holds this number alone, a mask the range around the 1 it shows.
    """
    alone = (
        pl.when(pl.col("statistic") == "mask").then(1.0).otherwise(pl.col("category").cast(pl.Float64, strict=False))
    )
    ranges = (
        keys.with_columns(alone.alias("alone"))
        .select(
            "variable",
            "statistic",
            pl.col("feature_index").alias("index"),
            pl.coalesce("low", "alone").alias("low"),
            pl.coalesce("high", "alone").alias("high"),
            pl.when("low_inclusive").then("low").otherwise("alone").alias("from"),
        )
        .filter(pl.col("high").is_not_null())
        .sort("index")
        .group_by("variable", "statistic", maintain_order=True)
        .agg("index", "low", "high", "from")
    )
    assert ranges.is_empty() or ranges["index"].list.len().max() <= MAX_RANGES  # type: ignore[operator]
    return ranges.select(
        "variable",
        "statistic",
        *(
            pl.col(name).list.get(k, null_on_oob=True).alias(f"{name}_{k}")
            for k in range(MAX_RANGES)
            for name in ("index", "low", "high", "from")
        ),
    )


def _filter_features(
    features: pl.DataFrame, cells: pl.LazyFrame, stay_ids: pl.LazyFrame, num_stays: int, settings: SeriesSettings
) -> pl.DataFrame:
    """Drop features by theta_2 and those that equal or complement an earlier one; number the rest from 0."""
    if features.is_empty():
        return features
    lanes = [f"lane_{k}" for k in range(NUM_LANES)]
    per_feature = (
        cells.with_columns(_lanes())
        .group_by("feature_index", "stay_id")
        .agg(pl.len().alias("num_cells"), pl.col(lanes).sum())
        .group_by("feature_index")
        .agg(
            pl.len().alias("num_stays"),
            (pl.col("num_cells") == settings.window_hours).sum().alias("num_full"),
            pl.col("num_cells").cast(pl.UInt64).sum(),
            pl.col(lanes).sum(),
        )
        .filter(
            (pl.col("num_stays") / num_stays > settings.theta_2)
            & ((num_stays - pl.col("num_full")) / num_stays > settings.theta_2)
        )
        .collect(engine="streaming")
    )
    grid = stay_ids.join(
        pl.LazyFrame({"bin": range(settings.window_hours)}, schema={"bin": pl.Int16}), how="cross"
    ).with_columns(_lanes())
    whole = grid.select(pl.len().cast(pl.UInt64).alias("num_cells"), pl.col(lanes).sum()).collect(engine="streaming")
    return _drop_aliases(features.join(per_feature, on="feature_index").sort("feature_index"), whole.row(0), lanes)


def _lanes() -> list[pl.Expr]:
    """Return expressions of a cell's fingerprint: sums of them over a feature's cells tell equal features."""
    cell = pl.col("stay_id") * 1024 + pl.col("bin").cast(pl.Int64)
    hashes = [cell.hash(seed) for seed in range(NUM_LANES // 2)]
    low = [(value & 0xFFFFFFFF) for value in hashes]
    high = [(value // 2**32) for value in hashes]
    return [value.cast(pl.UInt64).alias(f"lane_{k}") for k, value in enumerate([*low, *high])]


def _drop_aliases(features: pl.DataFrame, whole: tuple[int, ...], lanes: list[str]) -> pl.DataFrame:
    first: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = {}
    aliases: dict[int, list[str]] = {}
    for index, name, *fingerprint in features.select("feature_index", "feature", "num_cells", *lanes).iter_rows():
        own = tuple(fingerprint)
        other = tuple(total - part for total, part in zip(whole, own, strict=True))
        same = min(own, other)
        if same not in first:
            first[same] = (index, own)
            aliases[index] = []
        else:
            kept, kept_own = first[same]
            aliases[kept].append(name if own == kept_own else f"~{{{name}}}")
    kept_aliases = pl.DataFrame(
        {"feature_index": list(aliases), "aliases": list(aliases.values())},
        schema={"feature_index": pl.Int32, "aliases": pl.List(pl.String)},
    )
    return (
        features.drop("num_cells", "num_stays", "num_full", "aliases", *lanes)
        .join(kept_aliases, on="feature_index")
        .sort("feature_index")
        .with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("feature_index"))
    )
