"""Peak memory is that of the block, not of what ran before it; what a process freed it need not ask for again."""

import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from lake import measured


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can set the high-water mark back")
def test_the_peak_of_a_block_forgets_what_ran_before():
    with measured() as large, mmap.mmap(-1, 200_000_000) as memory:  # none that an allocator has kept from before
        for place in range(0, len(memory), mmap.PAGESIZE):
            memory[place] = 1
    with measured() as small:
        bytearray(1000)
    assert large.peak_mb > small.peak_mb + 150
    assert large.seconds > 0 and large.cpu_seconds > 0 and large.created_time.startswith("20")


def test_without_proc_the_peak_is_that_of_the_process(monkeypatch, tmp_path):
    from lake import memory

    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "_CLEAR_REFS", tmp_path / "none" / "none")
    assert memory.reset_peak() is False
    assert memory.peak_mb() > 10


FAULTS = """
import resource
import numpy as np
from lake.memory import keep_freed_memory

def faults_of_rounds() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        held = [np.ones(1_000_000) for _ in range(4)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of_rounds()
before = faults_of_rounds()
assert keep_freed_memory() is True
faults_of_rounds()
print(before, faults_of_rounds())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_kept_for_the_next_batch():
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", FAULTS], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after * 10 < before


def test_without_such_a_setting_nothing_is_kept(monkeypatch):
    from lake import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory.__wrapped__() is False
