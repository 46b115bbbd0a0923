"""The hour of a stay: which reading stands for it, and what frequent variables show where there is none.

Hours that show the same are held as one run (its first bin and how many), so nothing is filled before a cell is made.
Arrays of readings and runs are plain numpy, sorted by variable, stay and hour: one pass finds the last reading of every
hour, whatever the number of variables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

SCALE = 1_000_000
MOST_SCALED = 1e9
"""Numbers up to this size are averaged as integers of a millionth; larger ones by exact float sums."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HourlyColumn:
    """What one (variable, statistic) shows in the hours of some stays: runs of equal hours.

    Attributes:
        variable: the variable.
        statistic: mask, value, delta_time, min, max or mean.
        stay: position of the stay among `Hourly.stay_ids`, int64 per run.
        bin: first hour of the run, int64.
        num_hours: hours of the run, int64.
        number: what they show, float64.
        texts: the hours that show text instead: columns stay, bin, text; None where no hour does.
    """

    variable: str
    statistic: str
    stay: Ints
    bin: Ints
    num_hours: Ints
    number: Floats
    texts: pl.DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class Hourly:
    """The hours of some stays.

    Attributes:
        stay_ids: the stays that have a reading of any variable, in the order in which they came, int64.
        columns: what their wanted variables show.
    """

    stay_ids: Ints
    columns: list[HourlyColumn]


def numbers_and_texts(readings: pl.LazyFrame, *, window_hours: int) -> pl.LazyFrame:
    """Return the readings inside the window as (stay_id, variable, offset_hours, number, text).

    A reading is a number if `value_number` is given or `value` parses as one, else a text; readings that are neither,
    and numbers that are not finite, are left out.

    Args:
        readings: rows of contract EhrReadings.
        window_hours: hours that are read, from 0 and right-open.
    """
    # only where there is no number a text is looked at: parsing costs more than all the rest
    given = pl.when(pl.col("value_number").is_null()).then("value")
    number = pl.coalesce("value_number", pl.col("_given").str.strip_chars().cast(pl.Float64, strict=False))
    return (
        readings.filter((pl.col("offset_hours") >= 0) & (pl.col("offset_hours") < window_hours))
        .select("stay_id", "variable", "offset_hours", "value_number", given.alias("_given"))
        .select(
            "stay_id",
            "variable",
            "offset_hours",
            pl.when(number.is_finite()).then(number + 0.0).alias("number"),
            pl.when(number.is_null() & (pl.col("_given").str.strip_chars() != "")).then("_given").alias("text"),
        )
        .filter(pl.col("number").is_not_null() | pl.col("text").is_not_null())
    )


def hourly_values(
    clean: pl.DataFrame, *, variables: Sequence[str], frequent: Sequence[str], statistics: Sequence[str],
    window_hours: int,
) -> Hourly:  # fmt: skip
    """Return what each hour shows.

    Variables that are not frequent show their last reading of the hour (`value`). Frequent ones show `mask` (1) where
    there is a reading, `delta_time` (hours since the last one; 0 before the first), and, from the first reading on,
    `value` and the statistics, where an hour without reading repeats the last one before it.

    Args:
        clean: output of `numbers_and_texts`; a stay counts as soon as it has a reading of any variable.
        variables: the variables that are wanted.
        frequent: those of them, numeric, that are summarised and filled.
        statistics: of min, max and mean.
        window_hours: number of hours.
    """
    names = [*sorted(frequent), *sorted(set(variables) - set(frequent))]
    stay_ids, rows = _sorted_readings(clean, names, len(frequent))
    hours = _hours_of(rows)
    largest = _largest_of_last(rows, hours)
    columns = _rare_columns(rows, hours, largest, names, len(frequent))
    if frequent:
        summarised = names[: len(frequent)]
        columns += _frequent_columns(rows, hours, largest, summarised, statistics, len(stay_ids), window_hours)
    return Hourly(stay_ids=stay_ids, columns=columns)


@dataclass(frozen=True, kw_only=True)
class _Readings:
    """Readings sorted by variable (its position), stay and moment; codes are as narrow as they can be."""

    variable: NDArray[np.integer]
    stay: NDArray[np.int32]
    offset: Floats
    bin: NDArray[np.int16]
    number: Floats
    text: pl.Series
    has_text: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class _Hours:
    """Groups of readings of one variable, stay and hour: where they start, and which hold for the hour."""

    starts: Ints
    lengths: Ints
    is_last: NDArray[np.bool_]


