"""The link-aware plan at the paper's counts: CPU seconds until the first batch, and to any step of a run.

Prints one JSON object: start_seconds (the plan and its first batch), seek_seconds (the slowest of ten far steps, each
of another epoch, asked of a plan at its first one); keys ending in _30 where 30 % of the images are linked.
"""

import json
import time

from benchmarks.index_corpus import PAPER, index_corpus
from medcsp_model.batches import make_plan, num_steps
from medcsp_model.settings import BatchSettings


def main() -> None:
    result: dict[str, float] = {}
    for share in (0.6, 0.3):
        inputs = index_corpus(**PAPER, linked_share=share)
        start = time.process_time()
        plan = make_plan(inputs, settings=BatchSettings(), seed=0)
        plan.batch(0)
        key = "" if share == 0.6 else "_30"
        result[f"start_seconds{key}"] = round(time.process_time() - start, 3)
        seconds = []
        for epoch in range(1, 11):
            start = time.process_time()
            plan.batch(num_steps(plan, epoch + 0.5))
            seconds.append(time.process_time() - start)
        result[f"seek_seconds{key}"] = round(max(seconds), 3)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
