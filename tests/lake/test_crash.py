"""kill -9 at any point of publishing: the last version stays, and the same publish again is as if nothing happened."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lake import Lake
from lake.gc import collect, verify

SCRIPT = Path(__file__).with_name("publish_and_die.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def publisher() -> ModuleType:
    spec = importlib.util.spec_from_file_location("publish_and_die", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def tree(home: Path) -> dict[str, bytes]:
    """Every file of the lake that must not depend on what happened on the way."""
    root = home / "lake"
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name not in {".lock", "timing.json"}
    }


@pytest.fixture
def watcher(tmp_path: Path, publisher: ModuleType) -> Iterator[subprocess.Popen[str]]:
    """A second process that reads the catalogue in a loop, from the first generation on."""
    publisher.publish(tmp_path / "home", 0)
    process = start(tmp_path / "home", "watch")
    assert process.stdout is not None and process.stdout.readline() == "0\n"
    yield process
    process.kill()
    process.wait()


def look(watcher: subprocess.Popen[str]) -> list[int]:
    """The generations that the watcher has seen so far, the catalogue of this moment included."""
    assert watcher.stdin is not None and watcher.stdout is not None
    watcher.stdin.write("look\n")
    watcher.stdin.flush()
    answer = watcher.stdout.readline()
    assert answer, watcher.communicate()
    return [int(word) for word in answer.split()]


def test_a_kill_at_any_point_leaves_the_last_version_and_a_rerun_the_same_bytes(tmp_path, publisher, watcher):
    home, calm = tmp_path / "home", tmp_path / "calm"
    publisher.publish(calm, 0)
    for generation, point in enumerate(publisher.POINTS, start=1):
        before = Lake(home).manifest("generations")
        killed = start(home, generation, point)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL, point
        committed = point.startswith(("committed", "catalogue"))
        assert (Lake(home).manifest("generations") != before) == committed, point
        assert verify(Lake(home)) == [], point
        look(watcher)
        publisher.publish(home, generation)
        publisher.publish(calm, generation)
        assert tree(home) == tree(calm), point
        assert look(watcher) == list(range(generation + 1)), point
    _, errors = watcher.communicate()  # closes its input, which ends it
    assert watcher.returncode == 0, errors
    collect(Lake(home), grace_days=0)
    assert sorted(home.glob("lake/*/*/*/*.parquet")) == sorted(
        [*Lake(home).files("generations"), *home.glob("lake/*/*/rejected/*.parquet")]
    )
    assert len(list(home.glob("lake/*/*/rejected/*"))) == 1


def test_two_processes_that_publish_one_table_take_turns(tmp_path, publisher):
    home = tmp_path / "home"
    both = [start(home, generation) for generation in (1, 2)]
    for process in both:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    lake = Lake(home)
    manifest = lake.manifest("generations")
    assert manifest is not None and manifest.settings["generation"] in (1, 2)
    assert len(lake.history("generations")) == 1
    assert verify(lake) == []
    assert lake.scan("generations").select("generation").unique().collect().height == 1