def _sorted_readings(clean: pl.DataFrame, names: list[str], num_frequent: int) -> tuple[Ints, _Readings]:
    stay_runs = clean["stay_id"].rle().struct.unnest()
    stay_ids, of_run = _in_order_of_appearance(stay_runs["value"].to_numpy())
    stay = np.repeat(of_run, stay_runs["len"].to_numpy())
    runs = clean["variable"].rle().struct.unnest()
    places = pl.DataFrame(
        {"value": names, "place": np.arange(len(names))}, schema={"value": pl.String, "place": pl.Int64}
    )
    place = runs.join(places, on="value", how="left", maintain_order="left")["place"].fill_null(-1).to_numpy()
    variable = np.repeat(_narrow(place, len(names)), runs["len"].to_numpy())
    has_number = clean["number"].is_not_null().to_numpy()
    chosen = np.flatnonzero((variable >= num_frequent) | ((variable >= 0) & has_number))
    offset = clean["offset_hours"].to_numpy()
    order = chosen[np.argsort(variable[chosen], kind="stable")]
    keys = variable[order], stay[order], offset[order]
    if not _is_sorted(*keys):
        order = chosen[np.lexsort((offset[chosen], stay[chosen], variable[chosen]))]
        keys = variable[order], stay[order], offset[order]
    text = clean["text"]
    return stay_ids, _Readings(
        variable=keys[0],
        stay=keys[1],
        offset=keys[2],
        bin=keys[2].astype(np.int16),
        number=clean["number"].fill_null(float("nan")).to_numpy()[order],
        text=text.gather(order)
        if text.null_count() < len(text)
        else pl.repeat(None, len(order), dtype=pl.String, eager=True),
        has_text=~has_number[order],
    )


def _in_order_of_appearance(values: Ints) -> tuple[Ints, NDArray[np.int32]]:
    """Return the distinct values, and for each value its place among them."""
    distinct, first, place = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return distinct[order], rank[place]


def _narrow(codes: Ints, number: int) -> NDArray[np.integer]:
    """Return codes as 16-bit integers where they fit: numpy sorts those by radix."""
    return codes.astype(np.int16) if number < 2**15 else codes


def _is_sorted(variable: NDArray[np.integer], stay: NDArray[np.int32], offset: Floats) -> bool:
    """Return whether rows that stand in the order of their variables also stand by stay and moment."""
    fall = (stay[1:] < stay[:-1]) | ((stay[1:] == stay[:-1]) & (offset[1:] < offset[:-1]))
    return not (fall & (variable[1:] == variable[:-1])).any()


def _starts(*keys: NDArray[np.integer]) -> Ints:
    """Return where a new combination of keys begins."""
    if not len(keys[0]):
        return np.empty(0, dtype=np.int64)
    changes = np.zeros(len(keys[0]) - 1, dtype=np.bool_)
    for key in keys:
        changes |= key[1:] != key[:-1]
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _hours_of(rows: _Readings) -> _Hours:
    starts = _starts(rows.variable, rows.stay, rows.bin)
    lengths = np.diff(np.append(starts, len(rows.variable)))
    last = rows.offset[starts + lengths - 1]
    return _Hours(starts=starts, lengths=lengths, is_last=rows.offset == np.repeat(last, lengths))


def _largest_of_last(rows: _Readings, hours: _Hours) -> tuple[Ints, Floats]:
    """Return the hours (first row) whose last moment has numbers, and the largest of these numbers."""
    kept = np.flatnonzero(hours.is_last & ~rows.has_text)
    group = np.repeat(hours.starts, hours.lengths)[kept]
    starts = _starts(group)
    return group[starts], np.maximum.reduceat(rows.number[kept], starts) if len(starts) else np.empty(0)


def _rare_columns(
    rows: _Readings, hours: _Hours, largest: tuple[Ints, Floats], names: list[str], num_frequent: int
) -> list[HourlyColumn]:
    first, number = largest
    variable, stay, hour = rows.variable[first], rows.stay[first].astype(np.int64), rows.bin[first].astype(np.int64)
    cuts = np.searchsorted(variable, np.arange(len(names) + 1))
    texts = _texts_of_last(rows, hours)
    one = np.ones(len(first), dtype=np.int64)
    columns = []
    for place in range(num_frequent, len(names)):
        part = slice(cuts[place], cuts[place + 1])
        own = texts.get(place)
        if cuts[place] < cuts[place + 1] or own is not None:
            columns.append(
                HourlyColumn(
                    variable=names[place], statistic="value", stay=stay[part], bin=hour[part], num_hours=one[part],
                    number=number[part], texts=own,
                )
            )  # fmt: skip
    return columns


