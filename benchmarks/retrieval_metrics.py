"""Every retrieval measure of 10,000 reports against 20,000 images, 512 wide: wall seconds on this machine's cores.

Prints one JSON object: seconds (median of three: ranks of all relevant images and every measure, ceiling and chance,
without intervals), cpu_seconds of the same run, product_seconds (the float32 product alone), median_rank.
"""

import json
import statistics
import time

import numpy as np
from numpy.typing import NDArray

from medcsp_model.evaluation.retrieval import Relevant, ceiling, chance, exact_ranks, query_measures

NUM_REPORTS, NUM_IMAGES, WIDTH = 10_000, 20_000, 512
KS = (1, 5, 10, 20, 50, 100)
NUM_RUNS = 3


def embeddings(*, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors of reports and of their images, which lie nearer to their own report than chance, and the owners."""
    rng = np.random.default_rng(seed)
    owner = np.sort(np.r_[np.arange(NUM_REPORTS), rng.integers(0, NUM_REPORTS, size=NUM_IMAGES - NUM_REPORTS)])
    reports = rng.standard_normal((NUM_REPORTS, WIDTH), dtype=np.float32)
    images = reports[owner] + 6 * rng.standard_normal((NUM_IMAGES, WIDTH), dtype=np.float32)
    reports /= np.linalg.norm(reports, axis=1, keepdims=True)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    return reports, images, owner


def main() -> None:
    reports, images, owner = embeddings()
    seconds, cpu_seconds, product = [], [], []
    median_rank = 0.0
    for _ in range(NUM_RUNS):
        start, cpu_start = time.perf_counter(), time.process_time()
        relevant = Relevant.of_groups(np.arange(NUM_REPORTS), owner)
        measures = query_measures(exact_ranks(reports, images, relevant), relevant, ks=KS)
        ceiling(relevant, ks=KS), chance(relevant, ks=KS)
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
        median_rank = float(np.median(measures["first_rank", 0]))
        start = time.perf_counter()
        for first in range(0, NUM_REPORTS, 256):
            reports[first : first + 256] @ images.T
        product.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "seconds": round(statistics.median(seconds), 2),
                "cpu_seconds": round(statistics.median(cpu_seconds), 2),
                "product_seconds": round(statistics.median(product), 2),
                "median_rank": median_rank,
            }
        )
    )


if __name__ == "__main__":
    main()
