"""Cells of hourly features: which feature shows an hour's value, and which features are worth keeping."""

from collections.abc import Sequence

import polars as pl

from pipelines.features.series_bins import NUM_QUANTILES

MAX_RANGES = NUM_QUANTILES
LANES = ("lane_0", "lane_1", "lane_2", "lane_3")


def match_cells(hourly: pl.LazyFrame, features: pl.DataFrame) -> pl.LazyFrame:
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


def count_cells(cells: pl.LazyFrame, window_hours: int) -> pl.DataFrame:
    """Count a feature's cells and stays, so that counts of different stays add up.

    Args:
        cells: distinct (stay_id, bin, feature_index).
        window_hours: cells of a stay that is always one.

    Returns:
        feature_index, num_cells, num_stays (with a cell), num_full (stays with all cells) and the lanes of the cells'
        fingerprint, summed.
    """
    return (
        cells.with_columns(_lanes())
        .group_by("feature_index", "stay_id")
        .agg(pl.len().cast(pl.UInt64).alias("num_cells"), pl.col(LANES).sum())
        .group_by("feature_index")
        .agg(
            pl.col("num_cells").sum(),
            pl.len().cast(pl.Int64).alias("num_stays"),
            (pl.col("num_cells") == window_hours).sum().cast(pl.Int64).alias("num_full"),
            pl.col(LANES).sum(),
        )
        .collect(engine="streaming")
    )


def drop_features(
    features: pl.DataFrame, counts: Sequence[pl.DataFrame], stay_ids: pl.LazyFrame, *, window_hours: int, theta_2: float
) -> pl.DataFrame:
    """Drop features by theta_2 and those that equal or complement an earlier one; number the rest from 0.

    Args:
        features: every feature, output of `column_features`.
        counts: outputs of `count_cells` over disjoint stays.
        stay_ids: distinct stay_id; those without cells count in every share and in complements.
        window_hours: cells of a stay.
        theta_2: share of the stays that must have a one, and a zero.
    """
    num_stays = stay_ids.select(pl.len()).collect().item()
    frequent = (
        pl.concat(counts)
        .group_by("feature_index")
        .agg(pl.all().sum())
        .filter((pl.col("num_stays") / num_stays > theta_2) & ((num_stays - pl.col("num_full")) / num_stays > theta_2))
        .select("feature_index", "num_cells", *LANES)
    )
    bins = pl.LazyFrame({"bin": range(window_hours)}, schema={"bin": pl.Int16})
    whole = (
        stay_ids.join(bins, how="cross")
        .with_columns(_lanes())
        .select(pl.len().cast(pl.UInt64).alias("num_cells"), pl.col(LANES).sum())
        .collect(engine="streaming")
    )
    return _drop_aliases(features.join(frequent, on="feature_index").sort("feature_index"), whole.row(0))


def _lanes() -> list[pl.Expr]:
    """Return expressions of a cell's fingerprint: their sums over a feature's cells tell equal features.

    Sums of complements add up to the sums of all cells. A lane holds 32 bits, so two billion cells cannot overflow it.
    """
    cell = pl.col("stay_id") * 1024 + pl.col("bin").cast(pl.Int64)
    hashes = [cell.hash(seed) for seed in range(len(LANES) // 2)]
    low = [(value & 0xFFFFFFFF) for value in hashes]
    high = [(value // 2**32) for value in hashes]
    return [value.cast(pl.UInt64).alias(name) for name, value in zip(LANES, [*low, *high], strict=True)]


def _drop_aliases(features: pl.DataFrame, whole: tuple[int, ...]) -> pl.DataFrame:
    first: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = {}
    aliases: dict[int, list[str]] = {}
    for index, name, *fingerprint in features.select("feature_index", "feature", "num_cells", *LANES).iter_rows():
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
        features.drop("num_cells", "aliases", *LANES)
        .join(kept_aliases, on="feature_index")
        .sort("feature_index")
        .with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("feature_index"))
    )
