"""Seconds and peak memory of a piece of work, in the process that does it; and which freed memory that process keeps.

The operating system keeps one high-water mark per process that never falls; on Linux it can be set back, so that each
asset of an in-process run has a peak of its own.
"""

import ctypes
import functools
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT_BYTES, _LARGE_BYTES = 64 * 2**20, 8 * 2**20


@dataclass
class Measurement:
    """What a block of code took; filled when the block ends."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    created_time: str = ""


def reset_peak() -> bool:
    """Set the high-water mark back to the memory in use; False where the system cannot."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def peak_mb() -> float:
    """The most memory (MB = 10^6 bytes) held at once since the last reset, or since the process began."""
    try:
        status = _STATUS.read_text()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep what it freed, up to 64 MB and of arrays below 8 MB: the next batch is about as large.

    By itself glibc gives much of it back to the system and asks for it again, which clears it page by page: 3 % of the
    CPU time of the series. False where the C library has no such settings.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all(mallopt(*option) for option in ((_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_MMAP_THRESHOLD, _LARGE_BYTES)))


@contextmanager
def measured() -> Iterator[Measurement]:
    """Measure a block; blocks must not be nested where the inner peak matters to the outer."""
    result = Measurement()
    reset_peak()
    start, cpu_start = time.perf_counter(), time.process_time()
    yield result
    result.seconds = round(time.perf_counter() - start, 3)
    result.cpu_seconds = round(time.process_time() - cpu_start, 3)
    result.peak_mb = round(peak_mb(), 1)
    result.created_time = datetime.now(tz=UTC).isoformat(timespec="seconds")
