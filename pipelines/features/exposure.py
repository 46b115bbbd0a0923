"""How much of an evaluation set a model has seen, counted where its training set is known film by film."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

OFFICIAL_TRAIN, PRETRAIN = "official_train", "pretrain"
_KEPT = ("method", "dataset", "exposure", "is_contaminated", "seen")


def exposure_of(
    rows: Sequence[Mapping[str, Any]], films: pl.DataFrame, cohorts: pl.LazyFrame, *, splits: Mapping[str, str]
) -> pl.DataFrame:
    """Return rows of contract Exposure.

    Args:
        rows: what the evaluator says of every model and set: method, dataset, exposure, is_contaminated, seen, counted.
        films: rows of contract EvaluationFilms.
        cohorts: rows of contract CohortSplit.
        splits: split of every dataset.
    """
    seen = cohorts.filter(pl.col("split") == PRETRAIN).select("subject_id").unique().collect()
    counts = {dataset: _counts(films.filter(pl.col("split") == split), seen) for dataset, split in splits.items()}
    plain = [
        {
            **{name: row[name] for name in _KEPT},
            "num_films": counts[row["dataset"]]["all"],
            "num_seen": counts[row["dataset"]].get(row["counted"]),
        }
        for row in rows
    ]
    schema = {
        "method": pl.String,
        "dataset": pl.String,
        "exposure": pl.String,
        "is_contaminated": pl.Boolean,
        "seen": pl.String,
        "num_films": pl.Int64,
        "num_seen": pl.Int64,
    }
    return pl.DataFrame(plain, schema=schema).unique(["method", "dataset"], maintain_order=True)


def _counts(films: pl.DataFrame, pretraining: pl.DataFrame) -> dict[str, int | None]:
    """Return the films of a set, those of the official train part (None without that list), and of pre-training."""
    listed = films["official_split"].cast(pl.String).drop_nulls()
    return {
        "all": films.height,
        OFFICIAL_TRAIN: int((listed == "train").sum()) if len(listed) else None,
        PRETRAIN: films.join(pretraining, on="subject_id", how="semi").height,
    }
