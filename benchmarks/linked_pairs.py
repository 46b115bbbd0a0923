"""Linked pairs in a batch of 128 + 128 at the paper's counts: the link-aware plan against independent draws.

Prints one JSON object: per_batch and random_per_batch (means over an epoch), min_linked_ehr and min_linked_images of
the linked plan, its most draws of one record and its start in CPU seconds; keys ending in _30 where 30 % are linked.
"""

import json
import time

import numpy as np

from benchmarks.index_corpus import PAPER, index_corpus
from medcsp_model.batches import LinkedPlan, RandomPlan, make_plan, num_steps
from medcsp_model.linked import link_rows, linked_in_batch
from medcsp_model.settings import BatchSettings


def linked_counts(plan: LinkedPlan | RandomPlan, links: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Linked EHR records, images and pairs of each full batch of an epoch, int64 (steps, 3)."""
    masks = [linked_in_batch(plan.batch(step), ("ehr", "cxr"), links) for step in range(num_steps(plan, 1) - 1)]
    return np.array([[mask.any(axis=1).sum(), mask.any(axis=0).sum(), mask.sum()] for mask in masks])


def main() -> None:
    result: dict[str, float] = {}
    for share in (0.3, 0.6):
        inputs = index_corpus(**PAPER, linked_share=share)
        links = link_rows(PAPER["num_ehr"], *inputs.links["ehr", "cxr"])
        start = time.process_time()
        linked = make_plan(inputs, settings=BatchSettings(), seed=0)
        linked.batch(0)
        seconds = time.process_time() - start
        counts = linked_counts(linked, links)
        chance = linked_counts(make_plan(inputs, settings=BatchSettings(plan="random"), seed=0), links)
        key = "" if share == 0.6 else f"_{share:.0%}".rstrip("%")
        result |= {
            f"per_batch{key}": round(float(counts[:, 2].mean()), 2),
            f"random_per_batch{key}": round(float(chance[:, 2].mean()), 3),
            f"min_linked_ehr{key}": int(counts[:, 0].min()),
            f"min_linked_images{key}": int(counts[:, 1].min()),
            f"max_draws{key}": int(np.bincount(linked.epoch(0)["ehr"]).max()),
            f"start_seconds{key}": round(seconds, 2),
        }
        print(f"{share:.0%} of the images inside a window: {counts.mean(axis=0).round(2)} linked EHR, images, pairs")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
