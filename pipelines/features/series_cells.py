"""Cells of hourly features: which feature shows an hour's value, and which features are worth keeping.

Features are told apart without holding their cells: every cell has a fingerprint, the product of a hash of its stay and
a hash of its hour, modulo 2^64, and a feature has the sum over its cells. Such sums add up over disjoint stays of any
shards; two features with the same sums (two lanes of 64 bits) have the same cells, and the sums of a
complement and of its feature add up to those of all cells. The sum over a run of hours is one product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.features.series_hours import Floats, Hourly, HourlyColumn, Ints

LANES = ("lane_0", "lane_1")
BIN_BITS = 8
FEW_RANGES = 12
MAX_BINS = 1 << BIN_BITS
Hashes = NDArray[np.uint64]
COUNT_SCHEMA = {
    "feature_index": pl.Int32,
    "num_cells": pl.Int64,
    "num_stays": pl.Int64,
    "num_full": pl.Int64,
    **dict.fromkeys(LANES, pl.UInt64),
}


@dataclass(frozen=True, kw_only=True)
class _Slots:
    """The features of one (variable, statistic): ranges of numbers, ascending, and texts.

    A number category is the range that holds this number alone, a mask the range around the 1 it shows.
    """

    low: Floats
    high: Floats
    holds_low: NDArray[np.bool_]
    index: Ints
    of_text: dict[str, int]

    def match(self, number: Floats) -> Ints:
        """Return the feature_index of each number, -1 where no range holds it."""
        if not len(self.index):
            return np.full(len(number), -1)
        place = self._first_not_below(number)
        if self._have_no_gaps():
            low, high = self.low[0], self.high[-1]
            inside = (number <= high) & ((number >= low) if self.holds_low[0] else (number > low))
        else:
            inside = (number <= self.high[place]) & (
                (number > self.low[place]) | (self.holds_low[place] & (number == self.low[place]))
            )
        return self.index[place] if inside.all() else np.where(inside, self.index[place], -1)

    def _first_not_below(self, number: Floats) -> Ints:
        """Return the first range whose high end is not below each number, the last one where all are."""
        if len(self.high) > FEW_RANGES:
            return np.minimum(np.searchsorted(self.high, number), len(self.high) - 1)
        place = np.zeros(
            len(number), dtype=np.int8
        )  # some comparisons of whole arrays cost less than a search for each
        for high in self.high[:-1]:
            place += number > high
        return place.astype(np.int64)

    def _have_no_gaps(self) -> bool:
        return bool((self.low[1:] == self.high[:-1]).all() and not self.holds_low[1:].any())


class CellMatcher:
    """Finds the features that hours show.

    Args:
        features: rows of contract SeriesFeatures, those dropped left out.
    """

    def __init__(self, features: pl.DataFrame) -> None:
        alone = (
            pl.when(pl.col("statistic").cast(pl.String) == "mask")
            .then(1.0)
            .otherwise(pl.col("category").cast(pl.Float64, strict=False))
        )
        ranges = features.select(
            "variable",
            pl.col("statistic").cast(pl.String),
            "category",
            pl.col("feature_index").cast(pl.Int64),
            pl.coalesce("low", alone).alias("low"),
            pl.coalesce("high", alone).alias("high"),
            pl.when(pl.col("low").is_null()).then(True).otherwise("low_inclusive").alias("holds_low"),
        )
        self._slots: dict[tuple[str, str], _Slots] = {}
        numbers = ranges.filter(pl.col("high").is_not_null()).sort("variable", "statistic", "high", "low")
        texts = ranges.filter(pl.col("high").is_null() & pl.col("category").is_not_null())
        of_texts: dict[tuple[str, str], dict[str, int]] = {}
        for variable, statistic, text, index in texts.select(
            "variable", "statistic", "category", "feature_index"
        ).iter_rows():
            of_texts.setdefault((variable, statistic), {})[text] = index
        arrays = {name: numbers[name].to_numpy() for name in ("low", "high", "holds_low", "feature_index")}
        runs = numbers.select(pl.struct("variable", "statistic").rle().alias("run")).unnest("run").unnest("value")
        start = 0
        for length, variable, statistic in runs.select("len", "variable", "statistic").iter_rows():
            low, high, holds_low, index = (array[start : start + length] for array in arrays.values())
            start += length
            self._slots[variable, statistic] = _Slots(
                low=low, high=high, holds_low=holds_low, index=index, of_text=of_texts.pop((variable, statistic), {})
            )
        empty, no = np.empty(0), np.empty(0, dtype=np.int64)
        for key, own in of_texts.items():
            self._slots[key] = _Slots(low=empty, high=empty, holds_low=no.astype(np.bool_), index=no, of_text=own)

    def runs(self, hourly: Hourly) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
        """Return, for each column and then for its texts, (feature_index, stay, first bin, hours) of its runs."""
        for column in hourly.columns:
            slots = self._slots.get((column.variable, column.statistic))
            if slots is None:
                continue
            index = slots.match(column.number)
            kept = np.flatnonzero(index >= 0)
            if len(kept) == len(index) and len(kept):
                yield index, column.stay, column.bin, column.num_hours
            elif len(kept):
                yield index[kept], column.stay[kept], column.bin[kept], column.num_hours[kept]
            if column.texts is not None and slots.of_text:
                yield from _text_runs(column, slots)


def _text_runs(column: HourlyColumn, slots: _Slots) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    assert column.texts is not None
    places = pl.DataFrame({"text": list(slots.of_text), "index": list(slots.of_text.values())})
    found = column.texts.join(places, on="text", how="inner")
    if found.height:
        ones = np.ones(found.height, dtype=np.int64)
        yield found["index"].to_numpy(), found["stay"].to_numpy(), found["bin"].to_numpy(), ones


def encode_cells(hourly: Hourly, matcher: CellMatcher) -> pl.DataFrame:
    """Return the non-zero cells, each once: stay (its position among the stays), bin and feature_index, in this order.

    They are sorted as one number each, of 32 bits where these hold it.
    """
    parts = list(matcher.runs(hourly))
    width = max((int(index.max()) for index, *_ in parts), default=0).bit_length()
    is_short = (len(hourly.stay_ids) * MAX_BINS << width) < 2**32
    dtype = np.dtype(np.uint32 if is_short else np.uint64)
    of_bin, of_stay = dtype.type(width), dtype.type(width + BIN_BITS)
    keys = [np.empty(0, dtype=dtype)]
    for index, stay, first, num_hours in parts:
        key = (stay.astype(dtype) << of_stay) | (first.astype(dtype) << of_bin) | index.astype(dtype)
        keys.append(key)
        if int(num_hours.max()) > 1:
            ends = np.cumsum(num_hours)
            later = np.arange(ends[-1]) - np.repeat(ends - num_hours, num_hours)
            keys[-1] = np.repeat(key, num_hours) + (later.astype(dtype) << of_bin)
    cells = np.sort(np.concatenate(keys))
    return pl.DataFrame(
        {
            "stay": (cells >> of_stay).astype(np.int32),
            "bin": ((cells >> of_bin) & dtype.type(MAX_BINS - 1)).astype(np.int16),
            "feature_index": (cells & dtype.type((1 << width) - 1)).astype(np.int32),
        }
    )


def count_cells(hourly: Hourly, features: pl.DataFrame, *, window_hours: int) -> pl.DataFrame:
    """Count the cells of every feature, so that counts of different stays add up.

    Args:
        hourly: hours of some stays.
        features: rows of contract SeriesFeatures.
        window_hours: cells of a stay that is always one.

    Returns:
        Columns of COUNT_SCHEMA: num_cells, num_stays (with a cell), num_full (stays with all cells) and the sums of the
        cells' fingerprints, per feature with a cell.
    """
    of_stays, up_to = _stay_hashes(hourly.stay_ids), _bin_sums()
    num_stays = len(hourly.stay_ids)
    sums = np.zeros((len(LANES), features.height), dtype=np.uint64)
    counts = np.zeros((3, features.height), dtype=np.int64)
    assert features["feature_index"].to_list() == list(range(features.height))
    for index, stay, first, num_hours in CellMatcher(features).runs(hourly):
        lowest = int(index.min())
        width = int(index.max()) - lowest + 1
        for lane in range(len(LANES)):
            cells = of_stays[lane][stay] * (up_to[lane][first + num_hours] - up_to[lane][first])
            np.add.at(sums[lane], index, cells)
        of_stay = np.bincount((index - lowest) * num_stays + stay, weights=num_hours, minlength=width * num_stays)
        table = of_stay.reshape(width, num_stays)
        for row, found in enumerate((table, table > 0, table == window_hours)):
            counts[row, lowest : lowest + width] += found.sum(axis=1).astype(np.int64)
    names = ("num_cells", "num_stays", "num_full")
    frame = pl.DataFrame(
        {
            "feature_index": features["feature_index"],
            **dict(zip(names, counts, strict=True)),
            **dict(zip(LANES, sums, strict=True)),
        },
        schema=COUNT_SCHEMA,
    )
    return frame.filter(pl.col("num_cells") > 0)


def merge_counts(counts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up outputs of `count_cells` over disjoint stays; fingerprints modulo 2^64."""
    together = pl.concat([pl.DataFrame(schema=COUNT_SCHEMA), *(part.select(*COUNT_SCHEMA) for part in counts)])
    index = together["feature_index"].to_numpy()
    size = int(index.max()) + 1 if len(index) else 0
    merged: dict[str, NDArray[np.generic]] = {"feature_index": np.arange(size, dtype=np.int32)}
    for name, dtype in list(COUNT_SCHEMA.items())[1:]:
        sums = np.zeros(size, dtype=np.uint64 if dtype == pl.UInt64 else np.int64)
        np.add.at(sums, index, together[name].to_numpy())
        merged[name] = sums
    return pl.DataFrame(merged, schema=COUNT_SCHEMA).filter(pl.col("num_cells") > 0)


