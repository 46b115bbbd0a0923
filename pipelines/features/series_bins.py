"""Intervals and categories of hourly values: quintile edges from counts, and the names FIDDLE gives to features."""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from pipelines.features.series_hours import Hourly

NUM_QUANTILES = 5
MOST_EXACT_DIGITS = 22
"""10 to this power is the last that a float64 holds exactly."""
STATISTICS = ("mask", "value", "delta_time", "min", "max", "mean")


@dataclass(frozen=True, kw_only=True)
class SeriesColumn:
    """One (variable, statistic) as fitted.

    Attributes:
        variable: the variable.
        statistic: mask, value, delta_time, min, max or mean.
        is_filled: True for frequent variables.
        edges: distinct quintile edges, ascending; empty where there are at most two distinct numbers.
        categories: numbers (where there are at most two) and texts that become indicators, in their order.
    """

    variable: str
    statistic: str
    is_filled: bool
    edges: tuple[float, ...]
    categories: tuple[str, ...]


VALUE_SCHEMA = {
    "variable": pl.String,
    "statistic": pl.String,
    "number": pl.Float64,
    "text": pl.String,
    "num_hours": pl.Int64,
}


def count_values(hourly: Hourly) -> pl.DataFrame:
    """Count the hours that show each value, so that counts of different stays add up: columns of VALUE_SCHEMA."""
    found = [
        np.unique(
            column.number if (column.num_hours == 1).all() else np.repeat(column.number, column.num_hours),
            return_counts=True,
        )
        for column in hourly.columns
    ]
    places = np.repeat(np.arange(len(found)), [len(values) for values, _ in found])
    numbers = pl.DataFrame(
        {
            "place": places,
            "number": np.concatenate([np.empty(0), *(values for values, _ in found)]),
            "text": pl.repeat(None, len(places), dtype=pl.String, eager=True),
            "num_hours": np.concatenate([np.empty(0, dtype=np.int64), *(counts for _, counts in found)]),
        }
    )
    texts = [
        column.texts.select(pl.lit(place, dtype=pl.Int64).alias("place"), "text")
        for place, column in enumerate(hourly.columns)
        if column.texts is not None
    ]
    if texts:
        of_texts = pl.concat(texts).group_by("place", "text").agg(pl.len().cast(pl.Int64).alias("num_hours"))
        numbers = pl.concat(
            [
                numbers,
                of_texts.select("place", number=pl.lit(None, dtype=pl.Float64), text="text", num_hours="num_hours"),
            ]
        )
    names = pl.DataFrame(
        {
            "place": np.arange(len(found)),
            "variable": [column.variable for column in hourly.columns],
            "statistic": [column.statistic for column in hourly.columns],
        },
        schema_overrides={"variable": pl.String, "statistic": pl.String},
    )
    return numbers.join(names, on="place").select(*VALUE_SCHEMA)


