"""The hour of a stay: which reading stands for it, and what frequent variables show where there is none."""

import polars as pl

SCALE = 1_000_000


def numbers_and_texts(readings: pl.LazyFrame, *, window_hours: int) -> pl.LazyFrame:
    """Return the readings inside the window as (stay_id, variable, bin, offset_hours, number, text).

    A reading is a number if `value_number` is given or `value` parses as one, else a text; readings that are neither,
    and numbers that are not finite, are left out.

    Args:
        readings: rows of contract EhrReadings.
        window_hours: hours that are read, from 0 and right-open.
    """
    number = pl.coalesce("value_number", pl.col("value").str.strip_chars().cast(pl.Float64, strict=False))
    return (
        readings.filter((pl.col("offset_hours") >= 0) & (pl.col("offset_hours") < window_hours))
        .select(
            "stay_id",
            "variable",
            pl.col("offset_hours").floor().cast(pl.Int16).alias("bin"),
            "offset_hours",
            pl.when(number.is_finite()).then(number + 0.0).alias("number"),
            pl.when(number.is_null() & (pl.col("value").str.strip_chars() != "")).then("value").alias("text"),
        )
        .filter(pl.col("number").is_not_null() | pl.col("text").is_not_null())
    )


def hourly_values(
    clean: pl.LazyFrame, *, variables: pl.Series, frequent: list[str], statistics: tuple[str, ...], window_hours: int
) -> pl.LazyFrame:
    """Return what each hour shows: (stay_id, bin, variable, statistic, number, text), zero hours left out.

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
    wanted = variables.alias("variable").to_frame().lazy()
    rare = clean.join(wanted, on="variable", how="semi").filter(~pl.col("variable").is_in(frequent))
    parts = [_last_of_hour(rare)]
    if frequent:
        parts += _frequent_values(clean, frequent, statistics, window_hours)
    return pl.concat(parts)


def _last_of_hour(clean: pl.LazyFrame) -> pl.LazyFrame:
    hour = ["stay_id", "bin", "variable"]
    last = clean.group_by(hour).agg(pl.col("offset_hours").max())
    return (
        clean.join(last, on=[*hour, "offset_hours"], how="semi")
        .group_by(*hour, "text")
        .agg(pl.col("number").max())
        .select("stay_id", "bin", "variable", pl.lit("value").alias("statistic"), "number", "text")
    )


def _frequent_values(
    clean: pl.LazyFrame, frequent: list[str], statistics: tuple[str, ...], window_hours: int
) -> list[pl.LazyFrame]:
    hour = ["stay_id", "bin", "variable"]
    own = clean.filter(pl.col("variable").is_in(frequent) & pl.col("number").is_not_null())
    # integers of a millionth: an engine's float mean depends on the order of its threads
    scaled = (pl.col("number") * SCALE).round().cast(pl.Int128)
    summary = {
        "min": pl.col("number").min(),
        "max": pl.col("number").max(),
        "mean": scaled.sum().cast(pl.Float64) / SCALE / pl.len(),
    }
    hours = own.group_by(hour).agg(summary[name].alias(name) for name in statistics)
    last = _last_of_hour(own).select(*hour, pl.col("number").alias("value"))
    grid = (
        clean.select("stay_id")
        .unique()
        .join(pl.LazyFrame({"bin": range(window_hours)}, schema={"bin": pl.Int16}), how="cross")
        .join(pl.LazyFrame({"variable": frequent}), how="cross")
        .join(last, on=hour, how="left")
        .join(hours, on=hour, how="left")
        .sort("stay_id", "variable", "bin")
    )
    present = pl.col("value").is_not_null()
    stay = ["stay_id", "variable"]
    filled = grid.with_columns(
        present.alias("mask"),
        (pl.col("bin") - pl.when(present).then("bin").forward_fill().over(stay, order_by="bin"))
        .fill_null(0)
        .cast(pl.Float64)
        .alias("delta_time"),
        pl.col("value").forward_fill().over(stay, order_by="bin"),
    ).with_columns(pl.coalesce(name, "value").alias(name) for name in statistics)
    masks = filled.filter("mask").select(*hour, number=pl.lit(1.0))
    shown = {
        "mask": masks,
        **{name: filled.select(*hour, number=pl.col(name)) for name in ("delta_time", "value", *statistics)},
    }
    return [
        part.filter(pl.col("number").is_not_null()).select(
            *hour, pl.lit(name).alias("statistic"), "number", pl.lit(None, dtype=pl.String).alias("text")
        )
        for name, part in shown.items()
    ]