def count_all(stay_ids: Ints, window_hours: int) -> tuple[int, tuple[int, ...]]:
    """Return the number of cells of all hours of the stays, and the sums of their fingerprints."""
    lanes = [
        int((of_stays * up_to[window_hours]).sum(dtype=np.uint64))
        for of_stays, up_to in zip(_stay_hashes(stay_ids), _bin_sums(), strict=True)
    ]
    return len(stay_ids) * window_hours, tuple(lanes)


def drop_features(
    features: pl.DataFrame, counts: pl.DataFrame, *, num_stays: int, whole: tuple[int, tuple[int, ...]], theta_2: float
) -> pl.DataFrame:
    """Drop features by theta_2 and those that equal or complement an earlier one; number the rest from 0.

    Args:
        features: every feature, output of `column_features`.
        counts: output of `merge_counts` over all stays.
        num_stays: stays of the fit; those without cells count in every share and in complements.
        whole: sum of `count_all` over all stays.
        theta_2: share of the stays that must have a one, and a zero.
    """
    kept = counts.filter(
        (pl.col("num_stays") / num_stays > theta_2) & ((num_stays - pl.col("num_full")) / num_stays > theta_2)
    )
    return _drop_aliases(
        features.join(kept.select("feature_index", "num_cells", *LANES), on="feature_index").sort("feature_index"),
        whole,
    )