def merge_values(counts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up outputs of `count_values` over disjoint stays, in one order."""
    value = ["variable", "statistic", "number", "text"]
    parts = [part.select(pl.col(name).cast(dtype) for name, dtype in VALUE_SCHEMA.items()) for part in counts]
    together = pl.concat([pl.DataFrame(schema=VALUE_SCHEMA), *parts])
    return together.group_by(value).agg(pl.col("num_hours").sum()).sort(value)


def fit_columns(counts: pl.DataFrame, frequent: Collection[str]) -> list[SeriesColumn]:
    """Fit edges and categories of every (variable, statistic), in the order of their features.

    Args:
        counts: output of `merge_values`.
        frequent: the variables that are summarised and filled.

    Returns:
        Columns in FIDDLE's order: masks, values of variables that are not frequent, delta times, values of frequent
        variables, then their statistics.
    """
    runs = counts.select(pl.struct("variable", "statistic").rle().alias("run")).unnest("run").unnest("value")
    is_text = counts["number"].is_null().to_numpy()
    numbers, hours = counts["number"].to_numpy(), counts["num_hours"].to_numpy()
    texts, num_texts = counts["text"].to_list(), np.append(0, np.cumsum(is_text)).tolist()
    columns, stop = [], 0
    for length, variable, statistic in runs.select("len", "variable", "statistic").iter_rows():
        start, stop = stop, stop + length
        middle = start + num_texts[stop] - num_texts[start]  # texts come before numbers, either in their order
        columns.append(
            _fit_column(
                (variable, statistic, variable in frequent),
                numbers[middle:stop],
                hours[middle:stop],
                texts[start:middle],
            )
        )
    return sorted(columns, key=_feature_order)


def _feature_order(column: SeriesColumn) -> tuple[int, str, int]:
    place = STATISTICS.index(column.statistic)
    if column.statistic == "mask":
        return (0, column.variable, 0)
    if column.statistic == "value":
        return (3 if column.is_filled else 1, column.variable, 0)
    if column.statistic == "delta_time":
        return (2, column.variable, 0)
    return (4, column.variable, place)


def _fit_column(
    key: tuple[str, str, bool], numbers: np.ndarray, num_hours: np.ndarray, texts: list[str]
) -> SeriesColumn:
    variable, statistic, is_filled = key
    edges: tuple[float, ...] = ()
    categories: list[str] = []
    if statistic != "mask" and len(numbers) > 2:
        edges, categories = quantile_edges(numbers, num_hours), texts
    elif statistic != "mask":
        categories = [number_text(value) for value in numbers.tolist()] + texts
        categories = sorted(categories) if statistic == "value" else categories
    return SeriesColumn(
        variable=variable, statistic=statistic, is_filled=is_filled, edges=edges, categories=tuple(categories)
    )


def quantile_edges(values: np.ndarray, counts: np.ndarray) -> tuple[float, ...]:
    """Return the distinct quintile edges of values given with their counts, equal to numpy's linear percentiles.

    Args:
        values: distinct finite numbers, ascending.
        counts: how often each occurs, positive.
    """
    ends = np.cumsum(counts)
    position = np.linspace(0, 100, NUM_QUANTILES + 1) / 100 * (ends[-1] - 1)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, ends[-1] - 1)
    low, high = (values[np.searchsorted(ends, place, side="right")] for place in (below, above))
    share = position - below
    # both forms as numpy does it: exact at either end
    edges = np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
    return tuple(float(edge) for edge in np.unique(edges))


def column_features(columns: list[SeriesColumn]) -> pl.DataFrame:
    """Return every feature of the fitted columns, before filters, as rows of contract SeriesCandidates."""
    rows: dict[str, list[object]] = defaultdict(list)
    for column in columns:
        for name, category, low, high, low_inclusive in _features_of(column):
            rows["feature"].append(name)
            rows["variable"].append(column.variable)
            rows["statistic"].append(column.statistic)
            rows["category"].append(category)
            rows["low"].append(low)
            rows["high"].append(high)
            rows["low_inclusive"].append(low_inclusive)
            rows["is_filled"].append(column.is_filled)
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "feature": pl.String,
        "variable": pl.String,
        "statistic": pl.Enum(["value", "mask", "delta_time", "min", "max", "mean"]),
        "category": pl.String,
        "low": pl.Float64,
        "high": pl.Float64,
        "low_inclusive": pl.Boolean,
        "is_filled": pl.Boolean,
    }
    frame = pl.DataFrame({name: rows[name] for name in schema}, schema=schema)
    return frame.select(pl.int_range(pl.len(), dtype=pl.Int32).alias("feature_index"), *schema)


def _features_of(column: SeriesColumn) -> list[tuple[str, str | None, float | None, float | None, bool]]:
    stem = f"{column.variable}_{column.statistic}"
    if column.statistic == "mask":
        return [(stem, None, None, None, False)]
    intervals = [
        (f"{stem}_{label}", None, low, high, first == 0)
        for first, (label, low, high) in enumerate(
            zip(interval_labels(column.edges), column.edges, column.edges[1:], strict=False)
        )
    ]
    return [*intervals, *((f"{stem}_{category}", category, None, None, False) for category in column.categories)]


def interval_labels(edges: tuple[float, ...]) -> list[str]:
    """Return labels like "(41.999, 73.0]": at least three digits, more where edges would coincide.

    The lower edge of the first interval is shown one last digit lower, because that interval includes it.
    """
    if not edges:
        return []
    precision = next((p for p in range(3, 20) if len({_rounded(edge, p) for edge in edges}) == len(edges)), 3)
    shown = [_rounded(edge, precision) for edge in edges]
    shown[0] -= 10**-precision
    return [f"({low}, {high}]" for low, high in pairwise(shown)]


def _rounded(value: float, precision: int) -> float:
    if not math.isfinite(value) or value == 0:
        return value
    fraction, whole = math.modf(value)
    digits = precision if whole != 0 else precision - 1 - int(np.floor(np.log10(abs(fraction))))
    if digits > MOST_EXACT_DIGITS:
        return float(np.around(value, digits))
    scale = 10.0**digits
    return float(np.rint(value * scale)) / scale  # as numpy.around does it, without making an array of one number


def number_text(value: float) -> str:
    """Return a number as a category: 6 instead of 6.0."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
