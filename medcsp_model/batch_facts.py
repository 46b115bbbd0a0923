"""What a plan of batches does to records, told once a run: how often each is drawn, and what chance would link.

What does not live here: the plans (`medcsp_model.batches`).
"""

import numpy as np

from medcsp_model.batches import LinkedPlan, PlanInputs, RandomPlan
from medcsp_model.slots import NONE


def draws_histogram(plan: LinkedPlan | RandomPlan) -> dict[str, dict[str, int]]:
    """By source, how many records are drawn how often in the first epoch: `{"0": 3, "1": 120}`."""
    found = {}
    for name, slots in plan.epoch(0).items():
        records = plan.inputs.records[name]
        draws = np.bincount(slots[slots != NONE], minlength=len(plan.inputs.subject[name]))[records]
        times, counts = np.unique(draws, return_counts=True)
        found[name] = {str(time): int(count) for time, count in zip(times, counts, strict=True)}
    return found


def random_linked_pairs(inputs: PlanInputs, *, size: int) -> float:
    """Linked pairs that a batch of independent draws of `size` records of each source holds on average."""
    total = 0.0
    for (s, t), (left, right) in inputs.links.items():
        here = np.isin(left, inputs.records[s]) & np.isin(right, inputs.records[t])
        share = [min(size / len(inputs.records[name]), 1.0) for name in (s, t)]
        total += float(np.count_nonzero(here)) * share[0] * share[1]
    return total