def _drop_aliases(features: pl.DataFrame, whole: tuple[int, tuple[int, ...]]) -> pl.DataFrame:
    num_cells, lanes = whole
    first: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = {}
    aliases: dict[int, list[str]] = {}
    for index, name, cells, *sums in features.select("feature_index", "feature", "num_cells", *LANES).iter_rows():
        own = (cells, *sums)
        rest = ((total - part) % 2**64 for total, part in zip(lanes, sums, strict=True))
        same = min(own, (num_cells - cells, *rest))
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
        features.drop("num_cells", *LANES)
        .join(kept_aliases, on="feature_index")
        .sort("feature_index")
        .with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("feature_index"))
    )


def _hash(values: Hashes) -> Hashes:
    """Return splitmix64 of 64-bit numbers: every bit of the result depends on every bit of the number."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _stay_hashes(stay_ids: Ints) -> list[Hashes]:
    return [_hash(_hash(stay_ids.astype(np.uint64)) + np.uint64(lane)) for lane in range(len(LANES))]


def _bin_sums() -> list[Hashes]:
    """Return, per lane, the sums of the hashes of the first 0, 1, 2, ... hours."""
    bins = np.arange(MAX_BINS, dtype=np.uint64)
    return [
        np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(_hash(bins + np.uint64(2**40 * (lane + 1))))])
        for lane in range(len(LANES))
    ]
