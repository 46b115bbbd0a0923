"""Fixtures of the graph's tests: one built home per test run, and copies of it."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # profiles (`tiny:tiny`) and helpers, here and on workers

from graph_runs import copy_home, run_job, tiny_workspace

from lake.files import locked


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose CPU graph is current; made once per test run, whichever worker comes first. Never change it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home = base / "built_home"
    with locked(base / "built_home.lock"):
        if not (home / "complete").exists():
            outcome = run_job(tiny_workspace(home))
            assert outcome.success, outcome.failures
            (home / "complete").write_text("")
    return home


@pytest.fixture
def fresh_copy(built_home: Path, tmp_path: Path) -> Path:
    """A copy of the built home that a test may change."""
    return copy_home(built_home, tmp_path / "home")
