"""What the image benchmarks share: CPU time of two ways to do one thing, and how alike two pictures are."""

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NUM_RUNS = 5


def ratio_of(slow: Callable[[], object], fast: Callable[[], object], *, repeats: int = 1) -> tuple[float, float, float]:
    """Return the median ratio of user and system CPU time, and the median milliseconds of each, runs interleaved."""
    fast()
    pairs = [(_milliseconds(slow, repeats), _milliseconds(fast, repeats)) for _ in range(NUM_RUNS)]
    ratio = statistics.median(left / right for left, right in pairs)
    return ratio, statistics.median(left for left, _ in pairs), statistics.median(right for _, right in pairs)


def _milliseconds(work: Callable[[], object], repeats: int) -> float:
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats * 1e3


def psnr_db(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio in decibels, 99 for equal pictures."""
    error = float(np.mean((left.astype(np.float64) - right) ** 2))
    return min(99.0, 10 * float(np.log10(255**2 / error))) if error else 99.0


def film(height: int, width: int) -> NDArray[np.uint16]:
    """Return a 12-bit picture of a chest's broad shapes, edges and film noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    up, across = y / height, x / width
    lungs = sum(np.exp(-((((across - c) / 0.13) ** 2 + ((up - 0.48) / 0.27) ** 2) ** 2)) for c in (0.3, 0.7))
    ribs = 180 * np.sin(46 * up + 5 * (across - 0.5) ** 2) * lungs
    spine = 500 * np.exp(-(((across - 0.5) / 0.05) ** 4))
    marker = 1600 * ((across > 0.86) & (across < 0.9) & (up > 0.06) & (up < 0.1))
    body = 2300 - 1300 * lungs + ribs + spine + marker - 1900 * (np.abs(across - 0.5) > 0.45)
    return (body + np.random.default_rng(0).normal(0, 20, body.shape)).clip(0, 4095).astype(np.uint16)
