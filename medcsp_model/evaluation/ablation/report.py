"""From trials to rows: means over seeds, intervals, and how far the whole recipe lies above each variant.

A draw of the bootstrap takes seeds with replacement, one fewer than there are (`scores.training_shares`), and subjects
with all their rows, so that an interval holds both what another training and what other patients would change; of one
seed it holds the patients alone. A difference is paired: both sides have the same seeds, subjects and draws. Nothing is
adjusted for how many variants there are.

Letters: N rows, S seeds, G subjects, B draws.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from medcsp_model.evaluation import scores
from medcsp_model.evaluation.ablation.measures import Floats, Ints, Measure, Values
from medcsp_model.evaluation.bootstrap import ends
from medcsp_model.evaluation.scores import Estimate
from medcsp_model.settings import FULL

log = logging.getLogger(__name__)
Row = dict[str, Any]
MEAN = -1
"""Seed of the mean over seeds."""
CELLS_AT_ONCE = 1 << 19
"""Rows by draws that are held at a time."""


def estimates(
    of: Callable[[Floats, Floats], Floats], value_SN: Mapping[str, Floats], subject_N: Ints, *, num_draws: int
) -> dict[str, Estimate]:
    """One measure of several variants, of all in the same draws; each draw's number is the mean over its seeds.

    Args:
        of: the measure, (value_N, weight_NB) -> number_B.
        value_SN: by variant, the value of every row under every seed, the same seeds for all.
        subject_N: subject of every row.
        num_draws: bootstrap draws.
    """
    num_seeds = len(next(iter(value_SN.values())))
    drawn_SB = {name: np.empty((num_seeds, num_draws)) for name in value_SN}
    rng = np.random.default_rng(0)
    for part, weight_NB in _drawn(rng, subject_N, num_draws):
        for name, values in value_SN.items():
            drawn_SB[name][:, part] = [of(value_N, weight_NB) for value_N in values]
    share_SB = scores.training_shares(num_seeds, num_draws, seed=0)
    once_N1 = np.ones((len(subject_N), 1))
    found = {}
    for name, values in value_SN.items():
        of_seed_S = np.array([of(value_N, once_N1)[0] for value_N in values])
        found[name] = Estimate(float(of_seed_S.mean()), of_seed_S, (drawn_SB[name] * share_SB).sum(axis=0))
    return found


def _drawn(rng: np.random.Generator, subject_N: Ints, num_draws: int) -> Iterator[tuple[slice, Floats]]:
    """How often each row was drawn, some draws at a time."""
    subjects, group_N = np.unique(subject_N, return_inverse=True)
    share_G, size = np.full(len(subjects), 1 / len(subjects)), max(1, CELLS_AT_ONCE // len(subject_N))
    for first in range(0, num_draws, size):
        part = slice(first, min(first + size, num_draws))
        drawn_BG = rng.multinomial(len(subjects), share_G, size=part.stop - first)
        yield part, np.ascontiguousarray(drawn_BG.T[group_N], dtype=np.float64)


def rows_of(
    dataset: str, measures: Sequence[Measure], values: Mapping[str, Mapping[int, Values]], *, num_draws: int
) -> tuple[list[Row], list[Row]]:
    """Rows of `metrics` and of comparisons; none of a measure without any value, such as a search without links.

    Args:
        dataset: name of the ground.
        measures: what is made of the values.
        values: by variant and seed, the same seeds for all.
        num_draws: bootstrap draws.
    """
    metrics: list[Row] = []
    comparisons: list[Row] = []
    for measure in measures:
        value_SN, subject_N = _rows_with_a_value(measure.rows, values)
        if not len(subject_N):
            log.warning("%s: %s is not measured: no query has a value", dataset, measure.rows)
            continue
        found = estimates(measure.of, value_SN, subject_N, num_draws=num_draws)
        place = {"dataset": dataset, **measure.place}
        common = {**place, "n": len(subject_N), "num_positive": measure.num_positive}
        for variant, estimate in found.items():
            metrics += _numbers({**common, "method": variant}, estimate, sorted(values[variant]))
            if variant != FULL:
                comparisons.append({**place, **_difference(found, variant), "n": len(subject_N)})
        nothing = {"seed": MEAN, "ci_low": None, "ci_high": None}
        metrics += [{**common, **nothing, "method": name, "value": value} for name, value in measure.references.items()]
    return metrics, comparisons


def _rows_with_a_value(name: str, values: Mapping[str, Mapping[int, Values]]) -> tuple[dict[str, Floats], Ints]:
    """Values by variant (S, N) and subjects, without the rows that have no value, which are the same for all."""
    of_seed = {variant: [by_seed[seed][name] for seed in sorted(by_seed)] for variant, by_seed in values.items()}
    first, subject_N = next(iter(of_seed.values()))[0]
    known = ~np.isnan(first)
    value_SN = {variant: np.stack([each[known] for each, _ in found]) for variant, found in of_seed.items()}
    return value_SN, subject_N[known]


def _numbers(common: Row, estimate: Estimate, seeds: Sequence[int]) -> Iterator[Row]:
    """The mean over seeds with its interval, then each seed."""
    yield {**common, "seed": MEAN, "value": estimate.value, **ends(*estimate.interval())}
    for seed, value in zip(seeds, estimate.values_S.tolist(), strict=True):
        yield {**common, "seed": seed, "value": value, "ci_low": None, "ci_high": None}


def _difference(found: Mapping[str, Estimate], variant: str) -> Row:
    difference = scores.difference(found[FULL], found[variant])
    return {
        "method": FULL,
        "other": variant,
        "difference": difference.value,
        **ends(difference.low, difference.high),
        "num_seeds": len(found[FULL].values_S),
    }
