"""From trials to rows: means over seeds, intervals, and how far the whole recipe lies above each variant.

A draw of the bootstrap takes seeds with replacement and subjects with all their queries, so that an interval holds both
what another training and what other patients would change; of one seed it holds the patients alone. A difference is
paired: both sides have the same seeds, subjects and draws. Nothing is adjusted for how many variants there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medcsp_model.evaluation.ablation.bench import AGREEMENT, CROSS_SOURCE, MEASURES, TEXT_IMAGE, Bench, K, Values
from medcsp_model.settings import FULL

Row = dict[str, Any]
Floats = NDArray[np.float64]
MEAN = -1
"""Seed of the mean over seeds."""
COHORT, SPLIT = "validation_subjects", "validation"


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds and queries with its 95 % interval, and the mean of each seed."""

    value: float
    low: float
    high: float
    by_seed: Floats
    num_queries: int


def estimate(values: Sequence[tuple[Floats, NDArray[np.int64]]], *, num_draws: int) -> Estimate:
    """Mean of the values of the same queries under several seeds.

    Args:
        values: of each seed, the value of every query (NaN where it has none, the same in all) and its subject.
        num_draws: bootstrap draws.
    """
    known = ~np.isnan(values[0][0])
    subject = values[0][1][known]
    subjects, place = np.unique(subject, return_inverse=True)
    value_SQ = np.stack([each[0][known] for each in values])
    total_SG = np.zeros((len(values), len(subjects)))
    np.add.at(total_SG.T, place, value_SQ.T)
    count_G = np.bincount(place, minlength=len(subjects)).astype(np.float64)
    rng = np.random.default_rng(0)
    drawn_BG = rng.multinomial(len(subjects), np.full(len(subjects), 1 / len(subjects)), size=num_draws)
    drawn_BS = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=num_draws)
    mean_BS = (drawn_BG @ total_SG.T) / (drawn_BG @ count_G)[:, None]
    low, high = np.quantile((mean_BS * drawn_BS).sum(axis=1) / len(values), [0.025, 0.975])
    by_seed = value_SQ.mean(axis=1)
    return Estimate(float(by_seed.mean()), float(low), float(high), by_seed, int(known.sum()))


def rows_of(
    dataset: str, bench: Bench, values: Mapping[str, Mapping[int, Values]], *, num_draws: int
) -> tuple[list[Row], list[Row]]:
    """Rows of `metrics` and of comparisons.

    Args:
        dataset: name of the ground.
        bench: its unseen records.
        values: by variant and seed.
        num_draws: bootstrap draws.
    """
    metrics, comparisons = [], []
    for measure in MEASURES:
        place = _place(measure, bench) | {"dataset": dataset, "cohort": COHORT, "split": SPLIT}
        for variant, by_seed in values.items():
            seeds = sorted(by_seed)
            found = estimate([by_seed[seed][measure] for seed in seeds], num_draws=num_draws)
            common = {**place, "method": variant, "n": found.num_queries, "num_positive": None}
            metrics.append({**common, "seed": MEAN, "value": found.value, "ci_low": found.low, "ci_high": found.high})
            metrics += [
                {**common, "seed": seed, "value": float(value), "ci_low": None, "ci_high": None}
                for seed, value in zip(seeds, found.by_seed, strict=True)
            ]
            if variant != FULL:
                comparisons.append({**place, **_difference(values, variant, measure, num_draws)})
        number = {"seed": MEAN, "value": bench.chance[measure], "ci_low": None, "ci_high": None, "num_positive": None}
        metrics.append({**place, "method": "chance", "n": metrics[-1]["n"], **number})
    return metrics, comparisons


def _difference(values: Mapping[str, Mapping[int, Values]], variant: str, measure: str, num_draws: int) -> Row:
    seeds = sorted(set(values[FULL]) & set(values[variant]))
    pairs = [(values[FULL][seed][measure], values[variant][seed][measure]) for seed in seeds]
    found = estimate([(full[0] - less[0], full[1]) for full, less in pairs], num_draws=num_draws)
    return {
        "method": FULL,
        "other": variant,
        "difference": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
        "num_seeds": len(seeds),
        "n": found.num_queries,
    }


def _place(measure: str, bench: Bench) -> Row:
    across = "_to_".join(bench.sources)
    return {
        TEXT_IMAGE: {"mode": "text_to_image", "metric": "recall_at_k", "k": K},
        CROSS_SOURCE: {"mode": across, "metric": "recall_at_k", "k": K},
        AGREEMENT: {"mode": across, "metric": "agreement", "k": 0},
    }[measure]
