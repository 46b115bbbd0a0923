"""What one cell of the paper's tables and figures is, and what all cells are made from.

Not here: which cells an exhibit has (`exhibits`, `study_exhibits`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FEW_SEEDS = 5
"""Fewer trainings than this are few: what the spread over seeds would say, they do not."""
FEW_STEPS = 0.5
"""A training of less than this share of the checkpoint's steps is short."""
OURS = "medcsp"
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Published:
    """What the cells are made from.

    Attributes:
        metrics: rows of `metrics`, subgroups left out.
        counts: Table 1's numbers, None where there are none, and the table each was counted in; by row and column.
        x_ray_methods: rows of `radiology_methods`.
        prediction_methods: rows of `prediction_methods`.
        contaminated: method and data set that its training has seen.
        ablation_comparisons: rows of `ablation_comparisons`.
        ablation_trials: rows of `ablation_trials`.
        num_checkpoint_steps: steps of the checkpoint's training; 0 where there is none.
        missing: why a table is empty, by table.
        not_classified: why the ablation's variants classify no films; empty where they do.
        headline: prompt set that stands for a model.
        is_synthetic: whether a source was written by the graph.
    """

    metrics: Sequence[Row]
    counts: Mapping[tuple[str, str], tuple[str, int | None]]
    x_ray_methods: Sequence[Row]
    prediction_methods: Sequence[Row]
    contaminated: frozenset[tuple[str, str]]
    ablation_comparisons: Sequence[Row]
    ablation_trials: Sequence[Row]
    num_checkpoint_steps: int
    missing: Mapping[str, str]
    not_classified: str
    headline: str
    is_synthetic: bool


def column_name(metric: str, k: int) -> str:
    """`recall_at_k` and 10 as `recall_at_10`; a metric without a cut-off as it is."""
    return f"{metric.removesuffix('_at_k')}_at_{k}" if k else metric


def cell_of(
    exhibit: str,
    asset: str,
    place: tuple[str, str, str],
    row: Row | None = None,
    *,
    paper: float | None = None,
    num_seeds: int | None = None,
    is_short: bool = False,
    is_contaminated: bool = False,
    reason: str | None = None,
) -> dict[str, Any]:
    """One cell; `place` is panel, row and column, `row` what `metrics` has of it."""
    said = {
        "synthetic": bool(row and row["synthetic"]),
        "not available": row is None,
        "contaminated": is_contaminated,
        "few seeds": num_seeds is not None and num_seeds < FEW_SEEDS,
        "few steps": is_short,
    }
    panel, name, column = place
    return {
        "exhibit": exhibit,
        "panel": panel,
        "row": name,
        "column": column,
        **{key: row[key] if row else None for key in ("value", "ci_low", "ci_high", "n", "fingerprint")},
        "num_seeds": num_seeds,
        "paper_value": paper,
        "badges": [badge for badge, holds in said.items() if holds],
        "reason": reason,
        "asset": asset,
    }


def nothing(exhibit: str, asset: str, reason: str) -> dict[str, Any]:
    """The cell of an exhibit of which there is no number."""
    return cell_of(exhibit, asset, ("", OURS, ""), reason=reason)
