"""Fixtures of the graph's tests: one built home per test run, and copies of it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # profiles (`tiny:tiny`) and helpers, here and on workers

from commands_as_typed import train_and_finish
from graph_runs import EVENTS, copy_home, run_job, tiny_workspace

from lake.files import locked


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose CPU graph is current; made once per test run, whichever worker comes first. Never change it."""

    def build(home: Path) -> None:
        home.mkdir()
        outcome = run_job(tiny_workspace(home), events=home / EVENTS)
        assert outcome.success, outcome.failures

    return made_once(tmp_path_factory, "built_home", build)


@pytest.fixture(scope="session")
def finished_home(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that the user's own commands trained and evaluated in; what each said lies in it, see `said_in`."""

    def finish(home: Path) -> None:
        copy_home(built_home, home)
        train_and_finish(home)

    return made_once(tmp_path_factory, "finished_home", finish)


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a home that one worker makes and all use."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home = base / name
    with locked(base / f"{name}.lock"):
        if not (home / "complete").exists():
            make(home)
            (home / "complete").write_text("")
    return home


@pytest.fixture
def fresh_copy(built_home: Path, tmp_path: Path) -> Path:
    """A copy of the built home that a test may change."""
    return copy_home(built_home, tmp_path / "home")
