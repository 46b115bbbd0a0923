"""What all tests share: the open data, and the promise that nothing is skipped where MEDCSP_NO_SKIPS is set."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

# Before torch is imported: waiting threads of two workers would spin, and what is compared to the bit is a CPU's.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if not os.environ.get("MEDCSP_TEST_CUDA"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session")
def open_data() -> Path:
    """Root of the openly licensed real data; tests skip where it is not at hand."""
    value = os.environ.get("MEDCSP_TEST_DATA")
    if not value:
        pytest.skip("MEDCSP_TEST_DATA is not set: the openly licensed real data is not at hand")
    return Path(value).resolve()


@pytest.fixture
def cuda() -> "torch.device":
    """The CUDA device, which tests see under MEDCSP_TEST_CUDA alone."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device: make test-cuda, on a machine that has one")
    return torch.device("cuda", 0)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> "torch.device":
    """The CPU and, where there is one, a CUDA device."""
    import torch

    if request.param == "cuda":
        there: torch.device = request.getfixturevalue("cuda")
        return there
    return torch.device("cpu")


@pytest.fixture
def disk_steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is asked of the disk from here on: ("sync", name of a file or folder) and ("rename", new name), in order."""
    steps: list[tuple[str, str]] = []
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        steps.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def recorded(rename: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def _rename(source: Path, target: Path) -> None:
            steps.append(("rename", Path(target).name))
            rename(source, target)

        return _rename

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", recorded(os.rename))
    monkeypatch.setattr(os, "replace", recorded(os.replace))
    return steps


FIRST = ("tests/graph/test_commands.py", "tests/model/", "tests/graph/")
"""Files that take longest, in this order. Two workers take a file each: while the first makes the homes that other
tests of the graph read, the second has something else to do; small files are left for the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: started last, one file would hold a worker while the others are idle."""
    items.sort(key=lambda item: next((rank for rank, path in enumerate(FIRST) if path in item.nodeid), len(FIRST)))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run with skipped tests, but for those that need a GPU, where MEDCSP_NO_SKIPS is set."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("MEDCSP_NO_SKIPS") or reporter is None:
        return
    skipped = [report for report in reporter.stats.get("skipped", []) if "gpu" not in report.keywords]
    if skipped and exitstatus == 0:
        reporter.write_line(f"MEDCSP_NO_SKIPS is set, and {len(skipped)} tests were skipped:", red=True)
        for report in skipped:
            reporter.write_line(f"  {report.nodeid}: {report.longrepr}")
        session.exitstatus = 1