def _texts_of_last(rows: _Readings, hours: _Hours) -> dict[int, pl.DataFrame]:
    kept = np.flatnonzero(hours.is_last & rows.has_text)
    if not len(kept):
        return {}
    frame = pl.DataFrame(
        {
            "place": rows.variable[kept],
            "stay": rows.stay[kept].astype(np.int64),
            "bin": rows.bin[kept].astype(np.int64),
            "text": rows.text.gather(kept),
        }
    )
    parts = frame.unique(maintain_order=True).partition_by("place", include_key=False, as_dict=True)
    return {int(place): part for (place,), part in parts.items()}


def _frequent_columns(
    rows: _Readings, hours: _Hours, shown_last: tuple[Ints, Floats], names: list[str], statistics: Sequence[str],
    num_stays: int, window_hours: int,
) -> list[HourlyColumn]:  # fmt: skip
    first, largest = shown_last
    num_groups = int(np.searchsorted(rows.variable[hours.starts], len(names)))
    num_rows = int(np.searchsorted(rows.variable, len(names)))
    assert num_groups == 0 or (first[:num_groups] == hours.starts[:num_groups]).all()
    starts, number = hours.starts[:num_groups], rows.number[:num_rows]
    variable, stay, hour = rows.variable[starts], rows.stay[starts].astype(np.int64), rows.bin[starts].astype(np.int64)
    goes_on = np.append((variable[1:] == variable[:-1]) & (stay[1:] == stay[:-1]), False)[:num_groups]
    ends = np.where(goes_on, np.append(hour[1:], 0)[:num_groups], window_hours)
    num_hours = ends - hour
    largest = largest[:num_groups]
    summaries = {
        "min": lambda: np.minimum.reduceat(number, starts),
        "max": lambda: np.maximum.reduceat(number, starts),
        "mean": lambda: _means(number, starts, hours.lengths[:num_groups]),
    }
    shown = {statistic: summaries[statistic]() if num_groups else largest for statistic in statistics}
    cuts = np.searchsorted(variable, np.arange(len(names) + 1))
    columns = []
    for place, name in enumerate(names):
        part = slice(cuts[place], cuts[place + 1])
        runs = (stay[part], hour[part], num_hours[part])
        ones = np.ones(len(runs[0]), dtype=np.int64)
        columns.append(_column(name, "mask", runs[0], runs[1], ones, ones.astype(np.float64)))
        columns.append(_delta_times(name, *runs, num_stays, window_hours))
        columns.append(_column(name, "value", *runs, largest[part]))
        columns += [_statistic(name, statistic, *runs, largest[part], shown[statistic][part]) for statistic in shown]
    return columns


def _column(name: str, statistic: str, stay: Ints, hour: Ints, num_hours: Ints, number: Floats) -> HourlyColumn:
    return HourlyColumn(variable=name, statistic=statistic, stay=stay, bin=hour, num_hours=num_hours, number=number)


def _statistic(
    name: str, statistic: str, stay: Ints, hour: Ints, num_hours: Ints, value: Floats, summary: Floats
) -> HourlyColumn:
    """Return the summary of the hours that have readings, and the last value in those after them."""
    after = np.flatnonzero(num_hours > 1)
    return _column(
        name,
        statistic,
        np.concatenate([stay, stay[after]]),
        np.concatenate([hour, hour[after] + 1]),
        np.concatenate([np.ones(len(stay), dtype=np.int64), num_hours[after] - 1]),
        np.concatenate([summary, value[after]]),
    )


def _delta_times(name: str, stay: Ints, hour: Ints, num_hours: Ints, num_stays: int, window_hours: int) -> HourlyColumn:
    """Return hours since the last reading: 0 in its hour and before the first one, also of stays without any."""
    since = np.arange(int(num_hours.sum())) - np.repeat(np.cumsum(num_hours) - num_hours, num_hours)
    first = _starts(stay)
    before = np.full(num_stays, window_hours)
    before[stay[first]] = hour[first]
    waiting = np.flatnonzero(before)
    return _column(
        name,
        "delta_time",
        np.concatenate([np.repeat(stay, num_hours), waiting]),
        np.concatenate([np.repeat(hour, num_hours) + since, np.zeros(len(waiting), dtype=np.int64)]),
        np.concatenate([np.ones(len(since), dtype=np.int64), before[waiting]]),
        np.concatenate([since, np.zeros(len(waiting))]).astype(np.float64),
    )


def _means(number: Floats, starts: Ints, lengths: Ints) -> Floats:
    """Return the mean of each hour's numbers; it does not depend on their order, as a float sum would."""
    if np.abs(number).max() <= MOST_SCALED:
        scaled = np.rint(number * SCALE).astype(np.int64)
        return np.add.reduceat(scaled, starts) / SCALE / lengths
    import math

    return np.array([math.fsum(part) for part in np.split(number, starts[1:])]) / lengths
