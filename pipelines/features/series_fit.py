"""Fitting hourly features: three rounds of counting readings, each of which adds up over any parts of the stays.

1. readings of every variable, for which variables are kept and which are frequent;
2. hours that show each value, for edges and categories;
3. cells of every candidate feature, for what theta_2 and equal features drop.

A round needs the whole result of the one before and nothing else of other stays, so counts of parts whose readings did
not change can be kept. What does not belong here: what an hour shows, and how counts of values become edges.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from pipelines.features.series import (
    READINGS_PER_CHUNK,
    SeriesSettings,
    SeriesVocabulary,
    shown_statistics,
    subject_chunks,
)
from pipelines.features.series_bins import SeriesColumn, column_features, count_values, fit_columns, merge_values
from pipelines.features.series_cells import count_all, count_cells, drop_features, merge_counts
from pipelines.features.series_hours import hourly_values, numbers_and_texts

COUNTS = ("num_stays", "num_readings", "num_texts")


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
    hours = settings.window_hours
    parts = clean_parts(readings, stays, window_hours=hours, readings_per_chunk=readings_per_chunk)
    candidates = column_features(_fit_columns(parts, stays, settings))
    counts = cell_counts(parts, candidates, window_hours=hours)
    features = fitted_features(candidates, counts, stays, window_hours=hours, theta_2=settings.theta_2)
    return SeriesVocabulary(features=features, settings=settings)


def fitted_columns(
    readings: pl.LazyFrame, stays: pl.LazyFrame, settings: SeriesSettings
) -> dict[tuple[str, str], SeriesColumn]:
    """Return edges and categories per (variable, statistic) as `fit_series` fits them, before features are dropped."""
    parts = clean_parts(readings, stays, window_hours=settings.window_hours)
    return {(column.variable, column.statistic): column for column in _fit_columns(parts, stays, settings)}


def _fit_columns(parts: Sequence[pl.LazyFrame], stays: pl.LazyFrame, settings: SeriesSettings) -> list[SeriesColumn]:
    variables = select_variables(
        [variable_counts(parts)],
        num_stays=_ids(stays).len(),
        theta_1=settings.theta_1,
        theta_freq=settings.theta_freq,
        window_hours=settings.window_hours,
    )
    counts = value_counts(parts, variables, statistics=settings.statistics, window_hours=settings.window_hours)
    return candidate_columns([counts], variables)


def clean_parts(
    readings: pl.LazyFrame, stays: pl.LazyFrame, *, window_hours: int, readings_per_chunk: int = READINGS_PER_CHUNK
) -> list[pl.LazyFrame]:
    """Return the numbers and texts of the given stays, in parts of whole subjects that fit into memory.

    Args:
        readings: rows of contract EhrReadings.
        stays: rows with stay_id; readings of other stays are left out.
        window_hours: hours of a stay that are read.
        readings_per_chunk: about how many readings a part has.
    """
    of_the_fit = pl.col("stay_id").is_in(_ids(stays).implode())  # a join would bring readings out of their order
    return [
        numbers_and_texts(chunk.filter(of_the_fit), window_hours=window_hours)
        for chunk in subject_chunks(readings, readings_per_chunk)
    ]


def variable_counts(parts: Sequence[pl.LazyFrame]) -> pl.DataFrame:
    """Count the stays, readings and texts of every variable: the first round.

    Args:
        parts: output of `clean_parts`.

    Returns:
        variable, num_stays, num_readings, num_texts, sorted by variable.
    """
    counts = pl.concat([_count_readings(part) for part in parts])
    return counts.group_by("variable").agg(pl.col(COUNTS).sum()).sort("variable")


def _count_readings(clean: pl.LazyFrame) -> pl.DataFrame:
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


def select_variables(
    counts: Sequence[pl.DataFrame], *, num_stays: int, theta_1: float, theta_freq: float, window_hours: int
) -> pl.DataFrame:
    """Return the variables that pass theta_1, sorted by name: variable, is_frequent (numeric, and read often).

    Args:
        counts: outputs of `variable_counts` over disjoint stays.
        num_stays: stays the share is taken of, those without readings included.
        theta_1: share of the stays that a variable must be read in more than.
        theta_freq: readings per hour and stay from which a variable is frequent.
        window_hours: hours of a stay.

    Raises:
        ValueError: there is no stay.
    """
    if not num_stays:
        raise ValueError("series: there is no stay to fit hourly features on; check ehr_stays and cohort_split")
    is_frequent = (pl.col("num_texts") == 0) & (pl.col("num_readings") / num_stays >= theta_freq * window_hours)
    return (
        pl.concat([part.select("variable", *COUNTS) for part in counts])
        .group_by("variable")
        .agg(pl.all().sum())
        .filter(pl.col("num_stays") / num_stays > theta_1)
        .select("variable", is_frequent.alias("is_frequent"))
        .sort("variable")
    )


def value_counts(
    parts: Sequence[pl.LazyFrame], variables: pl.DataFrame, *, statistics: Sequence[str], window_hours: int
) -> pl.DataFrame:
    """Count the hours that show each value: the second round.

    Args:
        parts: output of `clean_parts`.
        variables: output of `select_variables`.
        statistics: what frequent variables show beside their last value.
        window_hours: hours of a stay.

    Returns:
        variable, statistic, number, text, num_hours, as `merge_values` gives them.
    """
    names = variables["variable"].to_list()
    frequent = variables.filter("is_frequent")["variable"].to_list()
    return merge_values(
        [
            count_values(
                hourly_values(
                    part, variables=names, frequent=frequent, statistics=statistics, window_hours=window_hours
                )
            )
            for part in _collected(parts)
        ]
    )


def candidate_columns(counts: Sequence[pl.DataFrame], variables: pl.DataFrame) -> list[SeriesColumn]:
    """Return edges and categories of every (variable, statistic), in the order of their features.

    Args:
        counts: outputs of `value_counts` over disjoint stays.
        variables: output of `select_variables`.
    """
    return fit_columns(merge_values(counts), set(variables.filter("is_frequent")["variable"]))


def cell_counts(parts: Sequence[pl.LazyFrame], candidates: pl.DataFrame, *, window_hours: int) -> pl.DataFrame:
    """Count the cells of every candidate feature: the third round.

    Args:
        parts: output of `clean_parts`.
        candidates: output of `column_features`.
        window_hours: hours of a stay.

    Returns:
        Counts and sums of fingerprints as `merge_counts` gives them.
    """
    names = candidates["variable"].unique().sort().to_list()
    frequent = candidates.filter("is_filled")["variable"].unique().sort().to_list()
    statistics = shown_statistics(candidates)
    return merge_counts(
        [
            count_cells(
                hourly_values(
                    part, variables=names, frequent=frequent, statistics=statistics, window_hours=window_hours
                ),
                candidates,
                window_hours=window_hours,
            )
            for part in _collected(parts)
        ]
    )


def fitted_features(
    candidates: pl.DataFrame, counts: pl.DataFrame, stays: pl.LazyFrame, *, window_hours: int, theta_2: float
) -> pl.DataFrame:
    """Return the candidates that theta_2 and equal features leave, as rows of contract SeriesFeatures.

    Args:
        candidates: output of `column_features`.
        counts: outputs of `cell_counts` over disjoint stays, one below the other.
        stays: all stays of the fit, rows with stay_id.
        window_hours: hours of a stay.
        theta_2: share of the stays that must have a one, and a zero.
    """
    ids = _ids(stays)
    whole = count_all(ids.to_numpy(), window_hours)
    return drop_features(candidates, merge_counts([counts]), num_stays=ids.len(), whole=whole, theta_2=theta_2)


def _ids(stays: pl.LazyFrame) -> pl.Series:
    return stays.select("stay_id").unique().sort("stay_id").collect(engine="streaming")["stay_id"]


def _collected(parts: Sequence[pl.LazyFrame]) -> Iterator[pl.DataFrame]:
    for part in parts:
        yield part.collect(engine="streaming")


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
