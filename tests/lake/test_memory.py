"""Peak memory is that of the block, not of what ran before it."""

import mmap
import sys

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
